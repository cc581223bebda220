"""What a machine does to a run: disks, memory, files, signals and schedulers that fail.

Each ends with one message and a state from which the same command makes the same bytes.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import h5py
import psutil
import pytest
from atlas import HANGS, leftovers, save_large, spoil_hdf5, tree
from forks import can_mount, fork_dask, forks
from scenes import (
    GENE,
    PIECES,
    SPILLED,
    Launcher,
    Scene,
    Started,
    at_event,
    done_at,
    end_family,
    is_alone,
    noted,
)
from serving import free_port

from cellucid_dask.exporter.recovery.journal import JOURNAL
from cellucid_dask.exporter.recovery.outputs import staging_folder

needs_mount = pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")


@pytest.fixture(scope="module")
def _scene(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    data = save_large(tmp_path_factory.mktemp("data") / "atlas.h5ad", cells=5000, genes=200)
    first = PIECES.format(nnz=9000, block=1 << 15)
    return Scene(tmp_path_factory.mktemp("faults"), data, launcher, first)


@pytest.fixture
def scene(_scene: Scene) -> Iterator[Scene]:
    """An empty place; no worker is left in it in the end."""
    _scene.reset()
    yield _scene
    end_family(_scene.at)


def failed(ended: Started, *parts: str, code: int = 2) -> None:
    """What must hold when a run was stopped by a fault."""
    assert ended.wait() == code, ended.said
    assert "Traceback" not in ended.said, ended.said
    assert "internal error" not in ended.said, ended.said
    assert ended.said.count("error:") == (code == 2), ended.said
    missing = [part for part in parts if part not in ended.said]
    assert not missing, (missing, ended.said)


def resumes(scene: Scene, *more: object, out: Path | None = None) -> str:
    """Run the same command; what it said of what was done already."""
    ended = scene.launcher.run(*scene.words(*more), cwd=scene.at, first=scene.first)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    made = tree(out or scene.out)
    assert {n for n in {*made, *scene.whole} if made.get(n) != scene.whole.get(n)} == set()
    assert leftovers(scene.at) == []
    return next((line for line in ended.err.splitlines() if "resumes an" in line), "")


def stopped_at(scene: Scene, condition: str, nth: int, *more: object, first: str = "") -> Started:
    """Start the command and have it stand still at an event."""
    words = [*scene.words(), *more]
    lines = scene.first + first + at_event(condition, nth, "SIGSTOP")
    running = scene.launcher.start(*words, cwd=scene.at, first=lines)
    assert running.until(lambda: running.stopped), running.said
    return running


STOP_AT_LINE = """
import os, signal
from cellucid_dask.exporter.recovery import journal
def write(*arguments, write_all=journal.write_all, left=[{line}]):
    write_all(*arguments)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
