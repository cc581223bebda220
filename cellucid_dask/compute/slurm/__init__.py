"""SLURM: its programs, the watch of its queue, and batch scripts."""
