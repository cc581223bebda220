"""Where tasks run: threads, worker processes, SLURM jobs or a dask scheduler, and what they use."""
