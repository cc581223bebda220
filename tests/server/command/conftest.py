"""An export, an environment without SSH, SLURM and token."""

from __future__ import annotations

from pathlib import Path

import pytest
from oracle import CREATED, make_atlas
from serving import SESSION_VARIABLES, with_long_payload

from cellucid_dask import export

BIG = 10_000_000  # bytes; streamed, and more than the kernel holds for a client


@pytest.fixture(scope="session")
def atlas_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small export; no test changes it."""
    folder = tmp_path_factory.mktemp("command") / "pbmc"
    names = {"dataset_id": "pbmc", "dataset_name": "PBMC of Ada", "created_at": CREATED}
    export(make_atlas(60, 6), folder, quiet=True, workers=1, **names)
    return folder


@pytest.fixture(scope="session")
def long_export(atlas_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a file that takes some time to send."""
    return with_long_payload(atlas_export, tmp_path_factory.mktemp("long"), BIG)


@pytest.fixture(autouse=True)
def _no_ssh_slurm_or_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SESSION_VARIABLES, "CELLUCID_DASK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
