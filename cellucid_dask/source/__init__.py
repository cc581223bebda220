"""Any AnnData as a lazy `Source`: what is in it, how long it is, and how a worker reads it.

A worker that transposes or encodes genes needs `matrix` and `store` alone, without dask.array
and pandas; so nothing is imported here.
"""
