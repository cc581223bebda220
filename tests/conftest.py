"""Atlases to export: small ones, made anew for each test, and the real files."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import pytest
from anndata import AnnData
from oracle import make_atlas, silent

# Started in the background of a shell, or by nohup, this process ignores signals, and so would
# every command that a test interrupts.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

REAL = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def real_file() -> Callable[[str], Path]:
    """Path of a real file by its name; skips where the files are not at hand."""

    def find(name: str) -> Path:
        path = REAL / name
        if not path.is_file():
            pytest.skip(f"the real file {name} is not in {REAL}")
        return path

    return find


@pytest.fixture
def atlas() -> AnnData:
    """220 cells x 30 genes with a bit of everything."""
    return make_atlas()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Write an AnnData to a file of the test and return its path."""

    def save(adata: AnnData, name: str = "atlas.h5ad", **options: Any) -> Path:
        path = tmp_path / name
        write = adata.write_h5ad if path.suffix == ".h5ad" else adata.write_zarr
        with ad.settings.override(allow_write_nullable_strings=True):
            silent(write, path, **options)
        return path

    return save


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder for temporary files, which the test looks into."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder
