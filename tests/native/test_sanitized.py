"""The functions of the library under ASan and UBSan, with inputs of the fuzzer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import find_sanitizer

FUZZ = Path(__file__).with_name("fuzz.py")


@pytest.mark.skipif(find_sanitizer() is None, reason="there is no cc with a shared ASan")
def test_random_and_hostile_inputs_stay_within_bounds() -> None:
    command = [sys.executable, str(FUZZ), "--rounds", "3000", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3000 rounds without a finding" in done.stdout
