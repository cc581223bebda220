"""The Cellucid export format, identity version 2 with ``compact_v1`` manifests.

Every fact about names, dtypes, markers, paths and manifest shapes is said in this package and
nowhere else. Nothing in it reads or writes a file.
"""

from cellucid_dask.format.cell_ids import (
    IDS_PER_BLOCK,
    ids_block,
    live_block,
    live_cell_ids,
    stored_cell_ids,
)
from cellucid_dask.format.codes import (
    CODES,
    U8,
    U16,
    Code,
    category_code,
    index_dtype,
    value_dtype,
    value_ext,
)
from cellucid_dask.format.colors import color_code
from cellucid_dask.format.dataset_identity import (
    embeddings_entry,
    identity,
    source_entry,
    vector_fields_entry,
)
from cellucid_dask.format.manifests import (
    CATEGORY_COLORS,
    CELL_IDS,
    COMPACT,
    SYMBOLS,
    checksums,
    connectivity_manifest,
    datasets,
    dumps,
    obs_manifest,
    var_manifest,
)
from cellucid_dask.format.names import (
    CHECKSUMS,
    CONNECTIVITY_MANIFEST,
    DATASETS,
    DIMENSIONS,
    ID_COLUMNS,
    IDENTITY,
    LONGEST_NAME,
    MANIFESTS,
    OBS_MANIFEST,
    SYMBOL_COLUMNS,
    VAR_MANIFEST,
    collisions,
    safe,
    vector_label,
)
from cellucid_dask.format.paths import Kind, Resource, gene_paths, parse

__all__ = [
    "CATEGORY_COLORS",
    "CELL_IDS",
    "CHECKSUMS",
    "CODES",
    "COMPACT",
    "CONNECTIVITY_MANIFEST",
    "DATASETS",
    "DIMENSIONS",
    "IDENTITY",
    "IDS_PER_BLOCK",
    "ID_COLUMNS",
    "LONGEST_NAME",
    "MANIFESTS",
    "OBS_MANIFEST",
    "SYMBOLS",
    "SYMBOL_COLUMNS",
    "U8",
    "U16",
    "VAR_MANIFEST",
    "Code",
    "Kind",
    "Resource",
    "category_code",
    "checksums",
    "collisions",
    "color_code",
    "connectivity_manifest",
    "datasets",
    "dumps",
    "embeddings_entry",
    "gene_paths",
    "identity",
    "ids_block",
    "index_dtype",
    "live_block",
    "live_cell_ids",
    "obs_manifest",
    "parse",
    "safe",
    "source_entry",
    "stored_cell_ids",
    "value_dtype",
    "value_ext",
    "var_manifest",
    "vector_fields_entry",
    "vector_label",
]
