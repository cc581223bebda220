"""Kill exports with SIGKILL at random moments, run them again, and compare what they make.

    python -m benchmarks recovery --kills 100

Makes small synthetic atlases in a temporary folder, and of each an export that runs through. Then,
round after round, the same command runs with other numbers of workers, memory and scratch folders,
and is killed up to ten times before it may end. The export must be that of the reference, file for
file; the folder it was to replace must be whole after every kill; what the next run says it goes on
with must be what the journal tells; and nothing may be left. Ends with 1 when any of it is not so.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil

from cellucid_dask import clean
from cellucid_dask.exporter.recovery.journal import JOURNAL, read_journal
from cellucid_dask.exporter.recovery.lock import MARK, OWNER
from cellucid_dask.exporter.recovery.previous_run import staging_folder
from cellucid_dask.synthetic import AtlasSpec, write_h5ad

LAYOUTS = ("csr", "csc", "dense")
STAGES = ("start", "resume", "obs", "transpose", "genes", "manifests", "publish", "tidy")
KINDS = ("group", "all", "main", "worker")
MOST_KILLS = 10  # of one export
MOST_WORKERS = 2  # that are killed in one run: dask gives a task up after some more
SECONDS = 300  # that a run may take
LINGER = 20  # seconds within which workers have noticed that their run is dead
SHORT = {"manifests": "genes", "publish": "manifests", "tidy": "publish"}  # line before each
DIED = "the workers died"  # what a run says all of whose workers were killed while they started
FACTS = ("--dataset-id", "d", "--dataset-name", "d", "--created-at", "2026-01-31T12:00:00Z")


def tree(folder: Path) -> dict[str, str]:
    """Every path below `folder`, with a digest of what files hold."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
            if path.is_file()
            else "folder"
        )
        for path in sorted(folder.rglob("*"))
    }


@dataclass(frozen=True, slots=True)
class Atlas:
    """An atlas, and what is known of its export.

    Parameters
    ----------
    genes, cells
        Its size.
    new, old
        The export that ran through, and another one that is to be replaced.
    seconds
        How long each stage took.
    """

    path: Path
    layout: str
    cells: int
    genes: int
    new: Path
    old: Path
    trees: tuple[dict[str, str], dict[str, str]]
    seconds: dict[str, float]


