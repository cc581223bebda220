"""A picture of an export for a log or a mail: read, drawn on a sheet of thumbnails, written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cellucid_dask.arguments.boundary import CallerNames, check_argument_types, with_argument_names
from cellucid_dask.errors import CellucidDaskError, OptionError, OutputError, Problem
from cellucid_dask.files import write_atomically
from cellucid_dask.options.preview_path import check_preview_path
from cellucid_dask.previewer.matplotlib_setup import defaults, require_matplotlib
from cellucid_dask.previewer.open_export import Opened, open_export, telling
from cellucid_dask.previewer.select_panels import Field, choose
from cellucid_dask.verify.export_folder.contents import Contents

SIDE: Final = 320  # pixels of a thumbnail
STRIP: Final = 150  # height of one in 1D
WIDEST: Final = 8  # thumbnails in a row


@with_argument_names(CallerNames({"out_dir": "out"}))
@check_argument_types
def preview(
    export: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    color: str | Sequence[str] = (),
    *,
    dimension: int | None = None,
    columns: int | None = None,
) -> Path:
    """Draw an export on a sheet of thumbnails.

    Parameters
    ----------
    export
        Folder of the export.
    out
        File to write: .png, .pdf or .svg. ``NAME-preview.png`` in the current folder when it is
        not given, NAME being that of the folder. What was there is replaced.
    color
        What to colour by, in this order: keys of obs and names of genes; ``obs:KEY`` and
        ``gene:NAME`` where both have one. By default the first few columns of obs.
    dimension
        Embedding to draw: 1, 2 or 3. By default 2, else 3, else 1.
    columns
        Thumbnails in a row. By default 2, and 3 where there are more than 6.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    CellucidDaskError
        With every problem; nothing was written then.
    """
    require_matplotlib()
    folder = Path(export)
    name = Path(os.path.abspath(folder)).name  # noqa: PTH100  the name it was given, if a link
    target = Path(f"{name}-preview.png" if out is None else out)
    problems = [*check_preview_path(target, "--out"), *_number_problems(columns)]
    try:
        opened = open_export(folder)
    except CellucidDaskError as error:
        raise type(error).of([*problems, *error.problems]) from error
    asked = [color] if isinstance(color, str) else list(color)
    fields = choose(opened.contents, asked, problems)
    dim = _dimension(opened.contents, dimension, problems)
    if problems:
        raise OptionError.of(problems)
    with telling(folder):
        drawn = _drawn(opened, fields, dim, columns, target.suffix[1:].lower())
    _write_sheet(target, drawn)
    return target


def _number_problems(columns: int | None) -> Iterator[Problem]:
    if columns is not None and not 1 <= columns <= WIDEST:
        fix = f"use 1 to {WIDEST}"
        yield Problem(f"{columns} is not a number of columns", "--columns", fix)


def _dimension(contents: Contents, asked: int | None, problems: list[Problem]) -> int:
    """Choose what lies flat on paper, where nothing else was asked for."""
    if asked is None:
        return next(dim for dim in (2, 3, 1) if dim in contents.points)
    if asked not in contents.points:
        fix = "there are: " + ", ".join(map(str, contents.points))
        problems.append(Problem(f"there is no embedding in {asked}D", "--dimension", fix))
    return asked


def _drawn(
    opened: Opened, fields: list[Field], dim: int, columns: int | None, ending: str
) -> bytes:
    """Bytes of a sheet; the fields are read one after the other."""
    from cellucid_dask.previewer.canvas import place
    from cellucid_dask.previewer.panels import make_panel
    from cellucid_dask.previewer.sheet import Layout, Sheet
    from cellucid_dask.previewer.text_layout import Letters

    several: list[Field | None] = [*fields] or [None]
    columns = min(len(several), columns or (3 if len(several) > 6 else 2))
    layout = Layout(columns, SIDE, STRIP if dim == 1 else SIDE)
    canvas = place(opened.points(dim), layout.width, layout.height)
    panels = [make_panel(opened, field, canvas, layout.rows) for field in several]
    name = opened.identity["name"]
    labels = [entry.label for panel in panels for entry in panel.entries]
    letters = Letters([name, opened.identity["created_at"], *(p.title for p in panels), *labels])
    with defaults(letters.families):
        sheet = Sheet(layout, len(panels), letters)
        sheet.head(name, _facts(opened, dim))
        for index, panel in enumerate(panels):
            sheet.add(index, panel)
        return sheet.encoded(ending)


def _write_sheet(path: Path, drawn: bytes) -> None:
    try:
        write_atomically(Path(os.path.realpath(path)), [drawn], durable=True)  # through a link
    except OSError as error:
        what = f"the preview cannot be written ({error.strerror})"
        raise OutputError(what, where=str(path)) from error


def _facts(opened: Opened, dim: int) -> list[str]:
    cells, genes = opened.contents.n_cells, len(opened.contents.genes)
    made = opened.identity["created_at"].replace("T", " ").replace("Z", " UTC")
    return [
        f"{cells:,} cell{'' if cells == 1 else 's'}",
        f"{genes:,} gene{'' if genes == 1 else 's'}" if genes else "no genes",
        f"embedding in {dim}D",
        f"made {made}",
    ]
