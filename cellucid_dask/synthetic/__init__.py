"""Synthetic atlases of any size: one for tests and benchmarks, and a study for the demo."""

from cellucid_dask.synthetic.draw import AtlasSpec
from cellucid_dask.synthetic.study_file import write_study
from cellucid_dask.synthetic.write import make_anndata, write_h5ad

__all__ = ["AtlasSpec", "make_anndata", "write_h5ad", "write_study"]
