"""The outputs of a run, one of each format: where they are made, and which files they have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from zlib_ng import zlib_ng

from cellucid_dask import format as fmt
from cellucid_dask.exporter.recovery.lock import MARK
from cellucid_dask.files import has_size
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.ready.facts import CHECKSUMS, FORMATS
from cellucid_dask.source.storage.fingerprint import short_digest

STAGING: Final = ".{}.cellucid-staging"
# The path of each output by its format, all in one folder; the first names the run.
Outputs: TypeAlias = Mapping[str, Path]
Sums: TypeAlias = Mapping[str, tuple[int, int]]  # (bytes, crc32) of files, by path in the output


def staging_folder(out: Path) -> Path:
    """Staging folder of the run whose first output is `out`."""
    out = out.absolute()
    return out.with_name(STAGING.format(out.name))


def first_output(outputs: Outputs) -> Path:
    """The output that names the run."""
    return next(iter(outputs.values()))


def name_line(out: Path) -> str:
    """Line of the mark of a staging folder that names an output."""
    return f"output {json.dumps(out.name)}"


def named_outputs(folder: Path) -> list[Path]:
    """Outputs of the run that left a staging folder, the first one first."""
    before, after = STAGING.split("{}")
    found = [folder.with_name(folder.name.removeprefix(before).removesuffix(after))]
    with suppress(OSError, ValueError):
        lines = (folder / MARK).read_text("utf-8").splitlines()
        names = [line.removeprefix("output ") for line in lines if line.startswith("output ")]
        found += [folder.with_name(json.loads(name)) for name in names]
    return list(dict.fromkeys(found))


def find_staging(out: Path) -> Path:
    """Staging folder of the run that makes `out`: its first output or another.

    The suffix of a ready file may be left out.
    """
    own = staging_folder(out)
    if own.is_dir():
        return own
    others = sorted(own.parent.glob(STAGING.format("*")))
    names = [out, *(out.with_name(out.name + suffix) for suffix in FORMATS.values())]
    return next((other for name in names for other in others if name in named_outputs(other)), own)


def staged_export_folder(folder: Path, provenance: Mapping[str, str] | None) -> Path:
    """Folder within a staging folder for an export of `provenance`.

    Workers of a killed run continue for seconds; what they write must not end up in an export
    of other data.
    """
    return folder / f"export-{_digest(provenance)}"


def staged_ready_folder(folder: Path, provenance: Mapping[str, str] | None) -> Path:
    """Folder within a staging folder for the ready files of `provenance`."""
    return folder / f"ready-{_digest(provenance)}"


def _digest(provenance: Mapping[str, str] | None) -> str:
    return short_digest(() if provenance is None else sorted(provenance.items()))


def staged_paths(
    folder: Path, provenance: Mapping[str, str] | None, outputs: Outputs
) -> dict[str, Path]:
    """Where each output is made, by its format."""
    ready = staged_ready_folder(folder, provenance)
    return {
        name: staged_export_folder(folder, provenance) if name == FOLDER else ready / path.name
        for name, path in outputs.items()
    }


def checksums_path(name: str, path: Path) -> Path:
    """Where the checksums of an output of the format `name` are: in a folder, else beside."""
    return path / fmt.CHECKSUMS if name == FOLDER else path.with_name(f"{path.name}{CHECKSUMS}")


def read_checksums(name: str, path: Path, crc32: int) -> Sums | None:
    """The checksums of the output at `path`; None unless they have this crc32 themselves."""
    with suppress(OSError):
        raw = checksums_path(name, path).read_bytes()
        if zlib_ng.crc32(raw) == crc32:
            files = json.loads(raw)["files"]
            return {file: (int(size), int(crc, 16)) for file, (size, crc) in files.items()}
    return None


def locate_files(name: str, path: Path, sums: Sums) -> Iterator[tuple[str, int, int]]:
    """Path, bytes and crc32 of each file of the output at `path`."""
    for file, (size, crc32) in sums.items():
        yield f"{path}/{file}" if name in (FOLDER, "zarr") else str(path), size, crc32


def has_sizes(name: str, path: Path, sums: Sums) -> bool:
    """Whether all files of an output are at `path`, by their sizes."""
    if path.is_symlink() or path.is_dir() != (name in (FOLDER, "zarr")):
        return False
    return all(has_size(file, size) for file, size, _ in locate_files(name, path, sums))