@dataclass(slots=True)
class Tally:
    """What was done and found."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    layouts: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    exports: int = 0
    equal: int = 0
    resumed: int = 0
    genes_kept: int = 0
    settled: int = 0
    gave_up: int = 0
    wrong: list[str] = field(default_factory=list)


# --------------------------------------------------------------------------- processes


class Run:
    """One run of the command, in a session of its own.

    Parameters
    ----------
    cwd
        Everything the run makes is in it: so its workers are found.
    """

    def __init__(self, arguments: list[str], cwd: Path) -> None:
        self.lines: list[tuple[float, str]] = []
        self._cwd = cwd
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cellucid_dask", *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append((time.monotonic() - self.began, line.rstrip()))

    @property
    def said(self) -> str:
        """What it has printed."""
        return "\n".join(line for _, line in self.lines)

    def workers(self) -> list[psutil.Process]:
        """Worker processes it has, each in a session of its own."""
        with suppress(psutil.NoSuchProcess):
            return [
                child
                for child in psutil.Process(self.process.pid).children()
                if child.status() != psutil.STATUS_ZOMBIE
            ]
        return []

    def until(self, reached: Callable[[], bool]) -> bool:
        """Wait for a moment; False when the run ended before."""
        while not reached():
            if self.process.poll() is not None:
                return False
            if time.monotonic() - self.began > SECONDS:
                raise click.ClickException(f"a run hangs:\n{self.said}")
            time.sleep(0.001)
        return self.process.poll() is None

    def kill(self, kind: str, rng: random.Random) -> bool:
        """Kill what `kind` says; False when there is nothing to kill any more."""
        workers = self.workers()
        if kind == "worker":
            victims = [rng.choice(workers)] if workers else []
        else:
            victims = workers if kind == "all" else []
            with suppress(ProcessLookupError):
                if self.process.poll() is None:
                    (os.kill if kind == "main" else os.killpg)(self.process.pid, signal.SIGKILL)
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        return bool(victims) or kind != "worker"

    def wait(self) -> int:
        """Exit code of the run."""
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise click.ClickException(f"a run hangs:\n{self.said}") from None
        finally:
            self._reader.join()
        return code


def family(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names `folder`: workers that have lost their run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder) in w for w in process.cmdline()):
                found.append(process)
    return found


# --------------------------------------------------------------------------- where a run is


def place(atlas: Atlas, out: Path, run: Run | None = None, *, again: bool = False) -> str:
    """Stage that a run is in, by its journal and what it has printed.

    Parameters
    ----------
    again
        Whether there was a journal when it began.
    """
    said = run.said if run is not None else "check:"
    if "check:" not in said:
        return "start"
    if again and not re.search(r"^(goes on|resume|points|transpose|genes)", said, re.MULTILINE):
        return "resume"
    entries = read_journal(staging_folder(out) / JOURNAL)
    if entries is None:
        return "tidy" if (out / "checksums.json").exists() and "manifests:" in said else "start"
    done = entries.finished_work()
    if done.published is not None:
        made = any(staging_folder(out).glob("export-*/dataset_identity.json"))
        return "publish" if made and not _same_identity(out, atlas.new) else "tidy"
    if done.obs is None:
        return "obs"
    if len(done.genes) < atlas.genes:
        rows = sum(spill.n_rows for spill in done.spills)
        spilling = atlas.layout == "csr" and rows < atlas.cells and not done.genes
        return "transpose" if spilling else "genes"
    return "manifests"  # or the graph, where it takes longest


def _same_identity(one: Path, other: Path) -> bool:
    with suppress(OSError):
        files = [folder / "dataset_identity.json" for folder in (one, other)]
        return files[0].read_bytes() == files[1].read_bytes()
    return False


def noted_genes(out: Path) -> int:
    """Genes that the journal says are done."""
    entries = read_journal(staging_folder(out) / JOURNAL)
    return 0 if entries is None else len(entries.finished_work().genes)


# --------------------------------------------------------------------------- the atlases


def make_atlas(folder: Path, layout: str, cells: int, genes: int, seed: int) -> Atlas:
    """Make an atlas, an export of it that runs through, and another export."""
    if layout != "csr":
        cells //= 4  # so that the files are about as large
    spec = AtlasSpec(cells=cells, genes=genes, neighbors=5, layout=layout, seed=seed)
    path = folder / f"{layout}.h5ad"
    write_h5ad(spec, path, compression="lzf")
    trees, seconds = [], {}
    for name in ("old", "new"):
        out = folder / layout / name / "out"
        out.parent.mkdir(parents=True)
        facts = [*FACTS, "--description", "old"] if name == "old" else [*FACTS]
        run = Run(["export", str(path), "-o", str(out), "--workers", "1", *facts], folder)
        if run.wait():
            raise click.ClickException(f"the reference was not made:\n{run.said}")
        for line in run.said.splitlines():
            if found := re.match(r"([a-z ]+): .* in ([\d.]+) s$", line):
                seconds[found[1]] = float(found[2])
        trees.append(tree(out))
    old, new = (folder / layout / name / "out" for name in ("old", "new"))
    return Atlas(path, layout, cells, genes, new, old, (trees[1], trees[0]), seconds)


# --------------------------------------------------------------------------- rounds


class Rounds:
    """Exports that are killed until they may end.

    Parameters
    ----------
    goal
        Kills in all.
    """

    def __init__(self, folder: Path, rng: random.Random, goal: int) -> None:
        self.tally = Tally()
        self._folder, self._rng, self._goal = folder, rng, goal
        self._targets: list[str] = []
        self._made: list[tuple[float, Atlas, Path, str]] = []

    def play(self, atlas: Atlas, number: int) -> None:
        """Have one export made, with up to ten kills on the way."""
        folder = self._folder / f"round-{number}"
        (folder / "spill").mkdir(parents=True)
        out, rng, tally = folder / "out", self._rng, self.tally
        replacing = rng.random() < 0.3
        if replacing:
            shutil.copytree(atlas.old, out)
        left = min(rng.randint(1, MOST_KILLS), self._goal - tally.kills.total())
        killed: list[str] = []
        while True:
            again, noted = staging_folder(out).exists(), noted_genes(out)
            run, how = self._start(atlas, folder, force=replacing)
            if left > 0:
                hits = self._attack(atlas, out, run, again=again)
                left -= len(hits)
                killed += [f"{kind} in {stage}" for kind, stage in hits]
                tally.kills.update(hits)
                tally.layouts[atlas.layout] += len(hits)
            code = run.wait()
            label = f"round {number}, {atlas.layout}, {how}, after {', '.join(killed) or 'nothing'}"
            self._look(atlas, out, run, code, label, noted, replacing=replacing)
            if DIED in run.said:
                tally.gave_up += 1
                continue
            if code != -signal.SIGKILL:
                break
            if self._tidied(atlas, out):
                clean(out)
                tally.settled += 1
                break
        tally.exports += 1
        self._made.append((time.monotonic() + LINGER, atlas, folder, label))

    def _tidied(self, atlas: Atlas, out: Path) -> bool:
        """Whether a run was killed at its last step, after which its journal is gone.

        Then it is as if it had ended, and the same command is refused without ``--force``.
        """
        left = {path.name for path in staging_folder(out).rglob("*")}
        return left <= {MARK, OWNER} and tree(out) == atlas.trees[0]

    def _start(self, atlas: Atlas, folder: Path, *, force: bool) -> tuple[Run, str]:
        rng = self._rng
        workers = rng.choice((1, 2, 3))
        how = ["--workers", str(workers)]
        if rng.random() < 0.4:
            how += ["--memory", f"{rng.randint(360, 500) + 270 * workers}MB"]
        if rng.random() < 0.4:
            how += ["--scratch", str(folder / "spill")]
        self.tally.runs += 1
        how += ["--force"] if force else []
        words = ["export", str(atlas.path), "-o", str(folder / "out"), *FACTS, *how]
        return Run(words, folder), " ".join(how)

    def _attack(self, atlas: Atlas, out: Path, run: Run, *, again: bool) -> list[tuple[str, str]]:
        """Kill at a random moment of a stage; which kinds of kill hit which stages."""
        rng, hits = self._rng, []
        for _ in range(MOST_WORKERS):
            target = self._target(atlas)
            kind = rng.choice(KINDS)
            if not run.until(lambda target=target: self._reached(atlas, out, run, target, again)):
                break
            pause = time.monotonic() + rng.uniform(0, self._length(atlas, target))
            if not run.until(lambda pause=pause: time.monotonic() >= pause):
                break
            if kind == "worker" and not run.workers():
                kind = "group"
            stage = place(atlas, out, run, again=again)
            if run.kill(kind, rng):
                if kind != "worker":
                    run.process.wait()
                    stage = place(atlas, out, run, again=again)  # nothing moves any more
                hits.append((kind, stage))
            if kind != "worker":
                break
        return hits

    def _target(self, atlas: Atlas) -> str:
        """Stage to hit next: all in turn, those with many files and lines more often."""
        if not self._targets:
            self._targets = [*STAGES, "obs", "transpose", "genes", "manifests", "publish"]
            self._rng.shuffle(self._targets)
        target = self._targets.pop()
        return "genes" if target == "transpose" and atlas.layout != "csr" else target

    def _reached(self, atlas: Atlas, out: Path, run: Run, target: str, again: bool) -> bool:
        """Whether a run has come to a stage, found out as quickly as the stage is short."""
        said = run.said
        if target in SHORT:
            return re.search(rf"^({SHORT[target]}):", said, re.MULTILINE) is not None
        if target in ("start", "resume", "obs") or "check:" not in said:
            return target == "start" or "check:" in said
        now = place(atlas, out, run, again=again)
        return STAGES.index(now) >= STAGES.index(target)

    def _length(self, atlas: Atlas, stage: str) -> float:
        """About how long a stage takes."""
        took = sum(s for name, s in atlas.seconds.items() if name.startswith(stage))
        known = {"start": 1.5, "resume": 0.6, "obs": took + 0.1, "manifests": 0.03, "publish": 0.02}
        return known.get(stage, max(took, 0.05))

    def _look(
        self,
        atlas: Atlas,
        out: Path,
        run: Run,
        code: int,
        label: str,
        noted: int,
        *,
        replacing: bool,
    ) -> None:
        """Look at how a run ended, and at what is under the name of the export."""
        new, old = atlas.trees
        ended = code == 2 if DIED in run.said else code in (0, -signal.SIGKILL)
        if not ended or "Traceback" in run.said:
            self._note(f"{label}: exit code {code}\n{run.said}")
        there = tree(out)
        if there != new and there != (old if replacing else {}):
            self._note(f"{label}: under the name is neither export\n{run.said}")
        if "goes on with" in run.said:
            self.tally.resumed += 1
            found = re.search(r"goes on with.* ([\d,]+) of [\d,]+ genes", run.said)
            kept = int(found[1].replace(",", "")) if found else 0
            self.tally.genes_kept += kept
            if kept != noted:
                self._note(f"{label}: {kept} genes kept, {noted} were noted\n{run.said}")
        elif code == 0 and "manifests:" not in run.said:
            self.tally.settled += 1
        elif noted and "manifests:" in run.said:
            self._note(f"{label}: {noted} genes were noted, none kept\n{run.said}")

    def compare(self, *, all_of_it: bool = False) -> None:
        """Compare exports that were made, once no worker of a dead run could write any more.

        Parameters
        ----------
        all_of_it
            Wait for the workers of the last ones.
        """
        made, self._made = self._made, []
        for end, atlas, folder, label in made:
            while family(folder) and all_of_it and time.monotonic() < end:
                time.sleep(0.05)
            if family(folder) and time.monotonic() < end:
                self._made.append((end, atlas, folder, label))
                continue
            self._compare(atlas, folder, label)
            shutil.rmtree(folder, ignore_errors=True)

    def _note(self, text: str) -> None:
        click.echo(f"WRONG: {text}", err=True)
        self.tally.wrong.append(text)

    def _compare(self, atlas: Atlas, folder: Path, label: str) -> None:
        """Compare what was made, and look for what is left."""
        made, new = tree(folder / "out"), atlas.trees[0]
        if made == new:
            self.tally.equal += 1
        else:
            names = sorted(name for name in {*made, *new} if made.get(name) != new.get(name))
            self._note(f"{label}: differs in {len(names)} files: {', '.join(names[:5])}")
        for process in family(folder):
            self._note(f"{label}: still runs: {process}")
            with suppress(psutil.NoSuchProcess):
                process.kill()
        left = sorted(name for name in tree(folder) if not name.startswith("out"))
        if left != ["spill"]:
            self._note(f"{label}: is left: {', '.join(left)}")


def show(tally: Tally) -> None:
    """Print what was done and found."""
    print(f"| kills by | {' | '.join(STAGES)} | all |")
    print(f"|---|{'---:|' * (len(STAGES) + 1)}")
    for kind in KINDS:
        row = [tally.kills[kind, stage] for stage in STAGES]
        print(f"| {kind} | {' | '.join(map(str, row))} | {sum(row)} |")
    row = [sum(tally.kills[kind, stage] for kind in KINDS) for stage in STAGES]
    print(f"| all | {' | '.join(map(str, row))} | {sum(row)} |")
    layouts = ", ".join(f"{name} {count}" for name, count in sorted(tally.layouts.items()))
    print(f"\nkills: {tally.kills.total()} ({layouts}) in {tally.runs} runs")
    print(f"exports completed: {tally.exports}; trees equal: {tally.equal}")
    print(
        f"runs that went on: {tally.resumed}, with {tally.genes_kept:,} genes in all; "
        f"that only tidied up: {tally.settled}; that ended for want of workers: {tally.gave_up}"
    )
    print(f"wrong: {len(tally.wrong) or 'nothing'}; leftovers: " + _leftovers(tally))


def _leftovers(tally: Tally) -> str:
    return str(sum("is left" in w or "still runs" in w for w in tally.wrong) or "none")


@click.command("recovery", help=__doc__.split("\n")[0])
@click.option("--kills", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=int, help="Of the choices; the moments are the machine's.")
@click.option("--cells", type=click.IntRange(1000), default=140_000, show_default=True)
@click.option("--genes", type=click.IntRange(50), default=400, show_default=True)
@click.option(
    "--layout",
    "layouts",
    type=click.Choice(LAYOUTS),
    multiple=True,
    help="Of the matrix; by default all in turn.",
)
def command(kills: int, seed: int | None, cells: int, genes: int, layouts: tuple[str, ...]) -> None:
    """Kill, run again, compare, and print the table."""
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    print(f"seed {seed}; {cells:,} cells, {genes:,} genes\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="cellucid-dask-recovery-") as name:
        folder = Path(name).resolve()
        atlases = [make_atlas(folder, x, cells, genes, seed % 1000) for x in layouts or LAYOUTS]
        rounds, number = Rounds(folder, random.Random(seed), kills), 0
        tally = rounds.tally
        try:
            while tally.kills.total() < kills:
                rounds.play(atlases[number % len(atlases)], number)
                rounds.compare()
                number += 1
                done = f"{tally.kills.total()} of {kills} kills, {tally.exports} exports"
                click.echo(f"{done}, {len(tally.wrong)} wrong", err=True)
            rounds.compare(all_of_it=True)
        finally:
            for process in family(folder):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
    show(tally)
    sys.exit(1 if tally.wrong else 0)
