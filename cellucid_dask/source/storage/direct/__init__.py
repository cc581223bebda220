"""Ranges of arrays read outside the locks of HDF5 and zarr, decoded into place."""
