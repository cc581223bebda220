"""The stages of an export, and `run`, which calls them in order."""
