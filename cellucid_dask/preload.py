"""What tasks need: imported by a worker as it starts, not by its first task."""

import h5py  # noqa: F401
import hdf5plugin  # noqa: F401
import zarr  # noqa: F401

import cellucid_dask.exporter.edges
import cellucid_dask.exporter.embeddings
import cellucid_dask.exporter.genes
import cellucid_dask.exporter.obs
import cellucid_dask.exporter.transpose  # noqa: F401
