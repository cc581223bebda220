"""The tutorial on a cluster, on a real SLURM."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_pages import NATIVE, compare
from slurm_local import Slurm


@NATIVE
def test_the_tutorial_shows_what_is_printed(
    slurm: Slurm, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    try:
        compare("tutorials/hpc.md", tmp_path / "ada", pytestconfig)
    finally:
        slurm.cancel(*slurm.jobs(tmp_path))
