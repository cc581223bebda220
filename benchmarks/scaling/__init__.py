"""Measure and model how an export scales with workers, tasks and cells."""
