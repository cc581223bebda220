"""``checksums.json``: size and crc32 of every file of an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.files import DamagedError, ExportFiles
from cellucid_dask.verify.export_folder.manifests import find_misfits, parse_strict_json

_SHAPE: Final = {"_format": str, "algorithm": str, "files": dict}


def read_checksums(files: ExportFiles, problems: list[str]) -> Mapping[str, tuple[int, int]] | None:
    """Read (bytes, crc32) by path; None when the file is missing or cannot be used."""
    if fmt.CHECKSUMS not in files:
        return None
    try:
        raw = files.read(fmt.CHECKSUMS)
        listed = parse_checksums(raw)
    except DamagedError as damage:
        problems.append(str(damage))
        return None
    except (ValueError, RecursionError) as error:
        problems.append(f"{fmt.CHECKSUMS}: is not strict JSON of the right shape ({error})")
        return None
    # Without this, an extra blank or capital letter would not be found: this file has no checksum.
    if fmt.dumps(fmt.checksums(listed)).encode() != raw:
        problems.append(f"{fmt.CHECKSUMS}: is not byte for byte as export writes it")
    if fmt.CHECKSUMS in listed:
        problems.append(f"{fmt.CHECKSUMS}: lists itself")
    return listed


def parse_checksums(raw: bytes) -> dict[str, tuple[int, int]]:
    """Return (bytes, crc32) by path.

    Raises
    ------
    ValueError
        When it is not strict JSON of the right shape.
    """
    payload = parse_strict_json(raw)
    _raise_misfit(next(find_misfits(payload, _SHAPE, "it", closed=True), ""))
    for path, entry in payload["files"].items():
        _raise_misfit(next(find_misfits(entry, (int, str), repr(path), closed=True), ""))
    return {path: (size, int(crc, 16)) for path, (size, crc) in payload["files"].items()}


def _raise_misfit(misfit: str) -> None:
    if misfit:
        raise ValueError(misfit)
