"""SLURM: workers that run as jobs, and batch scripts."""
