"""Where tasks run: threads, worker processes, jobs of a queue, a dask scheduler; what they use."""
