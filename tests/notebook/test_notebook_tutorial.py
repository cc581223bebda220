"""The tutorial in a notebook, in a real kernel: what it shows is what its cells print now."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from doc_pages import DOCS, HOME, REWRITE, Session, agree
from notebooks import Frame

TUTORIAL = DOCS / "tutorials" / "notebook.ipynb"
FRAME = "remove-output"  # tag of a cell whose frame is dead in a site, which shows a picture


def printed(outputs: list[Any]) -> list[str]:
    """Lines of the outputs of a cell, as text and, where there is one, in its table."""
    texts = [output["text"] for output in outputs if "text" in output]
    for output in outputs:
        data = output.get("data", {})
        texts += [data.get("text/plain", ""), re.sub(r"<[^>]+>", "\n", data.get("text/html", ""))]
    return [line for text in texts for line in text.splitlines() if line.strip()]


def test_the_tutorial_shows_what_is_printed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is missing")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(TUTORIAL, as_version=4)
    shown = [cell.get("outputs", []) for cell in notebook.cells]
    resources = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(notebook, resources=resources, timeout=120)
    client.execute(env=Session(tmp_path).environment)
    notebook = nbformat.reads(nbformat.writes(notebook).replace(str(tmp_path), HOME), as_version=4)
    for cell, before in zip(notebook.cells, shown, strict=True):
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        if FRAME in cell.metadata.get("tags", ()):
            [output] = cell.outputs
            assert Frame(output.data["text/html"]).url.hostname == "127.0.0.1"
            cell.outputs = []
        elif not agree(printed(before), printed(cell.outputs)):
            told = (cell.source, "shows", *printed(before), "and prints", *printed(cell.outputs))
            assert pytestconfig.getoption("rewrite_pages"), "\n".join((*told, REWRITE))
        else:
            cell.outputs = before  # as it was, in times and sizes too
    if pytestconfig.getoption("rewrite_pages"):
        nbformat.write(notebook, TUTORIAL)
