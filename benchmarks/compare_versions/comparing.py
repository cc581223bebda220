"""Run a case with both versions and compare what they leave."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare_versions.cases import FIXED, Case
from benchmarks.compare_versions.trees import Outcome, Version

RUN_FOLDER = re.compile(r"\S*/(before|after)-(check|\d+)/")
SIZE = re.compile(r"[\d.]+ ?[kMGT]?B\b")


@dataclass(slots=True)
class Comparison:
    """What a case showed.

    Parameters
    ----------
    name
        The case.
    code
        Exit code of the first export of the version before.
    exports
        Pairs of exports that were compared.
    files
        Pairs of files that were compared.
    differences
        Differences of exit codes and of files: none is allowed.
    messages
        Pairs of texts that differ: they are reported, not counted.
    """

    name: str
    code: int = 0
    exports: int = 0
    files: int = 0
    differences: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def compare_case(
    case: Case,
    versions: Sequence[Version],
    workers: Sequence[int],
    folder: Path,
    *,
    decoded: bool = False,
) -> Comparison:
    """Run ``check`` and then exports with each number of workers, by both versions.

    Each run writes to a folder of its own below `folder`, which is removed once it was compared.

    Parameters
    ----------
    decoded
        As in `_compare_folders`.
    """
    comparison = Comparison(case.name)
    command = ["check", str(case.path), *case.reading]
    outcomes = [_run(version, command, folder / f"{version.name}-check") for version in versions]
    _compare_outcomes(comparison, "check", outcomes)
    for count in workers:
        label = f"{count} worker{'s' if count > 1 else ''}"
        command = ["export", str(case.path), "-o", "out", "--quiet", "--workers", str(count)]
        command += [*FIXED, *case.reading, *case.writing]
        folders = [folder / f"{version.name}-{count}" for version in versions]
        pairs = zip(versions, folders, strict=True)
        outcomes = [_run(version, command, path) for version, path in pairs]
        _compare_outcomes(comparison, label, outcomes)
        _compare_folders(comparison, label, *folders, decoded=decoded)
        if count == workers[0]:
            comparison.code = outcomes[0].code
        comparison.exports += 1
    shutil.rmtree(folder)
    return comparison


def _run(version: Version, command: Sequence[str], folder: Path) -> Outcome:
    folder.mkdir(parents=True)
    return version.run(command, folder, folder.with_name(folder.name + ".txt"))


def _normalize_text(text: str) -> str:
    """Replace what differs between two runs of one version: folders and measured sizes."""
    return SIZE.sub("SIZE", RUN_FOLDER.sub("FOLDER/", text))


def _compare_outcomes(comparison: Comparison, label: str, outcomes: Sequence[Outcome]) -> None:
    before, after = outcomes
    if before.code != after.code:
        comparison.differences.append(
            f"{label}: exit code {before.code} before, {after.code} after:\n{after.text}"
        )
    if _normalize_text(before.text) != _normalize_text(after.text):
        comparison.messages.append(f"{label}, before:\n{before.text}after:\n{after.text}")


def _compare_folders(
    comparison: Comparison, label: str, before: Path, after: Path, *, decoded: bool
) -> None:
    """Compare two folders file by file, hidden and unfinished files included.

    Parameters
    ----------
    decoded
        Compare genes without their gzip compression, and of the checksums which files they name.
    """
    read = _read_decoded if decoded else Path.read_bytes
    old, new = _list_files(before), _list_files(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            comparison.differences.append(f"{label}: {name} is only written before")
        elif name not in old:
            comparison.differences.append(f"{label}: {name} is only written after")
        else:
            comparison.files += 1
            if read(old[name]) != read(new[name]):
                comparison.differences.append(f"{label}: the bytes of {name} differ")


def _read_decoded(path: Path) -> bytes:
    content = path.read_bytes()
    if path.parent.name == "var" and path.suffix == ".gz":
        return gzip.decompress(content)
    if path.name == "checksums.json":
        return "\n".join(json.loads(content)["files"]).encode()
    return content


def _list_files(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
