"""``checksums.json``: size and crc32 of every file of an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.manifests import misfits, strict_json
from cellucid_dask.verify.export_folder.tree import DamagedError, Files

_SHAPE: Final = {"_format": str, "algorithm": str, "files": dict}


def read_checksums(files: Files, problems: list[str]) -> Mapping[str, tuple[int, int]] | None:
    """(bytes, crc32) by path; None when there is no such file, or it cannot be understood."""
    if fmt.CHECKSUMS not in files:
        return None
    try:
        raw = files.read(fmt.CHECKSUMS)
        listed = _parsed(raw)
    except DamagedError as damage:
        problems.append(str(damage))
        return None
    except (ValueError, RecursionError) as error:
        problems.append(f"{fmt.CHECKSUMS}: is not strict JSON of the right shape ({error})")
        return None
    # Without this, a blank or a capital more would go unnoticed: nothing sums up this file.
    if fmt.dumps(fmt.checksums(listed)).encode() != raw:
        problems.append(f"{fmt.CHECKSUMS}: is not byte for byte as an export has it")
    if fmt.CHECKSUMS in listed:
        problems.append(f"{fmt.CHECKSUMS}: lists itself")
    return listed


def _parsed(raw: bytes) -> dict[str, tuple[int, int]]:
    payload = strict_json(raw)
    _refuse(next(misfits(payload, _SHAPE, "it", closed=True), ""))
    for path, entry in payload["files"].items():
        _refuse(next(misfits(entry, (int, str), repr(path), closed=True), ""))
    return {path: (size, int(crc, 16)) for path, (size, crc) in payload["files"].items()}


def _refuse(misfit: str) -> None:
    if misfit:
        raise ValueError(misfit)
