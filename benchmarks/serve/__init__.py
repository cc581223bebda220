"""Load the server and compare it with those of cellucid 0.0.9."""
