"""Fixtures of bad input: a command that must refuse, and data to spoil."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from atlas import atlas, finished, here, save, unfinished
from bad_inputs import Refuse


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def refuse(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Refuse:
    """Run a command that must be refused; returns its message."""

    def check(*arguments: object) -> str:
        before = finished(tmp_path)
        ended = here(capfd, *arguments)
        assert ended.code == 2, ended.err or ended.out
        assert "Traceback" not in ended.err
        assert "internal error" not in ended.err
        assert len(re.findall(r"^error:", ended.err, re.MULTILINE | re.IGNORECASE)) == 1
        assert finished(tmp_path) == before
        if unfinished(tmp_path):
            assert "the same command resumes from there" in ended.err
        return ended.err[ended.err.lower().index("error:") :]

    return check


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file with nothing wrong."""
    return save(atlas(), tmp_path / "good.h5ad")


@pytest.fixture
def chunked(tmp_path: Path) -> Path:
    """A file with several compressed chunks in X, in an embedding and in the obs columns."""
    return save(atlas(30_000, 8), tmp_path / "chunked.h5ad", compression="gzip")
