"""Names that become groups of a ready file: columns of obs and var, arrays of obsm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cellucid_dask.errors import Problem
from cellucid_dask.ready.facts import DEVICES, FORBIDDEN, LONGEST_KEY, ZARR_NAMES

_MANY: Final = 10  # names with problems are listed, up to this number


def key_problems(
    keys: Iterable[str], noun: str, *, taken: Iterable[str] = (), fix: str = "rename it"
) -> list[Problem]:
    """Find the names that cannot stand side by side in one group of a ready file.

    In a zarr store each is a folder, on any system that the store is copied to. The rules are the
    same for an h5ad, which may be converted to zarr.

    Parameters
    ----------
    keys
        All names of the group, in order.
    noun
        What they are names of, such as ``obs columns``: the place of the problems.
    taken
        Names that the file uses for something else.
    fix
        What the user can do about one name.
    """
    used, first = frozenset(taken), dict[str, str]()
    found: list[Problem] = []
    for key in keys:
        other = first.get(key.casefold())
        first.setdefault(key.casefold(), key)
        if key in used:
            found.append(Problem(f"{key!r} is the name of the rows in the file", noun, fix))
        elif fault := _fault(key):
            found.append(Problem(fault, noun, fix))
        elif other == key:
            found.append(Problem(f"{key!r} is there twice", noun, fix))
        elif other is not None:
            what = f"{other!r} and {key!r} differ in upper and lower case alone"
            found.append(Problem(f"{what}: on some systems they are one name", noun, fix))
    if len(found) > _MANY:
        rest = Problem(f"and {len(found) - _MANY} more names that cannot be used", noun, fix)
        return [*found[:_MANY], rest]
    return found


def _fault(key: str) -> str:
    """What is wrong with one name; empty if nothing is."""
    if not key:
        return "there is an empty name"
    if forbidden := FORBIDDEN.search(key):
        return f"{key!r} has the character {forbidden[0]!r}, which file names cannot have"
    if key in (".", "..") or key in ZARR_NAMES:
        return f"{key!r} is a name that zarr needs for itself"
    if key.endswith((" ", ".")):
        return f"{key!r} ends with a space or a dot, which Windows removes from file names"
    if key.partition(".")[0].upper() in DEVICES:
        return f"{key!r} is the name of a device on Windows"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return f"{key!r} cannot be written as UTF-8"
    if size > LONGEST_KEY:
        return f"{key[:60]!r}... is too long for a file name ({size} bytes)"
    return ""
