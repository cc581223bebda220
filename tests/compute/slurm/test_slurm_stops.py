"""Exports on a real SLURM that are stopped in the middle of a pass, in every way a job ends.

A worker or the whole job is cancelled, gives way to a job of higher priority, or comes to the end
of its time. What must come of it is what a plain run makes, without doing again what was done.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from sys import executable
from threading import Event, Semaphore

import pytest
import slurm_local
from atlas import STAMP, atlas, leftovers, save, tree
from scenes import GENE, PIECES, SPILLED, done_at
from slurm_local import NONE, OVER, NoSlurmError, Slurm, call

from cellucid_dask import export
from cellucid_dask.exporter.recovery.journal import FinishedWork

SCRIPTS = Path(str(files("cellucid_dask"))) / "compute" / "slurm" / "scripts"
GENES = 60
PASSES = {"spill": (SPILLED, 3), "gene": (GENE, 15)}  # what is renamed, and the how manieth waits
VICTIM = 12_000  # MiB of a job that has to give way
WARNING = 120  # seconds before the end of the time; SLURM sends it up to 30 seconds earlier
LONG = 30  # minutes of a job that is not to come to its end
SECONDS = 600.0  # for anything, on a machine that has much else to do

# A job with the command in it; its workers are jobs of their own.
FLAG = """#!/bin/bash
#SBATCH --job-name=main
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
exec "$CELLUCID_DASK" export "$1" -o "${@:2}" --slurm
"""

# What every Python of a job does first: from the nth file of a pass in a process on, the processes
# of the run wait before they give a file its name, until they are released. All files are noted.
HOLD = """
import os, sys, time

place, seen = {place!r}, 0
marker, released = place + "/held", place + "/released"

def hook(event, arguments):
    global seen
    spill, gene = {spill}, {gene}
    if not (spill or gene):
        return
    if {held}:
        seen += 1
        if seen >= {nth}:
            try:
                with open(marker, "x") as file:
                    file.write(os.environ["SLURM_JOB_ID"] + "\\n")
            except FileExistsError:
                pass
        while os.path.exists(marker) and not os.path.exists(released):
            time.sleep(0.05)
    path = os.fspath(arguments[0 if spill else 1])
    name = os.path.basename(path)
    if spill:  # several chunks are appended to a file
        name += "@%d" % (os.path.getsize(path) if os.path.exists(path) else 0)
    with open(place + "/notes-%d" % os.getpid(), "a") as file:
        file.write(name + "\\n")

sys.addaudithook(hook)
if "export" in sys.orig_argv:
{pieces}
    stage_genes.PIECE = 0
"""


@dataclass(frozen=True)
class Case:
    """How a run works, where it is held, and what stops it there.

    Parameters
    ----------
    stop
        ``cancel``, ``preempt``, ``warned`` (its time will be over, of which it is told) or
        ``timeout`` (it is over, without a warning).
    who
        The job that this happens to: ``main`` or ``worker``.
    held
        ``spill`` in pass 1, ``gene`` in pass 2.
    way
        ``flag``, or the name of a script.
    workers
        Worker processes.
    """

    stop: str
    who: str
    held: str
    way: str
    workers: int = 2

    def __str__(self) -> str:
        return f"{self.stop}-{self.who}-{self.held}-{self.way}"


CASES = (  # those that take longest first
    Case("timeout", "main", "gene", "flag", 1),
    Case("warned", "main", "spill", "export-node", 1),
    Case("preempt", "main", "spill", "export-node"),
    Case("preempt", "main", "gene", "export-nodes"),
    Case("preempt", "worker", "spill", "flag", 1),
    Case("cancel", "worker", "spill", "flag"),
    Case("cancel", "worker", "gene", "flag", 1),
    Case("cancel", "main", "spill", "flag"),
    Case("cancel", "main", "gene", "export-nodes"),
)


ENDS = {"cancel": "CANCELLED", "timeout": "TIMEOUT"}  # state of the job then


@pytest.fixture
def own() -> Iterator[Slurm]:
    """A SLURM that nobody else uses, since jobs that give way are taken at random."""
    if not slurm_local.STARTER.is_file():
        pytest.skip(f"{NONE}jobs are made to give way, on one that is started for that alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(slurm_local.FOLDER, tempfile.mkdtemp(prefix="slurm-"))
        patch.setenv(slurm_local.OWNER, str(os.getpid()))  # this process ends it
        patch.setenv("SLURM_CONF", "")
        # It claims more than there is: most jobs only wait.
        claims = {"CPUS": "64", "MEM_MB": str(20 * VICTIM), "PORT": "27317"}
        for name, value in claims.items():
            patch.setenv(f"SLURM_LOCAL_{name}", value)
        try:
            yield slurm_local.start()
        except NoSlurmError as error:
            pytest.skip(f"{NONE}{error}")
        finally:
            slurm_local.end()


def until(reached: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Wait for something."""
    limit = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < limit, f"after {seconds} s not: {what}"
        time.sleep(1)


