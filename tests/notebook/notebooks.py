"""Notebooks, their frames, and Jupyter servers for tests."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import Reply, ask, wait_until

CELLS, GENES = 300, 12


IDENTITY, POINTS = "dataset_identity.json", "points_2d.bin.gz"


class Frame(HTMLParser):
    """The one frame in the HTML of an output."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(html)
        assert len(self.found) == 1, html
        self.is_a = self.found[0]
        self.url = urlsplit(str(self.is_a["src"]))
        self.port = self.url.port or 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag == "iframe"
        self.found.append(dict(attrs))

    def ask(self, path: str = "", **more: Any) -> Reply:
        """Answer to a path below the page."""
        return ask(self.port, self.url.path + path, **more)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Notebook:
    """A notebook whose cells are run one by one."""

    def __init__(self, client: Any) -> None:
        self._client, self._nbformat = client, pytest.importorskip("nbformat")

    def run(self, source: str, *, fails: bool = False) -> list[Any]:
        """Outputs of a new cell."""
        cell = self._nbformat.v4.new_code_cell(source)
        cell.metadata["tags"] = ["raises-exception"] if fails else []
        self._client.nb.cells.append(cell)
        self._client.execute_cell(cell, len(self._client.nb.cells) - 1)
        return list(cell.outputs)

    def frame(self, source: str) -> Frame:
        """The frame that a cell shows, and nothing else."""
        outputs = self.run(source)
        assert [output.output_type for output in outputs] == ["execute_result"], outputs
        return Frame(outputs[0].data["text/html"])


@dataclass(frozen=True, slots=True)
class JupyterProcess:
    """A Jupyter server: its process and its port."""

    pid: int
    port: int


@contextmanager
def run_jupyter(runtime_folder: Path, *more: str) -> Iterator[Callable[[], JupyterProcess]]:
    """Start a Jupyter server at /user/ada/; what is given waits for it."""
    options = (
        "--no-browser",
        "--allow-root",
        "--ServerApp.base_url=/user/ada/",
        "--ServerApp.port=0",
        "--ServerApp.allow_remote_access=True",
        "--IdentityProvider.token=of-jupyter",
        f"--ServerApp.root_dir={runtime_folder}",
        *more,
    )
    log = runtime_folder / f"jupyter-{len(more)}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *options], stdout=out, stderr=out
        )
    try:

        def port() -> int:
            assert process.poll() is None, log.read_text()
            record = runtime_folder / f"jpserver-{process.pid}.json"
            with suppress(FileNotFoundError, json.JSONDecodeError):  # it is being written
                number = int(json.loads(record.read_text())["port"])
                return number if listens(number) else 0
            return 0

        yield lambda: JupyterProcess(
            process.pid, wait_until(port, "Jupyter does not start", pause=0.1)
        )
    finally:
        process.terminate()
        process.wait(240)
