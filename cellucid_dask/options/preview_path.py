"""Where a sheet goes, and what is wrong with that; found out before anything is read or drawn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cellucid_dask import format as fmt
from cellucid_dask.errors import Problem
from cellucid_dask.options.export import file_problems

FORMATS: Final = (".png", ".pdf", ".svg")
INSTALL: Final = "pip install 'cellucid-dask[preview]'"


def target_problems(path: Path, option: str) -> Iterator[Problem]:
    """Say why no sheet can be written to `path`; changes nothing.

    Parameters
    ----------
    option
        How the user names the file.
    """
    if find_spec("matplotlib") is None:
        yield Problem("a preview needs matplotlib, which is not installed", fix=INSTALL)
    if path.suffix.lower() not in FORMATS:
        known = f"end it in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        yield Problem(f"{str(path)!r} names no format of a preview", option, known)
    # Verify would report it as a file that is none of the export.
    above = list(Path(os.path.realpath(path)).parents)
    inside = [folder for folder in above if (folder / fmt.IDENTITY).is_file()]
    if inside:
        fix = "name a file in another folder"
        yield Problem(f"{str(path)!r} lies in the export {str(inside[0])!r}", option, fix)
    else:
        yield from file_problems(path, option)
