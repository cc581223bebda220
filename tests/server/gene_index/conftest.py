"""Processes that build an index, killed at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forks import Forked, fork


@pytest.fixture
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start Python processes, each with a file for its output; they are killed after the test."""
    started: list[Forked] = []

    def start(text: str, *words: object) -> tuple[Forked, Path]:
        folder = tmp_path_factory.mktemp("child")
        (folder / "run.py").write_text(text)
        said, script = folder / "said", str(folder / "run.py")
        said.touch()
        started.append(fork(*words, cwd=folder, out=said, script=script))
        return started[-1], said

    yield start
    for child in started:
        child.kill()
        child.wait()
