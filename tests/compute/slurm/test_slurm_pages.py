"""The pages on a cluster, on a real SLURM."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_pages import NATIVE, compare
from slurm_local import Slurm


@NATIVE
@pytest.mark.parametrize("page", ["tutorials/hpc.md", "how-to/slurm.md"])
def test_a_page_on_a_cluster_shows_what_is_printed(
    page: str,
    slurm: Slurm,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SBATCH_ACCOUNT", tmp_path.name)  # so that the queue is that of this page
    monkeypatch.setenv("SQUEUE_ACCOUNT", tmp_path.name)
    try:
        compare(page, tmp_path / "ada", pytestconfig)
    finally:
        slurm.cancel(*slurm.jobs(tmp_path))