@dataclass
class Scenario:
    """A run of its own place, that is stopped and finished.

    Parameters
    ----------
    place
        Where it is submitted, and what it may leave something in.
    hold
        Folder of the hook, and of what it tells.
    ready
        Set when the run is held, and so can be stopped.
    """

    case: Case
    slurm: Slurm
    data: Path
    whole: dict[str, str]
    place: Path
    hold: Path
    jobs: list[str] = field(default_factory=list)
    ready: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.place.mkdir(parents=True)
        self.hold.mkdir(parents=True)
        _, nth = PASSES[self.case.held]
        pieces = PIECES.format(nnz=1000, block=256).strip().replace("\n", "\n    ")
        told = {"spill": SPILLED, "gene": GENE, "held": self.case.held, "nth": nth}
        text = HOLD.format(place=str(self.hold), pieces=f"    {pieces}", **told)
        (self.hold / "sitecustomize.py").write_text(text)
        (self.place / "main.sh").write_text(FLAG)

    @property
    def out(self) -> Path:
        return self.place / "x"

    # ------------------------------------------------------------------- what is there

    def state(self, job: str) -> str:
        return self.slurm.details(job)["JobState"]

    def restarts(self, job: str) -> int:
        return int(self.slurm.details(job)["Restarts"])

    def seconds(self, job: str) -> int:
        """How long a job has run since it last started."""
        hours, minutes, seconds = map(int, self.slurm.details(job)["RunTime"].split(":"))
        return (hours * 60 + minutes) * 60 + seconds

    def limit(self, job: str, minutes: int) -> None:
        """Give a job another time."""
        call("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")

    def queued(self) -> set[str]:
        return set(self.slurm.jobs(self.place))

    def noted(self) -> list[str]:
        """Names of all spill files and genes that were finished."""
        return [n for path in self.hold.glob("notes-*") for n in path.read_text().split()]

    def held_job(self) -> str:
        """Number of the job that came to the moment; empty as long as none has."""
        with suppress(FileNotFoundError):
            return (self.hold / "held").read_text().strip()
        return ""

    def done(self) -> dict[str, set[str]]:
        """Names of what the journal says is done."""
        done: FinishedWork = done_at(self.out)
        return {
            "spill": {f"{Path(spill.path).name}@{spill.offset}" for spill in done.spills},
            "gene": {f"Gene{i}.values.u8.gz" for i in done.genes["gene"].tolist()},
        }

    def report(self) -> str:
        """What there is to see of it, for the reader of a failure."""
        lines = [f"journal: { {k: len(v) for k, v in self.done().items()} }, out: {self.out}"]
        queue = call("squeue", "-t", "all", "-S", "i", "-o", "%i %P %j %T %r %M %Z").splitlines()
        lines += [row.rpartition(" ")[0] for row in queue if row.endswith(f"/{self.place.name}")]
        for log in sorted(self.place.rglob("*.log")):
            lines += [f"--- {log.name}", log.read_text(errors="replace")[-4000:]]
        return "\n".join(lines)

    # ------------------------------------------------------------------- the story

    def run(self, starting: Semaphore) -> None:
        """Submit it, stop it, have it finished, and look at what came of it."""
        with starting:  # not all at once on a small machine
            self.submit()
            until(self.reached, "it is held in the pass")
        self.ready.set()
        self.stop()
        before, done = self.noted(), self.done()
        assert not self.out.exists()
        (self.hold / "released").touch()
        if self.state(self.jobs[-1]) in OVER:
            self.submit()
        self.slurm.wait(self.jobs[-1], seconds=SECONDS)
        self.check(before, done)

    def submit(self) -> None:
        """Submit the run: always with the same words."""
        case, words = self.case, [self.data, self.out, *STAMP]
        script = SCRIPTS / f"{case.way}.sbatch"
        give: dict[str, object] = {"chdir": self.place, "time": LONG, "mem": "2G"}
        if case.way == "export-nodes":
            give |= {"nodes": 1, "ntasks-per-node": case.workers, "mem": "3G"}
        elif case.way == "export-node":
            give |= {"cpus-per-task": case.workers}
        else:
            script = self.place / "main.sh"
            words += ["--workers", case.workers, "--job-memory", "1GiB"]
            if case.stop == "cancel" and case.who == "main":
                # One worker at a time: there is always a job that waits, and must not be left.
                words.append("--slurm-directive=--dependency=singleton")
        if case.stop == "warned":
            give |= {"signal": f"B:USR1@{WARNING}"}
        if case.stop == "preempt" and case.who == "main":
            give |= {"partition": "preempt", "mem": f"{VICTIM}M"}
        elif case.stop == "preempt":
            words += ["--partition", "preempt", "--job-memory", f"{VICTIM}MiB"]
        options = [f"--{name}={value}" for name, value in give.items()]
        path = os.pathsep.join(filter(None, [str(self.hold), os.environ.get("PYTHONPATH")]))
        submit = ["env", f"PYTHONPATH={path}", "sbatch", "--parsable", *options]
        self.jobs.append(call(*submit, script, *words).strip())

    def reached(self) -> bool:
        """Whether the run stands in the middle of its pass, and has noted what it did there."""
        state = self.state(self.jobs[-1])
        assert state not in OVER, f"{self.jobs[-1]} is {state}"
        if not self.held_job():
            return False
        done = self.done()
        if self.case.held == "spill":
            return bool(done["spill"]) and not done["gene"]
        return 0 < len(done["gene"]) < GENES

    def stop(self) -> None:
        """Stop it, or wait until it is stopped."""
        job, held, there = self.jobs[-1], self.held_job(), self.queued()
        victim = job if self.case.who == "main" else held
        if self.case.stop == "cancel":
            self.slurm.cancel(victim)
        elif self.case.stop in ("warned", "timeout"):
            # A real end, but soon: within a minute, or with time for what follows the warning,
            # also on a busy machine.
            more = 105 if self.case.stop == "warned" else 1
            self.limit(job, math.ceil((self.seconds(job) + more) / 60))
        if self.case.who == "worker":
            assert held != job
            # SLURM itself may be sooner with a job that it pre-empted: back, by the same number.
            again = self.queued
            until(lambda: again() - there or self.state(victim) == "PENDING", "there is another")
            until(lambda: self.state(victim) != "RUNNING", f"{victim} is gone")
        elif self.case.stop in ENDS:
            until(lambda: self.state(job) in OVER, "it is stopped")
            assert self.state(job) == ENDS[self.case.stop]
            until(lambda: not self.queued(), "none of its jobs is left")
        else:
            until(lambda: self.state(victim) == "PENDING", "it is back in the queue")
            self.limit(victim, LONG)  # it was lowered, if at all, to see the end of it
            left = {job, victim}
            until(lambda: self.queued() == left, f"none of its jobs is left but {left}")

    def check(self, before: list[str], done: dict[str, set[str]]) -> None:
        """Look at the export, at what was done for it and when, and at what is left."""
        job, log = self.jobs[-1], self.slurm.log(self.jobs[-1])
        assert tree(self.out) == self.whole
        if self.case.who == "main":
            assert "resumes an earlier run" in log
        else:
            assert "resumes an" not in log
        if self.case.stop in ("warned", "preempt") and self.case.who == "main":
            assert self.restarts(job) > 0
        if self.case.stop == "warned":
            assert "the time is over: the job goes back into the queue" in log
        if (self.case.stop, self.case.who) == ("cancel", "worker"):
            assert f"job {self.held_job()} has ended; asks for another in its place" in log
        # It was in the middle, and what was done then was not done again.
        spills = {name for name in self.noted() if name.startswith("rows-")}
        genes = set(self.noted()) - spills
        assert len(spills) > 10
        assert len(genes) == GENES
        if self.case.held == "spill":
            assert 0 < len(done["spill"]) < len(spills)
            assert not done["gene"]
        else:
            assert done["spill"] == spills
            assert 0 < len(done["gene"]) < GENES
        after = self.noted()
        for name in before:
            after.remove(name)
        assert not (done["spill"] | done["gene"]) & set(after)
        # Nothing is left: no job, and no file but the export and what was printed.
        until(lambda: not self.queued(), "the queue is empty")
        assert leftovers(self.place) == []
        names = {path.name for path in self.place.iterdir() if path.suffix != ".log"}
        assert names == {"x", "main.sh"}


