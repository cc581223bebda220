"""Reading files: elements of HDF5 and zarr stores, opened by path."""
