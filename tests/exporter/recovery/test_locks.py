"""Two runs never work in one staging folder."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from atlas import here, tree
from scenes import GENE, Scene, at_event, done_at

from cellucid_dask import CellucidDaskError

# As modules, for setattr.
run_module = import_module("cellucid_dask.exporter.run")
lock = import_module("cellucid_dask.exporter.recovery.lock")


def write_owner_record(scene: Scene, *, machine: str = "another", age: float = 0) -> Path:
    """Write the record of a run on another machine; `machine` "" is this one."""
    path = scene.staging / "owner.json"
    machine = machine or Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    path.write_text(
        json.dumps({"machine": machine, "host": "node7", "pid": 4242, "token": "0" * 16})
    )
    now = time.time()
    os.utime(path, (now - age, now - age))
    return path


@pytest.mark.parametrize(
    ("machine", "age"), [("", 0), ("another", 1000), ("another", 10), ("another", -3600)]
)
def test_the_lock_of_a_dead_run_is_taken_over(
    small: Scene, monkeypatch: pytest.MonkeyPatch, machine: str, age: float
) -> None:
    """On this machine at once; on another when it gives no sign of life, whatever its clock."""
    monkeypatch.setattr(lock, "SILENCE", 0.5)
    small.left_in_genes()
    write_owner_record(small, machine=machine, age=age)
    assert "genes" in small.make().resumed
    small.check()


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks."""

    def flock(file: Any, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


class Beating:
    """A live run on another machine: it renews the time of its record."""

    def __init__(self, path: Path) -> None:
        self._path, self._end = path, threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def _beat(self) -> None:
        while not self._end.wait(0.3):
            os.utime(self._path)

    def __enter__(self) -> Beating:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()


@pytest.mark.parametrize("locks", [True, False])
def test_a_run_on_another_machine_that_lives_is_left_alone(
    small: Scene, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str], locks: bool
) -> None:
    if not locks:
        request.getfixturevalue("no_locks")
    small.left_in_genes()
    path = write_owner_record(small)
    before = tree(small.at)
    with Beating(path):
        for words in (small.words(), ["clean", str(small.out)]):
            ended = here(capfd, *words)
            assert ended.code == 2, ended.out
            assert "another run is making this export (process 4242 on node7)" in ended.err
            assert tree(small.at) == before


def test_a_dead_run_where_there_are_no_locks(
    small: Scene, monkeypatch: pytest.MonkeyPatch, no_locks: None
) -> None:
    monkeypatch.setattr(lock, "SILENCE", 0.5)
    small.left_in_genes()
    write_owner_record(small, machine="")
    assert "genes" in small.make().resumed
    small.check()


def test_a_lock_that_the_file_server_keeps_for_a_dead_run(
    small: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SILENCE", 0.5)
    small.left_in_genes()
    write_owner_record(small)
    before = tree(small.at)
    with (small.staging / lock.MARK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CellucidDaskError, match=r"another run|still keeps the lock"):
            small.make()
    assert tree(small.at) == before
    small.make()
    small.check()


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"pid": 3}', b"\xff\xfe"])
def test_a_record_of_the_owner_that_was_not_written_whole(small: Scene, record: bytes) -> None:
    small.left_in_genes()
    (small.staging / "owner.json").write_bytes(record)
    assert "genes" in small.make().resumed
    small.check()


def test_many_that_go_on_at_once(small: Scene) -> None:
    """One does; the others are refused, or find it done."""
    for _ in range(2):
        small.left_in_genes()
        runs = [
            small.launcher.start(*small.words(), cwd=small.at, first=small.first) for _ in range(4)
        ]
        codes = sorted(run.wait() for run in runs)
        said = "\n".join(run.said for run in runs)
        assert codes[0] == 0, said
        assert set(codes) <= {0, 2}, said
        assert "Traceback" not in said
        for run in runs:
            if run.wait() == 2:
                assert "another run" in run.said or "is not empty" in run.said, run.said
        small.check(said)


def test_a_run_that_was_taken_for_dead_publishes_nothing(
    small: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it remove what the other one makes."""
    small.left_in_genes()
    save_rest = run_module.save_rest

    def taken_over(*arguments: Any) -> Any:
        found = save_rest(*arguments)
        write_owner_record(small)
        return found

    monkeypatch.setattr(run_module, "save_rest", taken_over)
    with pytest.raises(CellucidDaskError, match="took this one for dead"):
        small.make()
    assert not small.out.exists()
    assert json.loads((small.staging / "owner.json").read_bytes())["pid"] == 4242
    assert len(done_at(small.out).genes) == 24
    monkeypatch.undo()
    (small.staging / "owner.json").unlink()
    small.make()
    small.check()


def test_a_run_that_wakes_up_after_another_made_the_export(small: Scene) -> None:
    """Stopped for long, as by a suspended machine, where the file system has no locks."""
    deaf = "import fcntl\ndef flock(*_): raise OSError(37, 'No locks available')\n"
    deaf += "fcntl.flock = flock\n"
    first = small.first + deaf
    stop = at_event(GENE, 9, "SIGSTOP")
    sleeping = small.launcher.start(*small.words(), cwd=small.at, first=first + stop)
    try:
        assert sleeping.until(lambda: sleeping.stopped)
        quick = first + "from cellucid_dask.exporter.recovery import lock\nlock.SILENCE = 0.5\n"
        other = small.launcher.run(*small.words(), cwd=small.at, first=quick)
        assert other.code == 0, other.err
        assert tree(small.out) == small.whole
    finally:
        sleeping.signal(signal.SIGCONT)
    assert sleeping.wait() == 2, sleeping.said
    assert "Traceback" not in sleeping.said
    assert sleeping.said.count("error:") == 1, sleeping.said
    small.check(sleeping.said)
