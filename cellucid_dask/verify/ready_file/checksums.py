"""``NAME.checksums.json`` beside a ready file: size and crc32 of each of its files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cellucid_dask.verify.export_folder.checksums import parse_checksums
from cellucid_dask.verify.export_folder.files import DamagedError
from cellucid_dask.verify.ready_file.container import ReadyFile
from cellucid_dask.verify.ready_file.stored import describe, errors_as_damage

_ENDING: Final = ".checksums.json"
_BLOCK: Final = 1 << 20


class ReadyChecksums:
    """The checksums of a ready file, if they are there.

    Attributes
    ----------
    listed
        (bytes, crc32) by path; None without a usable list.
    problems
        What is wrong with the list itself.
    """

    def __init__(self, path: Path) -> None:
        self.place = path.with_name(f"{path.name}{_ENDING}")
        self.problems: list[str] = []
        self.is_there = self.place.is_file()
        self.listed = self._read() if self.is_there else None

    def _read(self) -> Mapping[str, tuple[int, int]] | None:
        try:
            with errors_as_damage(self.place.name):
                raw = self.place.read_bytes()
            return parse_checksums(raw)
        except DamagedError as damage:
            self.problems.append(str(damage))
        except (ValueError, RecursionError) as error:
            what = f"is not strict JSON of the right shape ({describe(error)})"
            self.problems.append(f"{self.place.name}: {what}")
        return None

    def find_differences(self, file: ReadyFile) -> Iterator[str]:
        """Compare paths and sizes with the list."""
        if self.listed is None:
            return
        for path in sorted(self.listed.keys() - file.sizes.keys()):
            yield f"{path}: is missing"
        for path in sorted(file.sizes.keys() - self.listed.keys()):
            yield f"{path}: is not in {self.place.name}"
        for path, (size, _) in self.listed.items():
            if file.sizes.get(path, size) != size:
                has = f"has {file.sizes[path]} bytes, not {size}"
                yield f"{path}: {has} as in {self.place.name}"

    def file_checks(self, file: ReadyFile) -> list[Iterator[str]]:
        """Return a check of the bytes of each file that has the right size."""
        listed = self.listed or {}
        paths = [path for path, (size, _) in listed.items() if file.sizes.get(path) == size]
        return [self._check_file(file, path) for path in sorted(paths)]

    def _check_file(self, file: ReadyFile, path: str) -> Iterator[str]:
        crc = 0
        place = file.path / path if file.kind == "zarr" else file.path
        with errors_as_damage(path), place.open("rb") as opened:
            while block := opened.read(_BLOCK):
                crc = zlib.crc32(block, crc)
        expected = (self.listed or {})[path][1]
        if crc != expected:
            yield f"{path}: its crc32 is {crc:08x}, not {expected:08x} as in {self.place.name}"
