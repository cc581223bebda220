"""Helpers that several benchmarks use: atlases, processes, and the description of a machine."""
