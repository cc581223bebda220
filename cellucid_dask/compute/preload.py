"""Imports of tasks: a worker does them when it starts, not in its first task."""

import h5py  # noqa: F401
import zarr  # noqa: F401

from cellucid_dask.hdf5_filters import register_filters

register_filters()
