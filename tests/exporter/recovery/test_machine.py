"""What the machine lacks is told as what it is: streams, folders, threads, open files, disks."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import psutil
import pytest
from atlas import STAMP, atlas, leftovers, run, save, tree, unfinished
from serving import ask

from cellucid_dask import CellucidDaskError, CellucidServer, export
from cellucid_dask.arguments.boundary import keep_option_names
from cellucid_dask.compute.local_cluster import make_worker_class
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import MachineError, machine_error, refuse_fault
from cellucid_dask.exporter.recovery.deferred_signals import defer_signals
from cellucid_dask.source.storage.damage import result_or_error
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import locate_store

FACTS: dict[str, Any] = {"dataset_id": "d", "dataset_name": "d", "created_at": STAMP[1]}
NAMES = ("--dataset-id", "d", "--dataset-name", "d", *STAMP)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and their export."""
    made = tmp_path_factory.mktemp("machine")
    for name in ("a.h5ad", "a.zarr"):
        save(atlas(), made / name)
    export(made / "a.h5ad", made / "whole", quiet=True, **FACTS)
    return made


def is_whole(folder: Path, out: Path) -> bool:
    return tree(out) == tree(folder / "whole")


def told_once(said: str, *parts: str) -> None:
    """One message, which takes the fault neither for a bug nor for damage."""
    assert said.count("error:") == 1, said
    for word in ("Traceback", "internal error", "bug", "corrupt", "truncated"):
        assert word not in said, said
    assert not [part for part in parts if part not in said], said


# ------------------------------------------------------------------------- streams

CLOSED = """
import os, sys
for number in {numbers}:
    os.close(number)
    setattr(sys, ("stdin", "stdout", "stderr")[number], None)
"""


@pytest.mark.parametrize("numbers", [(2,), (1,), (0, 1, 2)])
def test_streams_that_were_closed_before(
    folder: Path, tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    """No file of the export gets the number of one: what is written to it would go there."""
    words = ("export", folder / "a.h5ad", "-o", tmp_path / "out", *NAMES)
    ended = run(*words, cwd=tmp_path, first=CLOSED.format(numbers=numbers))
    assert ended.code == 0, ended
    assert is_whole(folder, tmp_path / "out")
    assert leftovers(tmp_path) == []


def test_an_error_that_nobody_can_read(folder: Path, tmp_path: Path) -> None:
    words = ("export", folder / "nothing.h5ad", "-o", tmp_path / "out")
    ended = run(*words, cwd=tmp_path, first=CLOSED.format(numbers=(0, 1, 2)))
    assert (ended.code, ended.out, ended.err) == (2, "", "")


@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_program_without_a_console(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str | None
) -> None:
    given = None if stream is None else io.StringIO()
    if given is not None:
        given.close()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, given)
    export(folder / "a.h5ad", tmp_path / "out", dataset_id="d")
    with keep_option_names():
        Reporter().say("nobody reads this")
    with CellucidServer(tmp_path / "out", port=0, verbose=True) as server:
        assert ask(server, "/dataset_identity.json").status == 200
    monkeypatch.undo()
    assert (tmp_path / "out" / "dataset_identity.json").exists()


# ------------------------------------------------------------------------- folders

GONE = """
import os
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
"""


def test_the_current_folder_is_not_needed(folder: Path, tmp_path: Path) -> None:
    words = ("export", folder / "a.zarr", "-o", tmp_path / "out", *NAMES)
    ended = run(*words, cwd=tmp_path, first=GONE)
    assert ended.code == 0, ended.err
    assert is_whole(folder, tmp_path / "out")


@pytest.mark.parametrize("words", [("export", "a.h5ad", "-o", "/x"), ("check", "a.zarr")])
def test_the_current_folder_was_removed(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = run(*words, cwd=tmp_path, first=GONE)
    assert ended.code == 2, ended
    told_once(ended.err, "the current folder was removed", "go to another folder")


def test_python_is_told_likewise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(MachineError, match="the current folder was removed"):
        export("a.h5ad", quiet=True)


# ------------------------------------------------------------------------- threads and files

# No thread gets a stack of this size: each start fails as where the system allows no more.
NO_THREADS = "import threading\nthreading.stack_size(1 << 47)\n"
FEW_FILES = """
import os, resource
free = len(os.listdir("/proc/self/fd")) - 1 + {more}
resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_threads(folder: Path, tmp_path: Path, workers: int) -> None:
    words = ("export", folder / "a.zarr", "-o", tmp_path / "out", "--workers", workers)
    ended = run(*words, cwd=tmp_path, first=NO_THREADS)
    assert ended.code == 2, ended
    told_once(ended.err, "no more threads can be started", "ulimit -u")
    assert tree(tmp_path) == {}


def test_the_first_file_cannot_be_opened(folder: Path) -> None:
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
    try:
        with pytest.raises(MachineError, match="too many files are open in this process"):
            locate_store(folder / "a.h5ad")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))


@pytest.mark.parametrize("more", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
def test_too_many_open_files(folder: Path, tmp_path: Path, name: str, more: int) -> None:
    """Wherever it comes: no element counts as one that cannot be read, and is left out."""
    words = ("export", folder / name, "-o", tmp_path / "out", "--workers", 1, *NAMES)
    ended = run(*words, cwd=tmp_path, first=FEW_FILES.format(more=more))
    if ended.code == 0:
        assert is_whole(folder, tmp_path / "out")
        return
    assert ended.code == 2, ended
    told_once(ended.err, "too many files are open in this process", "ulimit -n")
    assert not (tmp_path / "out").exists()
    made = ("workers", 1), ("quiet", True), *FACTS.items()
    export(folder / name, tmp_path / "out", **dict(made))
    assert is_whole(folder, tmp_path / "out")
    assert leftovers(tmp_path) == []


# ------------------------------------------------------------------------- what errors mean


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, "too many files are open in this process"),
        (errno.ENFILE, "too many files are open on this machine"),
        (errno.ENOMEM, "there is no more memory"),
        (errno.EAGAIN, "no more processes or threads"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full for this user: the quota is used up"),
        (errno.EIO, "the disk cannot be read or written"),
        (errno.ESTALE, "the file system does not answer"),
        (errno.EACCES, "the permissions do not allow it"),
        (errno.EROFS, "the file system is for reading only"),
    ],
)
def test_errors_of_the_system(number: int, words: str) -> None:
    """Also where a library turned one into another error."""
    error: Exception = OSError(number, os.strerror(number), "/some/file")
    told = machine_error(error)
    assert told is not None
    assert (told.problems[0].what.startswith(words), told.problems[0].where) == (True, "/some/file")
    assert told.problems[0].fix
    after = ValueError("cannot decode")
    after.__context__ = error
    with pytest.raises(MachineError, match="data, X"):
        refuse_fault(after, "data, X")


@pytest.mark.parametrize(
    "error",
    [OSError("inflate() failed"), KeyError("X"), MemoryError(), RuntimeError("Unspecified")],
)
def test_errors_of_damage(error: Exception) -> None:
    """A damaged header may ask for any amount of memory."""
    refuse_fault(error)


def test_a_disk_that_fails_is_no_damage(tmp_path: Path) -> None:
    """The memory of a process is a file that the kernel refuses to read."""

    def read(_store: Any, _key: str) -> bytes:
        with Path("/proc/self/mem").open("rb") as file:
            return file.read(1)

    with pytest.raises(MachineError, match="obsm/X: the disk cannot be read"):
        result_or_error(read, None, "obsm/X")


def test_what_was_there_before(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "a.h5ad")
    with h5py.File(path) as file:
        array = FileArray.of(locate_store(path), "X/data", file["X/data"])
    path.unlink()
    with pytest.raises(CellucidDaskError, match="No such file") as caught:
        array[:2]
    assert caught.value.problems[0].fix == "put back what was there before"


# ------------------------------------------------------------------------- the end of a run


def test_a_worker_that_dies_while_it_is_closed(tmp_path: Path) -> None:
    """The system knows that it is gone, and the loop does not yet."""

    async def closed() -> Any:
        worker = make_worker_class(tmp_path, threading.Event())(
            "tcp://127.0.0.1:9", worker_class="distributed.Worker", worker_kwargs={}
        )
        await worker._start()
        pid = worker.process.pid
        os.kill(pid, signal.SIGKILL)
        while psutil.pid_exists(pid):  # without letting the loop see it
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                time.sleep(0.001)
        await worker.close()
        worker.watch.cancel()
        return worker.status.name

    assert asyncio.run(closed()) == "closed"


def test_signals_wait_while_folders_are_removed() -> None:
    done = []

    def remove() -> None:
        with defer_signals():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("removed")

    with pytest.raises(KeyboardInterrupt):
        remove()
    assert done == ["removed"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


IMPATIENT = """
import os, signal, sys
def hook(event, arguments):
    path = str(arguments[0]) if arguments else ""
    if event in {events} and {where!r} in path and not os.environ.get("DONE"):
        if {once}:
            os.environ["DONE"] = "1"
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
"""


@pytest.mark.parametrize(
    ("events", "where", "once"),
    [
        (("open",), "cellucid-dask.staging", True),  # when the folder has just been made
        (("os.mkdir",), "cellucid-dask-scratch", True),
        (("open", "os.remove", "os.rmdir"), "cellucid-staging", False),  # again and again
        (("open", "os.remove", "os.rmdir"), "points_2d", False),
    ],
)
def test_ctrl_c_leaves_nothing(
    folder: Path, tmp_path: Path, events: tuple[str, ...], where: str, once: bool
) -> None:
    words = ("export", folder / "a.h5ad", "-o", tmp_path / "deep" / "out", "--workers", 1)
    first = IMPATIENT.format(events=events, where=where, once=once)
    ended = run(*words, cwd=tmp_path, first=first)
    assert ended.code in (130, -signal.SIGINT), ended
    assert "Traceback" not in ended.err
    assert unfinished(tmp_path) or tree(tmp_path) == {}
