"""The file of a preview; checked before anything is read or drawn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cellucid_dask import format as fmt
from cellucid_dask.errors import Problem
from cellucid_dask.options.output_files import check_output_file

FORMATS: Final = (".png", ".pdf", ".svg")
INSTALL: Final = "pip install matplotlib"


def check_preview_path(path: Path, option: str) -> Iterator[Problem]:
    """Find the reasons why no preview can be written to `path`; change nothing.

    Parameters
    ----------
    option
        The option or argument that names the file.
    """
    if find_spec("matplotlib") is None:
        yield Problem("a preview needs matplotlib, which is not installed", fix=INSTALL)
    if path.suffix.lower() not in FORMATS:
        known = f"end it in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        yield Problem(f"{str(path)!r} names no format of a preview", option, known)
    # `verify` would report it as a file that is not of the export.
    parents = list(Path(os.path.realpath(path)).parents)
    inside = [folder for folder in parents if (folder / fmt.IDENTITY).is_file()]
    if inside:
        fix = "name a file in another folder"
        yield Problem(f"{str(path)!r} lies in the export {str(inside[0])!r}", option, fix)
    else:
        yield from check_output_file(path, option)