journal.write_all = write
"""


def stopped_at_line(scene: Scene, line: int, *more: object) -> Started:
    """Start the command, and have it stand still when it has written a line of its journal."""
    lines = scene.first + STOP_AT_LINE.format(line=line)
    running = scene.launcher.start(*scene.words(*more), cwd=scene.at, first=lines)
    assert running.until(lambda: running.stopped), running.said
    return running


def continue_process(running: Started) -> Started:
    running.signal(signal.SIGCONT)
    return running


# --------------------------------------------------------------------------- disks


@pytest.fixture
def disk(scene: Scene) -> Iterator[Path]:
    """A folder in which a disk is mounted, for forked commands only."""
    path = scene.at / "disk"
    path.mkdir()
    yield path
    forks().shell(f"umount -l {path} 2>/dev/null; true")


def fill(folder: Path) -> Path:
    """Write until the disk is full."""
    path = folder / "ballast"
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(1))
    return path


def fill_inodes(folder: Path) -> None:
    """Make empty files until the disk has no inode left."""
    folder.mkdir()
    with suppress(OSError):
        for i in itertools.count():
            (folder / str(i)).touch()


@needs_mount
@pytest.mark.parametrize(
    ("where", "event"), [("out", SPILLED), ("out", GENE), ("scratch", SPILLED)]
)
def test_a_disk_that_becomes_full(scene: Scene, disk: Path, where: str, event: str) -> None:
    """Somebody else fills it; then it is enlarged."""
    forks().shell(f"mount -t tmpfs -o size=32m tmpfs {disk}")
    more = ["-o", disk / "out"] if where == "out" else ["--scratch", disk]
    running = stopped_at(scene, event, 4, *more)
    fill(forks().seen(disk))
    failed(
        continue_process(running),
        "the disk is full",
        str(disk),
        "make room",
        "the same command resumes",
    )
    forks().shell(f"mount -o remount,size=96m {disk}")
    out = forks().seen(disk / "out") if where == "out" else scene.out
    said = resumes(scene, *more, out=out)
    assert "cells transposed" in said or event == GENE
    assert [p.name for p in forks().seen(disk).iterdir() if p.name != "out"] == ["ballast"]


@needs_mount
def test_a_disk_without_room_for_more_files(scene: Scene, disk: Path) -> None:
    """Somebody else takes the inodes that the plan found free."""
    forks().shell(f"mount -t tmpfs -o size=64m,nr_inodes=2000 tmpfs {disk}")
    running = stopped_at(scene, GENE, 80, "-o", disk / "out")
    fill_inodes(forks().seen(disk) / "ballast")
    failed(continue_process(running), "the disk is full", "the same command resumes from there")
    assert 0 < len(done_at(forks().seen(disk / "out")).genes) < 200
    forks().shell(f"mount -o remount,nr_inodes=4000 {disk}")
    assert " genes" in resumes(scene, "-o", disk / "out", out=forks().seen(disk / "out"))


@needs_mount
def test_a_scratch_disk_that_is_taken_away(scene: Scene, disk: Path) -> None:
    """All spilled chunks are gone; the genes that were written are kept."""
    forks().shell(f"mount -t tmpfs -o size=64m tmpfs {disk}")
    running = stopped_at(scene, GENE, 80, "--scratch", disk)
    forks().shell(f"umount -l {disk}")
    failed(continue_process(running), str(disk), "the same command resumes from there")
    said = resumes(scene, "--scratch", disk)
    assert " genes" in said
    assert "transposed" not in said
    assert list(disk.iterdir()) == []


def test_a_scratch_folder_that_is_removed(scene: Scene) -> None:
    """As by what tidies up temporary folders at night."""
    spill = scene.at / "spill"
    spill.mkdir()
    running = stopped_at(scene, GENE, 80, "--scratch", spill)
    for path in spill.iterdir():
        shutil.rmtree(path)
    failed(continue_process(running), str(spill), "the same command resumes from there")
    assert " genes" in resumes(scene, "--scratch", spill)
    assert list(spill.iterdir()) == []


# --------------------------------------------------------------------------- the input


@pytest.mark.parametrize("workers", [1, 2])
def test_input_that_cannot_be_read_in_the_middle(
    scene: Scene, tmp_path: Path, workers: int
) -> None:
    """Repaired, with its time as it was: what was read before is kept."""
    raw, found = scene.data.read_bytes(), scene.data.stat()
    with h5py.File(scene.data) as file:
        chunks = file["X/data"].id.get_num_chunks()
    where = spoil_hdf5(scene.data, "X/data", chunks // 2)
    os.utime(scene.data, ns=(found.st_atime_ns, found.st_mtime_ns))
    try:
        words = scene.words("--workers", workers)
        ended = scene.launcher.start(*words, cwd=scene.at, first=scene.first)
        failed(ended, "X/data", where, str(scene.data), "the same command resumes from there")
    finally:
        with scene.data.open("r+b") as file:
            file.write(raw)
        os.utime(scene.data, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert "resumes an" in resumes(scene)


# --------------------------------------------------------------------------- memory


HUNGRY = """
from cellucid_dask.exporter.stages.genes import strip_driver
def work(*arguments):
    import resource, threading, psutil
    from cellucid_dask.exporter.stages.genes.strip_genes import write_strip_genes
    held, full, done = [], threading.Event(), threading.Event()
    def fill():
        for step in (1 << 20, 1 << 12, 1 << 10):
            try:
                while True:
                    held.append(bytearray(step))
            except MemoryError:
                pass
    def hold(): # also what other threads give back meanwhile
        while not done.is_set():
            fill()
            full.set()
            done.wait(0.001)
    limit = resource.getrlimit(resource.RLIMIT_AS)
    holder, begin = threading.Thread(target=lambda: begin.wait() and hold()), threading.Event()
    holder.start()
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms, limit[1]))
    try:
        begin.set()
        full.wait()
        fill() # what only this thread can get
        return write_strip_genes(*arguments)
    finally:
        done.set()
        holder.join()
        held.clear()
        resource.setrlimit(resource.RLIMIT_AS, limit)
