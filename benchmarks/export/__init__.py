"""Time exports and compare them with those of cellucid 0.0.9."""
