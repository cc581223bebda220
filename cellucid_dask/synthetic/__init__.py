"""A realistic synthetic atlas of any size, for the demo, the tests and the benchmarks."""

from cellucid_dask.synthetic.draw import AtlasSpec
from cellucid_dask.synthetic.write import make_anndata, write_h5ad

__all__ = ["AtlasSpec", "make_anndata", "write_h5ad"]
