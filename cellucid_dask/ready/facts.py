"""The facts of ready files: names, encodings, chunk lengths. Each is stated once, here.

Nothing in this module reads or writes a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import numpy as np

Format = Literal["zarr", "zarr.zip", "h5ad"]
ZarrFormat = Literal[2, 3]
Coding = Literal["hdf5", "zarr2", "zarr3"]  # how a chunk becomes bytes

FORMATS: Final[Mapping[Format, str]] = {"zarr": ".zarr", "zarr.zip": ".zarr.zip", "h5ad": ".h5ad"}
SLICED: Final = 1 << 16  # elements of a chunk of X/data and X/indices, which are read in slices
WHOLE: Final = 1 << 18  # elements of a chunk of every array that is read whole
SHARD_CHUNKS: Final = 256  # chunks of X/data and X/indices in a shard
LEVEL: Final = 6  # of deflate
# Of chunks that are made anew for each request; every reader undoes it. With counts and with
# log-normalized values it takes a tenth of the time of deflate, and up to twice its bytes: through
# a tunnel of less than about 50 MB/s deflate would be faster, for all who are nearer this one is.
FAST: Final[Mapping[str, Any]] = {
    "id": "blosc",
    "cname": "lz4",
    "clevel": 5,
    "shuffle": 2,
    "blocksize": 0,
}
TEXT: Final = "text"  # in place of a dtype: strings of any length

SCHEMA: Final = 1
MIN_POINTS: Final = 10  # cells of a category with outlier quantiles, unless said otherwise
LARGEST_EXACT: Final = 1 << 24  # whole number above which float32 skips some
DEFAULTS: Final = (  # keys of uns/cellucid/defaults, in their order
    "embedding1d",
    "embedding2d",
    "embedding3d",
    "modality",
    "geneIdColumn",
    "latentKey",
    "vectorFieldDefault",
    "obsKeys",
    "normalizeEmbeddings",
    "centroidMinPoints",
)
GRAPH: Final = "connectivities"
META_BLOCK: Final = 256 << 10  # bytes of a block of HDF5 metadata
HEAD: Final = 512 << 10  # bytes that the public app reads first
CHECKSUMS: Final = ".checksums.json"  # added to the name of a ready file

ZARR_NAMES: Final = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})

# What the reader of the public app undoes; it cannot read an array with any other.
READER_HDF5_FILTERS: Final = frozenset({1, 2, 3, 32000})  # deflate, shuffle, fletcher32, LZF
READER_ZARR2_COMPRESSORS: Final = frozenset(
    {"gzip", "zlib", "blosc", "zstd", "lz4", "crc32c", "shuffle", "bitround"}
)
READER_ZARR2_FILTERS: Final = frozenset({"vlen-utf8", "vlen-bytes", "shuffle", "bitround"})
READER_ZARR3_CODECS: Final = frozenset(
    {"transpose", "bytes", "endian", "vlen-utf8", "vlen-bytes", "sharding_indexed"}
    | {"gzip", "zstd", "blosc", "crc32c"}
    | {f"numcodecs.{name}" for name in READER_ZARR2_COMPRESSORS}
)
# Encodings of newer versions of anndata, of which it is not known whether the reader has them.
UNKNOWN_TO_READER: Final = frozenset({"nullable-string-array"})

LONGEST_KEY: Final = 255  # bytes of a file name
FORBIDDEN: Final = re.compile(r'[/\\<>:"|?*\x00-\x1f]')  # characters that no key may hold
DEVICES: Final = frozenset(
    {"CON", "PRN", "AUX", "NUL"} | {f"{name}{i}" for name in ("COM", "LPT") for i in range(1, 10)}
)

LONGEST_ID: Final = 180  # characters
ID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,178}[A-Za-z0-9_-])?", re.ASCII)
# Characters without a glyph, which no text may hold that the viewer shows as it is stored.
INVISIBLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200b\u2060\ufeff]")
# White space, which none of them may begin or end with.
SPACES: Final = " \u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
# Keys of obsm that the viewer shows by itself: the first of them that has 1 to 3 columns. Only if
# there is none of X_umap_1d, X_umap_2d and X_umap_3d, which it shows all.
SHOWN: Final = ("X_umap", "X_UMAP", "X_wnn.umap", "X_ref.umap")


def encoding(kind: str, version: str = "0.2.0") -> dict[str, str]:
    """Attributes that say how anndata encodes an element."""
    return {"encoding-type": kind, "encoding-version": version}


def may_need_float64(dtype: np.dtype[Any]) -> bool:
    """Whether a type holds whole numbers that float32 skips, so that X may be float64."""
    return dtype.kind in "iuf" and dtype.itemsize > (4 if dtype.kind == "f" else 2)
