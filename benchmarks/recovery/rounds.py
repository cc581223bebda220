"""Rounds: each makes one export, which is killed several times and resumed."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.recovery.atlases import FIXED_OPTIONS, OUT, Atlas, digest_files, digest_outputs
from benchmarks.recovery.runs import TARGETS, Run, find_processes, kill_processes
from benchmarks.recovery.stages import (
    STAGES,
    WORKERS_DIED,
    count_journal,
    estimate_seconds,
    find_resumed,
    find_stage,
    has_reached,
    stages_of,
)
from benchmarks.recovery.tally import Tally
from cellucid_dask import clean
from cellucid_dask.exporter.recovery.lock import MARK, OWNER
from cellucid_dask.exporter.recovery.outputs import first_output

MAX_KILLS = 10  # of one export
MAX_WORKER_KILLS = 2  # in one run: dask gives a task up after some more
WORKER_TIMEOUT = 20  # seconds within which workers notice that their run is dead
# Stages to hit, one after the other in random order: those that write many files more often.
OFTEN = (
    *("obs", "cells", "transpose", "genes", "manifests", "matrix", "matrix"),
    *("assemble", "assemble", "publish"),
)


@dataclass(frozen=True, slots=True)
class FinishedExport:
    """An export that waits for its comparison.

    Parameters
    ----------
    deadline
        Time after which no worker of a dead run may still run.
    label
        The round, its options and its kills.
    """

    deadline: float
    atlas: Atlas
    folder: Path
    label: str


class Rounds:
    """Exports that are killed and resumed until they end.

    Parameters
    ----------
    goal
        Kills in all rounds.
    """

    def __init__(self, folder: Path, rng: random.Random, goal: int) -> None:
        self.tally = Tally()
        self._folder, self._rng, self._goal = folder, rng, goal
        self._stages: list[str] = []
        self._finished: list[FinishedExport] = []

    def make_export(self, atlas: Atlas, number: int) -> None:
        """Make one export, with up to `MAX_KILLS` kills."""
        folder = self._folder / f"round-{number}"
        (folder / "spill").mkdir(parents=True)
        rng, tally, formats = self._rng, self.tally, atlas.formats
        is_replacing = rng.random() < 0.3
        if is_replacing:
            shutil.copytree(atlas.old, folder, dirs_exist_ok=True)
        kills_left = min(rng.randint(1, MAX_KILLS), self._goal - tally.kills.total())
        history: list[str] = []
        while True:
            had_journal, journal = formats.staging(folder).exists(), count_journal(atlas, folder)
            run, options = self._start_run(atlas, folder, is_replacing=is_replacing)
            if kills_left > 0:
                kills = self._kill_run(atlas, folder, run, had_journal=had_journal)
                kills_left -= len(kills)
                history += [f"{target} in {stage}" for target, stage in kills]
                tally.kills.update(kills)
                tally.layouts[atlas.layout] += len(kills)
                tally.formats[formats.label] += len(kills)
            code = run.wait()
            kinds = ", ".join(history) or "no kill"
            label = f"round {number}, {atlas.layout}, {options}, after {kinds}"
            self._check_run(run, code, label, journal)
            self._check_outputs(atlas, folder, run, label, is_replacing=is_replacing)
            if WORKERS_DIED in run.output:
                tally.without_workers += 1
                continue
            if code != -signal.SIGKILL:
                break
            if _is_published(atlas, folder):
                clean(first_output(formats.name_outputs(folder)))
                tally.only_tidied += 1
                break
        tally.exports += 1
        deadline = time.monotonic() + WORKER_TIMEOUT
        self._finished.append(FinishedExport(deadline, atlas, folder, label))

    def _start_run(self, atlas: Atlas, folder: Path, *, is_replacing: bool) -> tuple[Run, str]:
        """Start a run with random options; return it and the options."""
        rng = self._rng
        workers = rng.choice((1, 2, 3))
        options = [*atlas.formats.options, "--workers", str(workers)]
        if rng.random() < 0.4:
            options += ["--memory", f"{rng.randint(360, 500) + 270 * workers}MB"]
        if rng.random() < 0.4:
            options += ["--scratch", str(folder / "spill")]
        options += ["--force"] if is_replacing else []
        self.tally.runs += 1
        words = ["export", str(atlas.path), "-o", str(folder / OUT), *FIXED_OPTIONS, *options]
        return Run(words, folder), " ".join(options)

    def _kill_run(
        self, atlas: Atlas, folder: Path, run: Run, *, had_journal: bool
    ) -> list[tuple[str, str]]:
        """Kill at a random moment of a stage; return the targets and the stages they were in."""
        rng, kills = self._rng, []
        for _ in range(MAX_WORKER_KILLS):
            stage = self._choose_stage(atlas)
            target = rng.choice(TARGETS)

            def is_reached(stage: str = stage) -> bool:
                return has_reached(atlas, folder, run, stage, had_journal=had_journal)

            if not run.wait_until(is_reached):
                break
            moment = time.monotonic() + rng.uniform(0, estimate_seconds(atlas, stage))

            def is_due(moment: float = moment) -> bool:
                return time.monotonic() >= moment

            if not run.wait_until(is_due):
                break
            if target == "worker" and not run.list_workers():
                target = "group"
            stage = find_stage(atlas, folder, run, had_journal=had_journal)
            if run.kill(target, rng):
                if target != "worker":
                    run.process.wait()  # then nothing changes any more
                    stage = find_stage(atlas, folder, run, had_journal=had_journal)
                kills.append((target, stage))
            if target != "worker":
                break
        return kills

    def _choose_stage(self, atlas: Atlas) -> str:
        """Choose the next stage to hit: all in turn, those with many files more often."""
        present = set(stages_of(atlas))
        while True:
            if not self._stages:
                self._stages = [*STAGES, *OFTEN]
                self._rng.shuffle(self._stages)
            stage = self._stages.pop()
            if stage in present:
                return stage

    def _check_run(self, run: Run, code: int, label: str, journal: tuple[int, int]) -> None:
        """Check the exit code of a run, and that it resumes with what the journal records.

        Parameters
        ----------
        journal
            Finished genes, and finished parts of ready files, when the run started.
        """
        tally = self.tally
        is_expected = code == 2 if WORKERS_DIED in run.output else code in (0, -signal.SIGKILL)
        if not is_expected or "Traceback" in run.output:
            tally.add_failure(f"{label}: exit code {code}\n{run.output}")
        resumed = find_resumed(run.output)
        is_written = "manifests:" in run.output or "matrix" in run.output
        if resumed is not None:
            tally.resumed += 1
            tally.resumed_genes += resumed[0]
            tally.resumed_parts += resumed[1]
            if resumed != journal:
                tally.add_failure(
                    f"{label}: resumed with {resumed} genes and parts, the journal has {journal}\n"
                    f"{run.output}"
                )
        elif code == 0 and not is_written:
            tally.only_tidied += 1
        elif any(journal) and is_written:
            tally.add_failure(
                f"{label}: the journal has {journal} genes and parts, none was resumed\n"
                f"{run.output}"
            )

    def _check_outputs(
        self, atlas: Atlas, folder: Path, run: Run, label: str, *, is_replacing: bool
    ) -> None:
        """Check that each output is complete, the new one or the old one, and its checksums."""
        broken = atlas.find_broken_outputs(digest_outputs(folder), is_replacing=is_replacing)
        if broken:
            some = ", ".join(broken[:5])
            self.tally.add_failure(f"{label}: neither the old nor the new: {some}\n{run.output}")

    def compare_exports(self, *, is_last: bool = False) -> None:
        """Compare the finished exports, once no worker of a dead run can write any more.

        Parameters
        ----------
        is_last
            Wait for the workers of the last ones.
        """
        finished, self._finished = self._finished, []
        for export in finished:
            while is_last and find_processes(export.folder) and time.monotonic() < export.deadline:
                time.sleep(0.05)
            if find_processes(export.folder) and time.monotonic() < export.deadline:
                self._finished.append(export)
                continue
            self._compare_export(export)
            shutil.rmtree(export.folder, ignore_errors=True)

    def _compare_export(self, export: FinishedExport) -> None:
        """Compare an export with the expected one, and look for leftovers."""
        files, expected = digest_outputs(export.folder), export.atlas.new_files
        if files == expected:
            self.tally.equal += 1
        else:
            names = sorted(n for n in {*files, *expected} if files.get(n) != expected.get(n))
            some = ", ".join(names[:5])
            self.tally.add_failure(f"{export.label}: {len(names)} files differ: {some}")
        workers = find_processes(export.folder)
        for process in workers:
            self.tally.add_failure(f"{export.label}: still runs: {process}")
        kill_processes(workers)
        names = sorted(n for n in digest_files(export.folder) if not n.startswith(OUT))
        if names != ["spill"]:
            self.tally.add_failure(f"{export.label}: leftovers: {', '.join(names)}")


def _is_published(atlas: Atlas, folder: Path) -> bool:
    """Whether a run was killed at its last step, when its journal is already removed.

    Then the export is complete, and the same command is refused without ``--force``.
    """
    names = {path.name for path in atlas.formats.staging(folder).rglob("*")}
    return names <= {MARK, OWNER} and digest_outputs(folder) == atlas.new_files
