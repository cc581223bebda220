"""The counts of X on disk, beside the gene index: a server that starts again reads no matrix.

    FOLDER/counts/DIGEST    the counts (zlib of int64), sealed

The digest is of the genes and of the cells that are left out. See
`cellucid_dask.server.gene_index.sealed_file`.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.server.cache_folder import COUNTS
from cellucid_dask.server.gene_index.lock import remove_other_versions
from cellucid_dask.server.gene_index.sealed_file import read_sealed, write_sealed
from cellucid_dask.server.ready.value_counts import ValueCounts
from cellucid_dask.source.rows.row_selection import RowSelection

VERSION: Final = 1


class KeptCounts:
    """A place for the counts of one choice of genes and cells.

    Parameters
    ----------
    folder
        Of the gene index of the matrix; its name tells the version of the file.
    genes, selection
        The genes, and the cells that are kept; None keeps all.
    """

    def __init__(self, folder: Path, genes: Genes, selection: RowSelection | None) -> None:
        dropped = np.zeros(0, np.int64) if selection is None else selection.dropped
        digest = sha256(genes.columns.astype("<i8").tobytes() + b"/")
        digest.update(dropped.astype("<i8").tobytes())
        self._folder, self._sparse = folder, genes.matrix.is_sparse
        self._path = folder / COUNTS / digest.hexdigest()[:32]
        self._n_genes = len(genes.ids) if self._sparse else 0
        self._facts = {
            "format": "cellucid-dask expression counts",
            "version": VERSION,
            "source": folder.name,
            "shape": list(genes.matrix.shape),
            "genes": digest.hexdigest(),
        }

    def load(self) -> ValueCounts | None:
        """Read the counts; None where there are none."""
        found = read_sealed(self._path)
        if found is None:
            return None
        facts, packed = found
        try:
            dtype = facts.pop("dtype")
            counts = np.frombuffer(zlib.decompress(packed), "<i8").astype(np.int64)
        except (ValueError, KeyError, zlib.error):
            return None
        if facts != self._facts or counts.size != self._n_genes:
            return None
        return ValueCounts(dtype, counts)

    def remove(self) -> None:
        """Remove the counts, which are not those of the matrix."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def save(self, found: ValueCounts) -> None:
        """Write the counts; a folder that cannot be written keeps none."""
        packed = zlib.compress(found.counts.astype("<i8").tobytes(), 1)
        if write_sealed(self._path, {**self._facts, "dtype": found.dtype}, packed):
            remove_other_versions(self._folder)
