"""Kills at random moments: the resumed run makes the bytes of an uninterrupted one."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import psutil
import pytest
from atlas import save_large
from scenes import PIECES, Launcher, Scene, Started, end_family, noted

from cellucid_dask import clean

KILLS = 8  # of each kind of run


@pytest.fixture(scope="module")
def large(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Thousands of cells, in about twenty pieces."""
    data = save_large(tmp_path_factory.mktemp("data") / "large.h5ad", cells=6000, genes=240)
    first = PIECES.format(nnz=14_000, block=1 << 15)
    return Scene(tmp_path_factory.mktemp("large"), data, launcher, first)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_again_and_again_the_bytes_are_the_same(large: Scene, workers: int) -> None:
    """The whole group, the run and all its workers, or a single worker, at random moments.

    ``RECOVERY_SEED`` in the environment repeats the choices.
    """
    seed = int(os.environ.get("RECOVERY_SEED", random.SystemRandom().randrange(1 << 32)))
    rng, kills, story = random.Random(seed), 0, [f"RECOVERY_SEED={seed}"]
    while kills < KILLS:
        large.reset()
        (large.at / "spill").mkdir()
        left = rng.randint(3, 7)
        while True:
            more = ["--scratch", large.at / "spill"] if rng.random() < 0.3 else []
            pieces = PIECES.format(nnz=rng.randint(8000, 30_000), block=rng.randint(8, 40) << 10)
            words = large.words("--workers", rng.randint(1, 3) if workers > 1 else 1, *more)
            running = large.launcher.start(*words, cwd=large.at, first=pieces)
            while left > 0:
                wanted = noted(large.out) + rng.randint(0, 12)
                pause = rng.uniform(0, 0.03)
                kind = rng.choice(("group", "all", "worker") if workers > 1 else ("group",))
                if not running.until(lambda wanted=wanted: noted(large.out) >= wanted):
                    break
                time.sleep(pause)
                there = running.workers()
                story.append(f"{kind} of {len(there)} at line {noted(large.out)} + {pause:.3f}")
                kills, left = kills + 1, left - 1
                victims = {"all": there, "worker": there[:1]}.get(kind, [])
                if kind != "worker" or not there:
                    running.signal(signal.SIGKILL, group=True)
                for victim in victims:
                    with suppress(psutil.NoSuchProcess):
                        victim.kill()
                if kind == "worker" and there:
                    wanted = noted(large.out) + 2
                    running.until(lambda wanted=wanted: noted(large.out) >= wanted)
            code = running.wait()
            assert "Traceback" not in running.said, describe_kills(story, running)
            assert code in (0, -signal.SIGKILL), describe_kills(story, running)
            if code == 0:
                break
            if large.tidied():
                clean(large.out)
                break
        end_family(large.at)
        (large.at / "spill").rmdir()
        large.check(story)


def describe_kills(story: list[str], running: Started) -> str:
    """Return what the test did to a run, and the output of the run."""
    return "\n".join([*story, running.said])


def test_ten_workers_then_one(large: Scene) -> None:
    """A run resumes work that was cut for other memory and more workers."""
    large.left_in_genes()
    assert large.launcher.run(*large.words(), cwd=large.at).code == 0
    large.check()
    large.left_in_transpose()
    other = PIECES.format(nnz=9000, block=1 << 13)
    assert large.launcher.run(*large.words(), cwd=large.at, first=other).code == 0
    large.check()
