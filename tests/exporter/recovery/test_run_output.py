"""Logs and reports that cannot be written, and values of SOURCE_DATE_EPOCH that are no time."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from atlas import HANGS, command
from forks import fork
from scenes import Scene


@pytest.mark.parametrize("which", ["out", "err"])
def test_a_log_that_cannot_be_written(small: Scene, which: str) -> None:
    """As on a home disk that is full."""
    assert fork(*small.words(), cwd=small.at, **{which: "/dev/full"}).wait(HANGS) == 0
    small.check()


def test_a_log_that_nobody_reads_to_its_end(small: Scene) -> None:
    line = " ".join(map(shlex.quote, command(*small.words())))
    words = ["bash", "-c", f"set -o pipefail; {line} 2>&1 >/dev/full | head -1"]
    done = subprocess.run(words, check=False, capture_output=True)
    assert done.returncode == 0, done
    small.check()


def test_a_report_whose_folder_is_removed(small: Scene) -> None:
    (small.at / "reports").mkdir()
    hook = 'sys.addaudithook(lambda e, a: e == "open" and "rows-" in str(a[0]) and rm())'
    rm = f"import os, sys\nrm = lambda: os.path.isdir({str(small.at / 'reports')!r}) and os.rmdir("
    first = f"{small.first}\n{rm}{str(small.at / 'reports')!r})\n{hook}\n"
    words = small.words("--report", small.at / "reports" / "r.json")
    running = small.launcher.start(*words, cwd=small.at, first=first)
    assert running.wait() == 2, running.said
    assert "the export itself is complete" in running.said
    assert "Traceback" not in running.said
    small.check()


@pytest.mark.parametrize(("epoch", "code"), [("", 0), ("xx", 2)])
def test_a_source_date_that_is_none(
    small: Scene,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    epoch: str,
    code: int,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    ended = small.command(capfd)
    assert ended.code == code, ended.err
    assert "internal error" not in ended.err
