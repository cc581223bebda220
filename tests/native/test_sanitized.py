"""The library under ASan and UBSan: with inputs of the fuzzer, and with the other tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sanitizers import find_sanitizer

FOLDER = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    find_sanitizer() is None, reason="there is no cc with a shared ASan"
)


def run(script: str, *arguments: str) -> str:
    """Run a script of this folder that must succeed; return what it prints."""
    command = [sys.executable, str(FOLDER / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_random_and_hostile_inputs_stay_within_bounds() -> None:
    assert "2000 rounds without a finding" in run("fuzz.py", "--rounds", "2000", "--seed", "1")


def test_other_tests_find_no_undefined_behaviour() -> None:
    told = run("sanitizers.py", "--hypothesis-profile", "few", "-k", "not more_cells")
    assert " passed" in told
    assert "skipped" not in told
