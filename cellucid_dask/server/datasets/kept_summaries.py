"""Outlier quantiles and centroids on disk, beside the gene indexes: the next server has them.

    FOLDER/summaries/DIGEST    see `cellucid_dask.server.gene_index.sealed_file`

The digest is of the facts: the column, and what else its numbers depend on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Final, Literal

from cellucid_dask.server.cache_folder import DAY_SECONDS, SUMMARIES
from cellucid_dask.server.gene_index.lock import remove_other_versions
from cellucid_dask.server.gene_index.sealed_file import read_sealed, write_sealed

Kind = Literal["outliers", "centroids"]

VERSION: Final = 1  # of the numbers: another one when they are computed otherwise


class KeptSummaries:
    """A place for the summaries of one version of a file.

    Parameters
    ----------
    folder
        From `cellucid_dask.server.cache_folder.summaries_folder`; created when needed.
    facts
        What the summaries of all columns depend on, as plain data.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self._folder = folder
        self._facts = {
            "format": "cellucid-dask obs summaries",
            "version": VERSION,
            "source": folder.name,
            **facts,
        }

    def _place(self, kind: Kind, key: str) -> tuple[Path, dict[str, Any]]:
        facts = {**self._facts, "kind": kind, "column": key}
        digest = sha256(json.dumps(facts).encode()).hexdigest()
        return self._folder / SUMMARIES / digest[:32], facts

    def load(self, kind: Kind, key: str) -> tuple[bytes, list[float]] | None:
        """Content of a column's file and the range of its values; None where it is not kept."""
        path, expected = self._place(kind, key)
        found = read_sealed(path)
        if found is None:
            return None
        facts, content = found
        span = facts.pop("span", None)
        return (content, span) if facts == expected and isinstance(span, list) else None

    def save(self, kind: Kind, key: str, content: bytes, span: list[float]) -> None:
        """Keep the content of a column's file; a folder that cannot be written keeps none."""
        path, facts = self._place(kind, key)
        if write_sealed(path, {**facts, "span": span}, content):
            remove_other_versions(self._folder)
            self._remove_unfinished()

    def _remove_unfinished(self) -> None:
        """Remove files of killed servers; only old ones, as another server may be writing."""
        for path in (self._folder / SUMMARIES).glob("*.part"):
            with suppress(OSError):
                if time() - path.stat().st_mtime > DAY_SECONDS:
                    path.unlink()
