"""What tasks need: imported by a worker as it starts, not by its first task."""

import h5py  # noqa: F401
import hdf5plugin  # noqa: F401
import zarr  # noqa: F401
