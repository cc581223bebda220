"""Resuming and publishing: the staging folder, its lock and journal, and the final rename."""