def make_way(slurm: Slurm, scenarios: list[Scenario], futures: list[Future[None]]) -> None:
    """Have all jobs that can be pre-empted give way to one of higher priority, once all are held.

    It asks for memory, of which there is not enough while one of them runs. Other runs end
    meanwhile, and what they free can spare a victim: then another job asks for more.
    """
    pairs = [(s, f) for s, f in zip(scenarios, futures, strict=True) if s.case.stop == "preempt"]
    until(lambda: all(s.ready.is_set() or f.done() for s, f in pairs), "all are held", 2 * SECONDS)

    def running() -> set[str]:
        return set(call("squeue", "-h", "-p", "preempt", "-t", "R", "-o", "%i").split())

    def runs(job: str) -> bool:
        return slurm.state(job) == "RUNNING"

    victims, important = running(), list[str]()
    try:
        while victims:
            node = call("scontrol", "show", "node", "-o").split()
            real, used = (
                int(word.split("=")[1])
                for name in ("RealMemory=", "AllocMem=")
                for word in node
                if word.startswith(name)
            )
            asked = real - used + len(victims) * VICTIM - VICTIM // 2
            job = call(
                "sbatch", "--parsable", "--partition=main", f"--mem={asked}M", "--output=/dev/null",
                "--chdir=/", "--job-name=important", f"--time={LONG}", "--wrap=sleep 600",
            ).strip()  # fmt: skip
            important.append(job)
            until(partial(runs, job), "jobs gave way to one of higher priority")
            # A job that gave way and runs again has been started anew.
            victims = {v for v in victims & running() if slurm.details(v)["Restarts"] == "0"}
    finally:
        for job in important:
            slurm.cancel(job)


