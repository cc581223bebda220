"""Commands that are killed at a chosen moment, and what must come of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from atlas import HANGS, PATIENT, STAMP, Outcome, here, leftovers, tree
from forks import Forked, fork

from cellucid_dask import export
from cellucid_dask.exporter.recovery.journal import JOURNAL, FinishedWork, read_journal
from cellucid_dask.exporter.recovery.lock import MARK, OWNER
from cellucid_dask.exporter.recovery.outputs import staging_folder

NAMES = {"dataset_id": "d", "dataset_name": "d", "created_at": STAMP[1]}
FACTS = ("--dataset-id", "d", "--dataset-name", "d", *STAMP)

# --------------------------------------------------------------------------- commands to kill

# Many pieces for a small atlas, so that there is something between any two moments.
PIECES = """
from cellucid_dask.exporter.planning import cuts, strips
from cellucid_dask.exporter.stages.genes import driver as stage_genes
cuts.CHUNK_NNZ, stage_genes.MiB, stage_genes.PIECE = {nnz}, {block}, 0
cuts.CUT_NNZ, cuts.CUT_LEAST_NNZ, strips.STRIP_VALUES = {nnz}, {nnz}, {block} // 6
strips.ROW_VALUES = 1
"""

# Kill or stop the process at an event of the system, before it happens.
KILL_AT = """
import os, signal, sys
seen = 0
def hook(event, arguments):
    global seen
    if {condition}:
        seen += 1
        if seen == {nth}:
            os.kill(os.getpid(), signal.{signal})
sys.addaudithook(hook)
"""


def at_event(condition: str, nth: int, number: str = "SIGKILL") -> str:
    """Lines after which the process is killed, or stopped, at an event."""
    return KILL_AT.format(condition=condition, nth=nth, signal=number)


class Launcher:
    """Starts commands at once, and ends those that are left standing still.

    Parameters
    ----------
    folder
        Where what they print goes.
    """

    def __init__(self, folder: Path) -> None:
        self.logs, self._n = folder, 0
        self._started: list[Started] = []

    def start(self, *arguments: object, cwd: Path, first: str = "") -> Started:
        """Start the command, after the lines `first`."""
        self._n += 1
        log = self.logs / f"stderr-{self._n}.txt"
        started = Started(fork(*arguments, cwd=cwd, err=log, first=PATIENT + first), log)
        self._started.append(started)
        return started

    def run(self, *arguments: object, cwd: Path, first: str = "") -> Outcome:
        """Run the command to its end."""
        started = self.start(*arguments, cwd=cwd, first=first)
        code = started.wait()
        return Outcome(code, "", started.said)

    def close(self) -> None:
        """End what a test that failed has left."""
        for started in self._started:
            if started.runs:
                started.signal(signal.SIGKILL, group=True)


class Started:
    """A command that runs, in a session of its own."""

    def __init__(self, process: Forked, log: Path) -> None:
        self.pid, self._forked, self._log = process.pid, process, log
        self._process = psutil.Process(process.pid)

    @property
    def said(self) -> str:
        """What it has printed on stderr."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._forked.poll() is None

    @property
    def stopped(self) -> bool:
        """Whether it stands still, with all its threads: some stop a moment later."""
        with suppress(OSError):  # a thread has ended
            threads = [path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/stat")]
            return {text.rpartition(")")[2].split()[0] for text in threads} == {"T"}
        return False

    def workers(self) -> list[psutil.Process]:
        """Worker processes it has."""
        with suppress(psutil.NoSuchProcess):
            return [p for p in self._process.children() if p.status() != psutil.STATUS_ZOMBIE]
        return []

    def until(self, reached: Callable[[], bool], seconds: float = HANGS) -> bool:
        """Wait for a moment; False when it ended before."""
        end = time.monotonic() + seconds
        while not reached():
            if not self.runs:
                return False
            assert time.monotonic() < end, f"it never came to that:\n{self.said}"
            time.sleep(0.004)
        return self.runs

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal, if it still runs."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, seconds: float = HANGS) -> int:
        """Exit code; negative of a signal."""
        try:
            return self._forked.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.said}") from None


def family(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names `folder`: workers, also those that lost their run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder) in w for w in process.cmdline()):
                found.append(process)
    return found


