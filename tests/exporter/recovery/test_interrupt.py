"""Stopping a run at any moment: its exit code, and that no file and no process is left."""

from __future__ import annotations

import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from atlas import Running, command, finished, leftovers, save_large, unfinished

SECONDS = 5  # within which a run must have ended after Ctrl-C
LENGTH = {1: 2.4, 2: 3.2}  # about how long the command runs, by its number of workers


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas whose export takes seconds; in a folder that no command line of a run is below."""
    return save_large(tmp_path_factory.mktemp("data") / "large.h5ad")


def _stopped(running: Running, took: float, *codes: int) -> None:
    said = running.log.read_text()
    if running.process.returncode == 0 and list(running.folder.glob("out/dataset_identity.json")):
        return  # it was done when the signal came
    assert running.process.returncode in codes, said
    assert took < SECONDS
    assert running.wait_alone(2) == []
    assert "Traceback" not in said, said
    left = [name for name in finished(running.folder) if name != "stderr.txt"]
    if any(name.endswith("/dataset_identity.json") for name in left):
        assert not any("staging" in name for name in left)  # it came after the last rename
        return
    assert left == [], "things are left"
    how = "interrupted" if -signal.SIGINT in codes else "terminated"
    assert f"{how}: no export is left half made" in said or -signal.SIGINT in codes, said
    if unfinished(running.folder):
        assert "the same command resumes from there" in said, said


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize(("workers", "group"), [(1, False), (2, False), (2, True)])
def test_ctrl_c_at_any_moment(
    large: Path, tmp_path: Path, workers: int, group: bool, half: int
) -> None:
    moment = LENGTH[workers] * (half + random.random()) / 2  # spread over the run
    words = ("export", large, "-o", "deep/out", "--workers", workers)
    with Running(*words, folder=tmp_path, anew=half == 1) as running:
        running.wait_until_ready()
        time.sleep(moment)
        if running.process.poll() is not None:
            pytest.skip(f"this machine was done within {moment:.1f} s")
        began = time.monotonic()
        running.signal(signal.SIGINT, group=group)
        running.wait(30)
        # CPython may end by the signal itself when it came within an eval(); a shell shows 130.
        _stopped(running, time.monotonic() - began, 130, -signal.SIGINT)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_where_python_ignores_exceptions(
    large: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """In a finalizer, or in the callback of a weak reference that ends every import."""
    script = tmp_path / "command.py"
    script.write_text(f"""
import os, sys
from cellucid_dask.__main__ import main

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), {int(number)})
        for _ in range(1000): pass

class Finder:
    def find_spec(self, name, *_):
        if name == "cellucid_dask.api":
            Finalized()

sys.meta_path.insert(0, Finder())
main(["export", {str(large)!r}, "-o", {str(tmp_path / "out")!r}])
""")
    ended = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == code, ended
    assert "ignored" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_thread_that_nobody_ends(large: Path, tmp_path: Path) -> None:
    """One of a library, whose start was interrupted, does not keep the process."""
    ended = _with_thread(tmp_path, "os.kill(os.getpid(), signal.SIGINT)", large)
    assert ended.returncode == 130, ended
    assert ended.stderr == "\ninterrupted: no export is left half made\n"


def test_a_thread_that_outlives_an_error(tmp_path: Path) -> None:
    """As one that still waits for a scheduler which does not answer."""
    ended = _with_thread(tmp_path, "pass", tmp_path / "nothing.h5ad")
    assert ended.returncode == 2, ended
    assert "nothing.h5ad" in ended.stderr


@pytest.mark.parametrize(("word", "code"), [("--version", 0), ("--nothing", 2)])
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_output_that_was_closed_before(word: str, code: int, closed: str) -> None:
    """As some daemons start their programs."""
    line = ["bash", "-c", f"{shlex.join(command(word))} {closed}"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr


def _with_thread(folder: Path, then: str, data: Path) -> subprocess.CompletedProcess[str]:
    """Export, with a thread that never ends, and a line of Python after it was started."""
    script = folder / "command.py"
    script.write_text(f"""
import os, signal, sys, threading
from cellucid_dask.__main__ import main

class Finder:
    def find_spec(self, name, *_):
        if name == "cellucid_dask.api":
            threading.Thread(target=threading.Event().wait).start()
            {then}

sys.meta_path.insert(0, Finder())
main(["export", {str(data)!r}, "-o", {str(folder / "out")!r}])
""")
    return subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_it_likewise(large: Path, tmp_path: Path, workers: int) -> None:
    with Running("export", large, "-o", "out", "--workers", workers, folder=tmp_path) as running:
        running.wait_for_file("points_*")
        time.sleep(random.uniform(0, 1))
        began = time.monotonic()
        running.signal(signal.SIGTERM, group=False)
        running.wait(30)
        _stopped(running, time.monotonic() - began, 143)


def test_impatient_ctrl_c(large: Path, tmp_path: Path) -> None:
    """Pressed again and again while workers are being ended and folders removed."""
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_file("obs/*.codes*")
        began = time.monotonic()
        while running.process.poll() is None and time.monotonic() < began + 20:
            running.signal(signal.SIGINT, group=True)
            time.sleep(0.15)
        _stopped(running, time.monotonic() - began, 130, -signal.SIGINT)  # a shell shows 130


def test_ctrl_c_while_python_still_imports(large: Path, tmp_path: Path) -> None:
    for moment in (0, 0.15, 0.3):
        with Running("export", large, "-o", "out", folder=tmp_path, anew=True) as running:
            # Before that, Python itself is starting, which tells of a Ctrl-C in its own way.
            maps = Path(f"/proc/{running.process.pid}/maps")
            while maps.exists() and "numpy" not in maps.read_text():
                time.sleep(0.01)
            time.sleep(moment)
            running.signal(signal.SIGINT, group=True)
            running.wait(10)
            assert running.process.returncode in (130, -signal.SIGINT)  # a shell shows 130 for both
            assert "Traceback" not in running.log.read_text(), running.log.read_text()


def test_a_terminal_that_is_closed(large: Path, tmp_path: Path) -> None:
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_file("points_*")
        running.signal(signal.SIGHUP, group=True)
        running.wait(30)
        assert running.process.returncode in (129, -signal.SIGHUP)
        assert running.wait_alone(15) == []
        assert not (tmp_path / "out").exists()


def test_workers_end_by_themselves_when_the_run_is_killed(large: Path, tmp_path: Path) -> None:
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_workers(2)
        running.wait_for_file("points_*")
        assert len(running.family()) >= 2, "the workers are not found: this shows nothing"
        running.signal(signal.SIGKILL, group=False)
        running.wait(10)
        assert running.wait_alone(15) == []


def test_workers_that_are_starting_end_by_themselves(large: Path, tmp_path: Path) -> None:
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_workers(2)  # they import, and have no scheduler yet
        running.signal(signal.SIGKILL, group=False)
        running.wait(10)
        assert running.wait_alone(30) == []  # 10 after they have imported


def test_a_worker_that_is_killed(large: Path, tmp_path: Path) -> None:
    """Another one does its work."""
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_file("var/*")
        worker = next(p for p in running.family() if p.pid != running.process.pid)
        worker.kill()
        code = running.wait(60)
        said = running.log.read_text()
        assert "Traceback" not in said, said
        assert running.wait_alone(2) == []
        assert code == 0, said
        assert leftovers(tmp_path) == []
        assert (tmp_path / "out" / "dataset_identity.json").exists()
