"""Where each format of an export is written: paths from what the user names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from cellucid_dask.errors import Problem
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.ready.facts import FORMATS

_SUFFIXES: Final[Mapping[str, str]] = {
    FOLDER: "",
    **{str(key): suffix for key, suffix in FORMATS.items()},
}


def name_outputs(out: Path | None, formats: Sequence[str], default_name: str) -> dict[str, Path]:
    """Return the path of each format, in their order.

    A path that `find_name_problems` refuses is returned as the user should have written it.

    Parameters
    ----------
    out
        What the user names: the output; with several formats the folder, or any of the others.
    default_name
        Name of the outputs in ``exports``, if the user names nothing.
    """
    if out is not None and tuple(formats) == (FOLDER,):
        return {FOLDER: out}
    folder = Path("exports") if out is None else out.parent
    name, given = (default_name, "") if out is None else _split(out.name)
    written = out.name[len(name) :] if out is not None else ""  # the suffix, in the user's case
    known = {key: _SUFFIXES[key] for key in formats if key in _SUFFIXES} or {FOLDER: ""}
    return {
        key: folder / (name + (written if given == suffix else suffix))
        for key, suffix in known.items()
    }


def find_name_problems(out: Path | None, formats: Sequence[str]) -> Iterator[Problem]:
    """Find the reasons why the outputs cannot have the name that the user gives."""
    if out is None:
        return
    name, suffix = _split(out.name)
    if tuple(formats) == (FOLDER,):
        if name and suffix:
            what = f"ends in {suffix}, but a folder of files for the page of this package is made"
            fix = f"add --format {suffix[1:]}, or name it {str(out.with_name(name))!r}"
            yield Problem(what, str(out), fix)
    elif name in ("", ".."):
        fix = "name a folder or file of its own, such as exports/NAME"
        yield Problem("has no name besides folder and suffix", str(out), fix)
    elif suffix not in ("", *map(_SUFFIXES.get, formats)):
        right = next(iter(name_outputs(out, formats, "").values()))
        what = f"ends in {suffix}, which is none of the formats that are written"
        yield Problem(what, str(out), f"name it {str(right)!r}, or change --format")


def base_name(out: Path) -> str:
    """Name of an output without the suffix of its format."""
    return _split(out.name)[0] or out.name


def _split(name: str) -> tuple[str, str]:
    """Split a name into what comes before its suffix, and the suffix in lower case."""
    by_length = sorted(FORMATS.values(), key=len, reverse=True)  # the longest that fits
    suffix = next((suffix for suffix in by_length if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)], suffix
