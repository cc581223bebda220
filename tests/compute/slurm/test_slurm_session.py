"""Tests that the SLURM of the test processes is there until the last of them has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import slurm_local

TESTS = Path(__file__).parents[2]


def test_pytest_that_a_test_starts_leaves_slurm_to_the_others(tmp_path: Path) -> None:
    """It once removed the folder: tests on SLURM failed when the sanitizers ended first."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    words = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*words, str(TESTS / "test_block_writer.py")],
        cwd=TESTS.parent,
        env=os.environ | {slurm_local.FOLDER: str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert folder.exists()
