"""A run that writes ready files and is killed at any moment: the same command ends it alike."""

from __future__ import annotations

import os
import random
import re
import signal

import pytest
from atlas import STAMP, Outcome, tree
from recovering import cut_in_half
from scenes import Scene, at_event

from cellucid_dask import clean
from cellucid_dask.exporter.recovery.journal import JOURNAL

KILLS = 12  # of each case
# Kill the process before it changes a name, or begins to write a file in the staging folder; a
# byte in the log for each such event.
KILL = """
import os, signal, sys
seen, log = 0, os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
def hook(event, arguments):
    global seen
    if event in ("os.rename", "os.remove", "os.mkdir") or (
        event == "open" and ".cellucid-staging" in str(arguments[0])
        and set(str(arguments[1])) & set("wxa")
    ):
        seen += 1
        os.write(log, b"x")
        if seen == {nth}:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""
CASES = {
    "several": ("folder,zarr,h5ad",),
    "version 3": ("zarr,zarr.zip", "--zarr-format", "3"),
    "shards": ("zarr,zarr.zip,h5ad", "--zarr-format", "3", "--shards"),
}


def words(small: Scene, case: str, *more: str) -> list[str]:
    """Words of the command."""
    formats, *others = CASES[case]
    every = small.words("--format", formats, *others, *more)
    if "folder" in formats:
        return every
    return [word for word in every if word not in STAMP]  # the others hold no time


def run(small: Scene, case: str, nth: int = 0) -> tuple[Outcome, int]:
    """Run the command, killed at the `nth` event if there is one; how it ended, and its events."""
    log = small.at.parent / "events"
    first = small.first + KILL.format(log=str(log), nth=nth)
    ended = small.launcher.run(*words(small, case), cwd=small.at, first=first)
    return ended, log.stat().st_size


def finish(small: Scene, case: str) -> Outcome:
    """Run the command to its end; without a journal all was done, but for tidying up."""
    if list(small.at.glob(f".*/{JOURNAL}")) or not list(small.at.glob("out*")):
        ended, _ = run(small, case)
        assert ended.code == 0, ended.err
        return ended
    for path in small.at.glob("out*"):
        clean(path)
    return Outcome(0, "", "")


@pytest.mark.parametrize("case", CASES)
def test_killed_again_and_again_all_outputs_are_the_same(small: Scene, case: str) -> None:
    """``RECOVERY_SEED`` in the environment repeats the choices."""
    seed = int(os.environ.get("RECOVERY_SEED", random.SystemRandom().randrange(1 << 32)))
    rng, kills = random.Random(seed), 0
    ended, n_events = run(small, case)
    assert ended.code == 0, ended.err
    whole = tree(small.at)
    while kills < KILLS:
        small.reset()
        story = [f"RECOVERY_SEED={seed}"]
        for _ in range(rng.randint(1, 3)):
            nth = rng.randint(1, n_events)
            ended, seen = run(small, case, nth)
            story.append(f"killed at {nth} of {seen}")
            assert ended.code in (0, -signal.SIGKILL), (story, ended.err)
            kills += 1
            if ended.code == 0 or not list(small.at.glob(f".*/{JOURNAL}")):
                break
        if ended.code:
            finish(small, case)
        made = tree(small.at)
        other = sorted(n for n in {*made, *whole} if made.get(n) != whole.get(n))
        assert other == [], story


def leave_complete_chunks(small: Scene) -> dict[str, str]:
    """Kill a run that has all chunks, before it writes metadata; what it should have made."""
    ended, _ = run(small, "several")
    assert ended.code == 0, ended.err
    whole = tree(small.at)
    small.reset()
    hook = at_event('event == "os.rename" and "/.zmetadata" in str(arguments[1])', 1)
    ended = small.launcher.run(*words(small, "several"), cwd=small.at, first=small.first + hook)
    assert ended.code == -signal.SIGKILL, ended.err
    return whole


def test_finished_chunks_are_told_and_not_made_again(small: Scene) -> None:
    whole = leave_complete_chunks(small)
    ended = small.launcher.run(*words(small, "several", "--dry-run"), cwd=small.at)
    assert ended.code == 0, ended.err
    hook = at_event('event == "os.rename" and str(arguments[1]).endswith("/X/data/0")', 1)
    ended = small.launcher.run(*words(small, "several"), cwd=small.at, first=small.first + hook)
    assert ended.code == 0, ended.err
    assert "resumes an earlier run; done so far: points and obs, the graph" in ended.err
    assert re.search(r"24 of 24 genes, .*[0-9]+ parts of X", ended.err), ended.err
    assert tree(small.at) == whole


@pytest.mark.parametrize("what", ["ready-*/out.zarr/X/data/0", "*/chunks-*.spill"])
def test_damaged_chunks_are_made_again(small: Scene, what: str) -> None:
    whole = leave_complete_chunks(small)
    found = sorted(small.staging.glob(what))
    assert found
    for path in found:
        cut_in_half(path)
    assert finish(small, "several").code == 0
    assert tree(small.at) == whole


def test_one_output_cannot_be_resumed_as_another(small: Scene) -> None:
    """The formats are among the options that a run must share with the one that it resumes."""
    leave_complete_chunks(small)
    ended = small.launcher.run(*small.words("--format", "folder"), cwd=small.at)
    assert ended.code == 2
    assert "unfinished export of other input or options" in ended.err


def test_clean_by_the_name_of_any_output(small: Scene) -> None:
    leave_complete_chunks(small)
    assert clean(small.out.with_name("out.h5ad")).bytes > 0
    assert list(small.at.iterdir()) == []
