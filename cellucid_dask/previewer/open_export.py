"""An export to draw: opened by the decoder of `cellucid_dask.verify`, which trusts no file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellucid_dask import format as fmt
from cellucid_dask.errors import Problem, ReadError
from cellucid_dask.verify.export_folder.arrays import Array, ArrayReader
from cellucid_dask.verify.export_folder.checks import check_points
from cellucid_dask.verify.export_folder.checksums import read_checksums
from cellucid_dask.verify.export_folder.contents import (
    CategoricalField,
    Contents,
    Values,
    read_contents,
)
from cellucid_dask.verify.export_folder.files import DamagedError, find_export_files
from cellucid_dask.verify.export_folder.manifests import read_manifests

FIX = "'cellucid-dask verify' lists all that is wrong with it; export it again"


@dataclass(frozen=True, slots=True)
class Opened:
    """An export whose manifests can be read.

    Parameters
    ----------
    folder
        Where it is, as it was given.
    identity
        ``dataset_identity.json``.
    """

    folder: Path
    identity: dict[str, Any]
    contents: Contents
    reader: ArrayReader

    def points(self, dim: int) -> Array:
        """(n_cells, dim) float32, all of them finite and within [-1, 1]."""
        found = self.reader.read_points(dim)
        for wrong in check_points(self.contents.points[dim].path, found):
            raise DamagedError(wrong)
        return found

    def codes(self, field: CategoricalField) -> Array:
        """(n_cells,) codes as they are stored, each of a category or the marker of missing ones."""
        codes = self.reader.read_array(field.resource, field.code.dtype, self.contents.n_cells)
        n, path = len(field.labels), field.resource.path
        for start in range(0, codes.size, 1 << 20):
            block = codes[start : start + (1 << 20)]
            if bool(((block >= n) & (block != field.code.missing)).any()):
                raise DamagedError(f"{path}: has codes beyond its {n} categories")
        return codes

    def stored(self, field: Values) -> Array:
        """(n_cells,) values as they are stored: float32 or codes."""
        return self.reader.read_stored(field)


def open_export(folder: Path) -> Opened:
    """Open the export in `folder`.

    Raises
    ------
    InputError
        When there is none.
    ReadError
        When its manifests are missing, damaged or make no sense.
    """
    files, problems = find_export_files(folder), list[str]()
    files.listed = read_checksums(files, problems)
    manifests = read_manifests(files, problems)
    contents = read_contents(manifests, problems) if manifests else None
    if problems or not manifests or contents is None:
        damage = [Problem(text, str(folder), FIX) for text in dict.fromkeys(problems)]
        raise ReadError.of(damage[:10])
    return Opened(folder, manifests[fmt.IDENTITY], contents, ArrayReader(files, contents))


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Raise damage to a file as the error that the command tells.

    Raises
    ------
    ReadError
        Which names the file.
    """
    try:
        yield
    except DamagedError as damage:
        raise ReadError(str(damage), where=str(folder), fix=FIX) from damage