def told_of(scenario: Scenario, future: Future[None]) -> str:
    """What is wrong with a scenario; empty when it is well."""
    error = future.exception()
    if error is None:
        return ""
    try:
        seen = scenario.report()
    except Exception as another:  # noqa: BLE001  the first one matters
        seen = f"no report: {another}"
    return f"===== {scenario.case}: {type(error).__name__}: {error}\n{seen}"


def test_resume_after_every_stop_in_every_pass_gives_the_same_bytes(
    own: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, since most of it is waiting for SLURM."""
    program = tmp_path / "bin"
    program.mkdir()
    for name, words in (("cellucid-dask", "-m cellucid_dask "), ("python", "")):
        (program / name).write_text(f'#!/bin/bash\nexec {executable} {words}"$@"\n')
        (program / name).chmod(0o755)
    (tmp_path / "tmp").mkdir()
    environment = {"CELLUCID_DASK": program / "cellucid-dask", "TMPDIR": tmp_path / "tmp"}
    # Nobody looks at the pages of these runs, for which each would import bokeh.
    environment["DASK_JOBQUEUE__SLURM__SCHEDULER_OPTIONS"] = "{'dashboard': False}"
    # Workers that lost their run do not end by themselves while the test waits.
    environment["DASK_JOBQUEUE__SLURM__DEATH_TIMEOUT"] = "3600"
    for key, value in {**environment, "OPENBLAS_NUM_THREADS": 1}.items():
        monkeypatch.setenv(key, str(value))

    data = save(atlas(600, GENES), tmp_path / "atlas.h5ad")
    export(data, tmp_path / "plain/x", quiet=True, workers=1, created_at=STAMP[1])
    whole = tree(tmp_path / "plain/x")
    scenarios = [
        Scenario(case, own, data, whole, tmp_path / str(case), tmp_path / "hold" / str(case))
        for case in CASES
    ]
    starting = Semaphore(4)
    with ThreadPoolExecutor(len(CASES)) as threads:
        futures = [threads.submit(scenario.run, starting) for scenario in scenarios]
        wrong = ""
        try:
            make_way(own, scenarios, futures)
        except AssertionError as error:
            wrong = f"===== jobs did not give way: {error}\n"
    wrong += "\n".join(filter(None, map(told_of, scenarios, futures)))
    assert not wrong, wrong
    assert own.jobs() == []
