"""Checks that a run can write its outputs: folder, ready files, report, preview."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from cellucid_dask.errors import Problem
from cellucid_dask.exporter.ready_places import ready_place_problems
from cellucid_dask.exporter.recovery.outputs import STAGING, checksums_path
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.options.output_files import is_writable
from cellucid_dask.options.run import RunOptions
from cellucid_dask.ready.facts import CHECKSUMS


def existing_parent(path: Path) -> Path:
    """Nearest folder above `path` that exists."""
    return next(parent for parent in path.parents if os.path.lexists(parent))


def output_problems(
    outputs: Mapping[str, Path], run: RunOptions, data: str | None = None
) -> list[Problem]:
    """Say what is wrong with the outputs, the scratch and the report; creates nothing.

    Parameters
    ----------
    outputs
        Path of each format.
    data
        The file or folder that is exported.
    """
    found = [p for kind, path in outputs.items() for p in _of_output(kind, path, run, data)]
    return list(dict.fromkeys(found))


def _of_output(kind: str, given: Path, run: RunOptions, data: str | None) -> list[Problem]:
    out, where = Path(os.path.abspath(given)), str(given)  # noqa: PTH100  links stay links
    places = _folder_problems if kind == FOLDER else partial(ready_place_problems, kind)
    found = [*_name_problems(kind, out, where), *_data_problems(kind, out, where, run, data)]
    try:
        found = found or [*places(out, where, force=run.force)]
    except OSError as error:
        found = [Problem(f"cannot be read ({error.strerror})", where, "check its permissions")]
    return found or _parent_problems(out, where)


def _folder_problems(out: Path, where: str, *, force: bool) -> Iterator[Problem]:
    if out.exists() and not out.is_dir():
        yield Problem("is a file", where, "name a folder")
    elif out.is_dir() and any(out.iterdir()) and not force:
        fix = "choose another --out, or replace it with --force"
        yield Problem("exists and is not empty", where, fix)


def _parent_problems(out: Path, where: str) -> list[Problem]:
    parent = existing_parent(out)
    if not parent.is_dir():
        what = f"cannot be made: {str(parent)!r} is a file"
        if not parent.is_file():
            what = f"cannot be made: {str(parent)!r} is a link that leads nowhere"
        return [Problem(what, where, "name another folder with --out")]
    if not is_writable(parent):
        what = f"cannot be made: the folder {str(parent)!r} cannot be written"
        return [Problem(what, where, "check its permissions, or name another folder with --out")]
    return []


def _name_problems(kind: str, out: Path, where: str) -> list[Problem]:
    """Names and places that are always refused."""
    fix = "name a folder of its own, such as exports/NAME"
    longest = 255 - len(STAGING.format("" if kind == FOLDER else CHECKSUMS))
    if any(len(os.fsencode(part)) > longest for part in out.parts):
        return [Problem(f"has a name of more than {longest} bytes", where, "name it shorter")]
    if any("\udc80" <= letter <= "\udcff" for letter in str(out)):
        return [Problem("has a name that is not UTF-8", ascii(where), "name it otherwise")]
    if out.is_symlink():
        return [Problem("is a symbolic link", where, "name the folder or file it points to")]
    resolved = out.resolve()
    for what, find in (("home", Path.home), ("current", Path.cwd)):
        try:
            place = find()
        except (OSError, RuntimeError):  # no home, or a current folder that was deleted
            continue
        if place.resolve().is_relative_to(resolved):
            return [Problem(f"is or holds the root, home or current folder ({what})", where, fix)]
    return []


def _data_problems(
    kind: str, out: Path, where: str, run: RunOptions, data: str | None
) -> list[Problem]:
    """Places where the run would write over what it reads."""
    found: list[Problem] = []
    source = Path(data).resolve() if data is not None else None
    resolved = out.resolve()
    if source is not None and (source.is_relative_to(resolved) or resolved.is_relative_to(source)):
        fix = "name a folder of its own, such as exports/NAME"
        found.append(Problem("is, holds or lies in the data", where, fix))
    if source is not None and run.scratch is not None:
        scratch = Path(run.scratch).resolve()
        if source == scratch or source in scratch.parents:
            fix = "name a folder of its own"
            found.append(Problem(f"{str(scratch)!r} is or lies in the data", "--scratch", fix))
    written = {
        "--report": run.report,
        "--performance-report": run.performance_report,
        "--preview": run.preview,
    }
    for option, path in written.items():
        report = None if path is None else Path(path).resolve()
        places = [("data", source), ("output", resolved)]
        if kind != FOLDER:
            places.append(("checksums of the output", checksums_path(kind, resolved)))
        for what, place in places:
            if report and place and (report == place or place in report.parents):
                fix = "name a file of its own"
                found.append(Problem(f"{str(report)!r} is or lies in the {what}", option, fix))
    return found