strip_driver.write_strip_genes = work
"""


def test_workers_that_get_no_more_memory(scene: Scene) -> None:
    """They hold all that the system lets them have when they begin with the genes."""
    words = scene.words("--workers", 2)
    running = scene.launcher.start(*words, cwd=scene.at, first=scene.first + HUNGRY)
    failed(running, "memory", "the same command resumes from there")
    assert is_alone(scene.at)
    assert "5,000 of 5,000 cells transposed" in resumes(scene)


BUSY = """
import dask, os
from cellucid_dask.exporter.planning import cuts
from cellucid_dask.exporter.stages.genes import first_pass
cuts.CUT_NNZ = cuts.CUT_LEAST_NNZ = 10**9
def work(*_):
    import os, time
    open(f"{folder}/busy-{{os.getpid()}}", "w").close()
    time.sleep(3600)
first_pass.cut_chunk = work
dask.config.set({{"distributed.scheduler.allowed-failures": 1}})
"""


def test_workers_that_are_killed_again_and_again(scene: Scene, tmp_path: Path) -> None:
    """As by the system when it is out of memory: it ends, and says why."""
    words = scene.words("--workers", 2)
    running = scene.launcher.start(*words, cwd=scene.at, first=BUSY.format(folder=tmp_path))
    end, killed = time.monotonic() + HANGS, set()
    while running.runs:
        assert time.monotonic() < end, running.said
        for worker in running.workers():
            if worker.pid not in killed and (tmp_path / f"busy-{worker.pid}").exists():
                killed.add(worker.pid)
                worker.kill()
        time.sleep(0.01)
    failed(running, "the workers died", "fewer --workers", "the same command resumes from there")
    assert len(killed) == 2
    assert is_alone(scene.at)
    assert "points and obs" in resumes(scene)


# --------------------------------------------------------------------------- SIGTERM


@pytest.mark.parametrize("everybody", [False, True])
def test_sigterm_at_any_moment(scene: Scene, everybody: bool) -> None:
    """To the run alone, or to its workers as well, as SLURM sends it."""
    seed = int(os.environ.get("RECOVERY_SEED", random.SystemRandom().randrange(1 << 32)))
    rng = random.Random(seed)
    for _ in range(3):
        if scene.out.exists():  # the signal came when all was done
            break
        kept = noted(scene.out)
        wanted, pause = kept + rng.randint(0, 9), rng.uniform(0, 0.05)
        words = scene.words("--workers", rng.randint(1, 2))
        running = scene.launcher.start(*words, cwd=scene.at, first=scene.first)
        if not running.until(lambda wanted=wanted: noted(scene.out) >= wanted):
            break
        time.sleep(pause)
        there, before = running.workers(), noted(scene.out)
        running.signal(signal.SIGTERM)
        for worker in there if everybody else ():
            with suppress(psutil.Error):
                worker.terminate()
        code = running.wait()
        if scene.out.exists() or not before:
            assert code in (0, 143, -signal.SIGTERM)  # a shell shows 143
            continue
        if code == -signal.SIGTERM:  # the command was still importing: nothing to clean up yet
            assert (noted(scene.out), running.said) == (kept, ""), seed
            continue
        assert code == 143, (seed, running.said)
        assert "terminated: no export is left half made" in running.said, (seed, running.said)
        assert "Traceback" not in running.said, (seed, running.said)
        assert "error:" not in running.said, (seed, running.said)
        assert is_alone(scene.at), (seed, running.said)
        assert noted(scene.out) >= before or before == 1, seed  # a first line alone is not kept
        if noted(scene.out) > before or "resumes an" in running.said:
            assert "the same command resumes from there" in running.said, (seed, running.said)
    if not scene.out.exists() or leftovers(scene.at):  # it may have had its name just before
        resumes(scene)
    scene.check(seed)


def test_sigterm_in_a_task_that_does_not_end(scene: Scene) -> None:
    """A thread that reads from a disk that hangs cannot be stopped: the process ends without it."""
    hang = "import time\nfrom cellucid_dask.exporter.stages.genes import strip_driver\n"
    hang += "hang = lambda *_: (open('hangs', 'w').close(), time.sleep(3600))\n"
    hang += "strip_driver.write_strip_genes, signals.STOP_SECONDS = hang, 0.5\n"
    running = scene.launcher.start(*scene.words(), cwd=scene.at, first=scene.first + hang)
    assert running.until((scene.at / "hangs").exists), running.said
    running.signal(signal.SIGTERM)
    assert running.wait() == 143, running.said
    assert "is kept" in running.said, running.said
    assert "Traceback" not in running.said
    assert "cells transposed" in resumes(scene)


def test_sigterm_when_a_worker_hangs(scene: Scene) -> None:
    """One that answers nobody is not waited for, nor left behind."""
    running = stopped_at_line(scene, 6, "--workers", 2)
    workers = running.workers()
    assert len(workers) == 2
    for worker in workers:
        worker.suspend()
    running.signal(signal.SIGTERM)
    assert continue_process(running).wait() == 143, running.said
    assert "Traceback" not in running.said
    assert is_alone(scene.at)
    assert "resumes" in resumes(scene)


# --------------------------------------------------------------------------- folders removed


@pytest.mark.parametrize("event", [SPILLED, GENE])
@pytest.mark.parametrize("what", ["staging", "export", "parts", "journal", "parent"])
def test_a_folder_that_is_removed_while_it_runs(scene: Scene, event: str, what: str) -> None:
    out = scene.at / "deep" / "out"
    folder = staging_folder(out)
    running = stopped_at(scene, event, 5, "-o", out)
    if what == "journal":
        (folder / JOURNAL).unlink()
    else:
        named = {
            "staging": folder,
            "parent": out.parent,
            "export": next(folder.glob("export-*")),
        }
        shutil.rmtree(named.get(what, folder / what))
    if continue_process(running).wait() != 0:
        failed(running)
    resumes(scene, "-o", out, "--force", out=out)


def test_the_old_export_is_removed_while_it_runs(scene: Scene) -> None:
    """What is to be replaced need not be there any more."""
    scene.make(description="old")
    running = stopped_at(scene, GENE, 5, "--force")
    shutil.rmtree(scene.out)
    assert continue_process(running).wait() == 0, running.said
    assert tree(scene.out) == scene.whole
    assert leftovers(scene.at) == []


def test_files_that_appear_under_the_name_while_it_runs(scene: Scene) -> None:
    """They are not an old export: they are kept."""
    running = stopped_at(scene, GENE, 5)
    scene.out.mkdir()
    (scene.out / "letter.txt").write_text("years of work")
    if continue_process(running).wait() != 0:
        failed(running)
    assert [path.read_text() for path in scene.at.rglob("letter.txt")] == ["years of work"]


# --------------------------------------------------------------------------- a scheduler


class Cluster:
    """A dask scheduler and its workers, each a process."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        words = ["--host", "127.0.0.1", "--port", port, "--no-dashboard"]
        self.scheduler = fork_dask("scheduler", *words, cwd=folder)
        words = [self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        self.workers = [fork_dask("worker", *words, cwd=folder) for _ in range(2)]

    def close(self) -> None:
        """Kill all of it."""
        for process in (self.scheduler, *self.workers):
            process.kill()
            process.wait()


def test_a_scheduler_whose_worker_dies_and_that_dies_itself(scene: Scene, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    try:
        running = stopped_at_line(scene, 4, "--scheduler", cluster.address)
        cluster.workers[0].kill()
        assert continue_process(running).wait() == 0, running.said
        assert "Traceback" not in running.said
        scene.check()
        scene.reset()
        running = stopped_at_line(scene, 4, "--scheduler", cluster.address)
        cluster.scheduler.kill()
        told = ("connection to the scheduler was lost", "the same command resumes")
        failed(continue_process(running), *told)
    finally:
        cluster.close()
    assert "resumes an" in resumes(scene)
