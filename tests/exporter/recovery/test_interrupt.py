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
from atlas import HANGS, Running, command, finished, leftovers, save_large, unfinished

LENGTH = {1: 2.4, 2: 3.2}  # about how long the command runs, by its number of workers


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas whose export takes seconds; in a folder that no command line of a run is below."""
    return save_large(tmp_path_factory.mktemp("data") / "large.h5ad")


def _is_published(running: Running) -> bool:
    return any(running.folder.glob("**/out/dataset_identity.json"))


def _stopped(running: Running, *codes: int) -> None:
    code, said = running.wait(), running.log.read_text()
    assert running.is_alone()
    assert "Traceback" not in said, said
    if code == 0 and _is_published(running):
        return  # it was done when the signal came
    assert code in codes, said
    if "stopped before all tasks had ended" in said:
        return  # on a machine that is too busy to end them
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
        running.signal(signal.SIGINT, group=group)
        # CPython may end by the signal itself when it came within an eval(); a shell shows 130.
        _stopped(running, 130, -signal.SIGINT)


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
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=240
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
    ended = subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)
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
            sys.modules["cellucid_dask.commands.signals"].EXIT_SECONDS = 0.2
            threading.Thread(target=threading.Event().wait).start()
            {then}

sys.meta_path.insert(0, Finder())
main(["export", {str(data)!r}, "-o", {str(folder / "out")!r}])
""")
    return subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_it_likewise(large: Path, tmp_path: Path, workers: int) -> None:
    with Running("export", large, "-o", "out", "--workers", workers, folder=tmp_path) as running:
        running.wait_for_file("points_*")
        time.sleep(random.uniform(0, 1))
        running.signal(signal.SIGTERM, group=False)
        _stopped(running, 143)


def test_impatient_ctrl_c(large: Path, tmp_path: Path) -> None:
    """Pressed again and again while workers are being ended and folders removed."""
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_file("obs/*.codes*")
        end = time.monotonic() + HANGS
        while running.process.poll() is None and time.monotonic() < end:
            running.signal(signal.SIGINT, group=True)
            time.sleep(0.15)  # the pace of this user
        _stopped(running, 130, -signal.SIGINT)  # a shell shows 130


def test_ctrl_c_while_python_still_imports(large: Path, tmp_path: Path) -> None:
    for moment in (0, 0.15, 0.3):
        with Running("export", large, "-o", "out", folder=tmp_path, anew=True) as running:
            # Before that, Python itself is starting, which tells of a Ctrl-C in its own way.
            maps = Path(f"/proc/{running.process.pid}/maps")
            while running.process.poll() is None and "numpy" not in maps.read_text():
                time.sleep(0.01)
            time.sleep(moment)
            running.signal(signal.SIGINT, group=True)
            code, said = running.wait(), running.log.read_text()
            # A shell shows 130 for both.
            assert code in (130, -signal.SIGINT) or _is_published(running), said
            assert "Traceback" not in said, said


def test_a_terminal_that_is_closed(large: Path, tmp_path: Path) -> None:
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_file("points_*")
        running.signal(signal.SIGHUP, group=True)
        code = running.wait()
        assert running.is_alone()
        if code == 0 and _is_published(running):
            return  # it was done when the signal came
        assert code in (129, -signal.SIGHUP)
        assert not (tmp_path / "out").exists()


def test_workers_end_by_themselves_when_the_run_is_killed(large: Path, tmp_path: Path) -> None:
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_workers(2)
        running.wait_for_file("points_*")
        assert len(running.family()) >= 2, "the workers are not found: this shows nothing"
        running.signal(signal.SIGKILL, group=False)
        running.wait()
        assert running.is_alone()


def test_workers_that_are_starting_end_by_themselves(large: Path, tmp_path: Path) -> None:
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_workers(2)  # they import, and have no scheduler yet
        running.signal(signal.SIGKILL, group=False)
        running.wait()
        assert running.is_alone()  # 10 seconds after they have imported


def test_a_worker_that_is_killed(large: Path, tmp_path: Path) -> None:
    """Another one does its work."""
    with Running("export", large, "-o", "out", "--workers", 2, folder=tmp_path) as running:
        running.wait_for_file("var/*")
        workers = [each for each in running.family() if each.pid != running.process.pid]
        for worker in workers[:1]:
            worker.kill()
        code, said = running.wait(), running.log.read_text()
        assert "Traceback" not in said, said
        assert running.is_alone()
        assert code == 0, said
        assert leftovers(tmp_path) == []
        assert (tmp_path / "out" / "dataset_identity.json").exists()
