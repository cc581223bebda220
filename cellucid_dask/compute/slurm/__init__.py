"""SLURM: workers as jobs of it, and batch scripts for it."""