def is_alone(folder: Path) -> bool:
    """Whether no such process runs any more, or soon: one that was killed may not know it yet."""
    end = time.monotonic() + HANGS
    while (there := family(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return not there


def end_family(folder: Path) -> None:
    """Kill workers that lost their run, so that nothing writes any more."""
    for process in family(folder):
        with suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(HANGS)


def noted(out: Path) -> int:
    """Lines of the journal beside `out`."""
    with suppress(OSError):
        return (staging_folder(out) / JOURNAL).read_bytes().count(b"\n") // 2
    return 0


def done_at(out: Path) -> FinishedWork:
    """What the journal beside `out` says is done."""
    entries = read_journal(staging_folder(out) / JOURNAL)
    return FinishedWork() if entries is None else entries.finished_work()


# --------------------------------------------------------------------------- scenes


class Scene:
    """An atlas, its export that ran through, and a place where runs are killed.

    Parameters
    ----------
    at
        The place; what a run leaves there names it, so it is always the same.
    """

    def __init__(self, folder: Path, data: Path, launcher: Launcher, first: str) -> None:
        self.data, self.launcher, self.first = data, launcher, first
        self.at, self._kept = folder / "place", folder / "kept"
        self.out, self.staging = self.at / "out", staging_folder(self.at / "out")
        self.reset()
        self.make()
        self.whole = tree(self.out)
        self.reset()

    @property
    def inside(self) -> Path:
        """The export that is being made."""
        return next(self.staging.glob("export-*"))

    def reset(self) -> None:
        """Empty the place."""
        shutil.rmtree(self.at, ignore_errors=True)
        self.at.mkdir(parents=True)

    def words(self, *more: object) -> list[str]:
        """Words of the command."""
        made = ["export", self.data, "-o", self.out, "--workers", 1, *FACTS, *more]
        return [str(word) for word in made]

    def make(self, **options: Any) -> Any:
        """Export in this process."""
        return export(self.data, self.out, **{"quiet": True, "workers": 1, **NAMES, **options})

    def command(self, capfd: Any, *more: object) -> Outcome:
        """Run the command in this process."""
        return here(capfd, *self.words(*more))

    def kill(self, condition: str, nth: int, *more: object, first: str = "") -> Started:
        """Run the command and have it killed at the `nth` event for which `condition` holds."""
        hook = at_event(condition, nth)
        words = self.words(*more)
        started = self.launcher.start(*words, cwd=self.at, first=self.first + first + hook)
        started.wait()
        return started

    def left_by(self, name: str, *kill: Any, **first: str) -> None:
        """Have the place as a kill left it; killed once, copied from then on."""
        kept = self._kept / name
        self.reset()
        if not kept.exists():
            self._kill_in(*kill, **first)
            shutil.copytree(self.at, kept, symlinks=True)
        else:
            shutil.copytree(kept, self.at, symlinks=True, dirs_exist_ok=True)

    def _kill_in(self, condition: str, nth: int, *more: object, **first: str) -> None:
        """Kill a run; among chunks or genes, when the journal records some of them.

        Among genes it records the graph as well, whose task runs beside the others.
        """
        for _ in range(20):
            self.reset()
            started = self.kill(condition, nth, *more, **first)
            assert started.wait() == -signal.SIGKILL, started.said
            finished = done_at(self.out)
            in_genes = finished.genes.size and finished.edges is not None
            if {GENE: in_genes, SPILLED: finished.spills}.get(condition, True):
                return
        raise AssertionError("the journal never recorded a chunk, or a gene and the graph")

    def left_in_genes(self) -> None:
        """Killed when all was spilled and some genes were written."""
        self.left_by("genes", GENE, len(self.names("var/")) * 2 // 3)

    def left_in_transpose(self) -> None:
        """Killed when some chunks were spilled."""
        self.left_by("transpose", SPILLED, 4)

    def left_at_publish(self) -> None:
        """Killed when the export was complete, before it had its name."""
        self.left_by("publish", PUBLISHED, 1)

    def tidied(self) -> bool:
        """Whether a run that was killed had come to its last step: its journal is gone, all else.

        Then it is as if it had ended, and the same command is refused without ``--force``.
        """
        left = {path.name for path in self.staging.rglob("*")}
        return tree(self.out) == self.whole and left <= {MARK, OWNER}

    def names(self, start: str) -> list[str]:
        """Files of the export whose path begins so."""
        return [name for name in self.whole if name.startswith(start)]

    def check(self, label: object = "") -> None:
        """What must hold when the command has ended well."""
        made = tree(self.out)
        other = sorted(n for n in {*made, *self.whole} if made.get(n) != self.whole.get(n))
        assert other == [], label
        assert leftovers(self.at) == [], label
        assert not list(self.at.rglob("cellucid-dask-scratch-*")), label


GENE = 'event == "os.rename" and "/var/" in os.fspath(arguments[1]).partition("/export-")[2]'
SPILLED = 'event == "open" and "/rows-" in str(arguments[0]) and "a" in str(arguments[1])'
PUBLISHED = 'event == "os.rename" and os.fspath(arguments[1]).endswith("/out")'
