"""Imports of tasks: a worker does them when it starts, not in its first task."""

import h5py  # noqa: F401
import hdf5plugin  # noqa: F401
import zarr  # noqa: F401
