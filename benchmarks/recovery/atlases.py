"""Small atlases with two exports each: the expected one, and one that is replaced."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import click

from benchmarks.recovery.runs import Run
from cellucid_dask.exporter.output_names import name_outputs
from cellucid_dask.exporter.recovery.outputs import first_output, staging_folder
from cellucid_dask.options.formats import FOLDER, find_format_problems, split_formats
from cellucid_dask.ready.facts import CHECKSUMS
from cellucid_dask.synthetic import AtlasSpec, write_h5ad

Layout = Literal["csr", "csc", "dense"]
LAYOUTS: tuple[Layout, ...] = ("csr", "csc", "dense")
VERSIONS: Mapping[str, tuple[str, ...]] = {
    "": (),
    "3": ("--zarr-format", "3"),
    "shards": ("--zarr-format", "3", "--shards"),
}
FORMATS = ("folder", "zarr", "h5ad", "zarr.zip,zarr:shards", "folder,zarr,h5ad")
OUT = "out"  # how the names of all outputs begin
FIXED_OPTIONS = ("--dataset-id", "d", "--dataset-name", "d")
TIME = ("--created-at", "2026-01-31T12:00:00Z")  # only the folder holds one
STAGE_LINE = re.compile(r"^([a-z0-9. ]+): .* in ([\d.]+) s$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Formats:
    """What one export writes.

    Parameters
    ----------
    label
        The value of the option ``--format`` of this benchmark.
    names
        The formats.
    options
        Words of the command with which it writes them.
    """

    label: str
    names: tuple[str, ...]
    options: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Formats:
        """Parse formats as `export` takes them, with ``:3`` or ``:shards`` for those of zarr.

        Raises
        ------
        ValueError
            When there is no such format or version.
        """
        listed, _, version = text.partition(":")
        names = split_formats(listed)
        if version not in VERSIONS or any(find_format_problems(names)):
            raise ValueError(f"no format: {text}")
        options = ("--format", listed, *VERSIONS[version], *(TIME if FOLDER in names else ()))
        return cls(text, names, options)

    def name_outputs(self, folder: Path) -> dict[str, Path]:
        """Paths of the outputs in a folder, by format; the first one names the run."""
        return name_outputs(folder / OUT, self.names, "")

    def staging(self, folder: Path) -> Path:
        """Staging folder of a run that writes to a folder."""
        return staging_folder(first_output(self.name_outputs(folder)))


@dataclass(frozen=True, slots=True)
class Atlas:
    """An atlas and its uninterrupted exports.

    Parameters
    ----------
    genes, cells
        Its size.
    new, old
        Folders with the expected outputs, and with others that a run replaces.
    new_files, old_files
        Paths of all files of these outputs, with a digest of each.
    seconds
        How long each stage took, in the order in which they ended.
    """

    path: Path
    layout: Layout
    formats: Formats
    cells: int
    genes: int
    new: Path
    old: Path
    new_files: Mapping[str, str]
    old_files: Mapping[str, str]
    seconds: Mapping[str, float]

    def find_broken_outputs(self, files: Mapping[str, str], *, is_replacing: bool) -> list[str]:
        """Names in `files` that are neither the old nor the new output, or no checksums of it."""
        broken, left = [], dict(files)
        for name, path in self.formats.name_outputs(Path()).items():
            sums_name = f"{path.name}{CHECKSUMS}"
            sums, found = left.pop(sums_name, None), _pop_output(left, path.name)
            for expected in (self.new_files, self.old_files if is_replacing else {}):
                if found == _pop_output(dict(expected), path.name):
                    if sums not in (None, expected.get(sums_name)):
                        broken.append(sums_name)
                    break
            else:
                broken.append(f"{path.name} ({name})")
        return [*broken, *left]


def _pop_output(files: dict[str, str], name: str) -> dict[str, str]:
    """Remove and return the files of the output `name`."""
    return {n: files.pop(n) for n in list(files) if n.partition("/")[0] == name}


def digest_files(folder: Path) -> dict[str, str]:
    """Map every path below `folder` to a digest of the file, or to ``folder``."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
            if path.is_file()
            else "folder"
        )
        for path in sorted(folder.rglob("*"))
    }


def digest_outputs(folder: Path) -> dict[str, str]:
    """Digests of all outputs in `folder` and of what is beside them under their names."""
    return {name: found for name, found in digest_files(folder).items() if name.startswith(OUT)}


class Atlases:
    """Makes atlases, and the exports of each in each format, when they are first asked for."""

    def __init__(self, folder: Path, cells: int, genes: int, seed: int) -> None:
        self._folder, self._cells, self._genes, self._seed = folder, cells, genes, seed
        self.find_or_make = cache(self._make)

    def _make(self, layout: Layout, formats: Formats) -> Atlas:
        """Export an atlas twice without a kill."""
        # Fewer cells where every value is stored, so that the files are about as large.
        cells = self._cells if layout == "csr" else self._cells // 4
        path = self._folder / f"{layout}.h5ad"
        if not path.exists():
            spec = AtlasSpec(cells, self._genes, neighbors=5, layout=layout, seed=self._seed)
            write_h5ad(spec, path, compression="lzf")
        at = self._folder / layout / formats.label
        old, new = at / "old", at / "new"
        _export(path, old, [*formats.options, "--description", "old"])
        seconds = _export(path, new, formats.options)
        files = digest_files(new), digest_files(old)
        return Atlas(path, layout, formats, cells, self._genes, new, old, *files, seconds)


def _export(path: Path, folder: Path, options: Sequence[str]) -> dict[str, float]:
    """Export without a kill; return the seconds of each stage."""
    folder.mkdir(parents=True)
    words = ["export", str(path), "-o", str(folder / OUT), "--workers", "1", *FIXED_OPTIONS]
    run = Run([*words, *options], path.parent)
    if run.wait():
        raise click.ClickException(f"the expected export failed:\n{run.output}")
    return {stage: float(seconds) for stage, seconds in STAGE_LINE.findall(run.output)}
