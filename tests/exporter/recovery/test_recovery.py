"""A run that was killed goes on where it stopped, and makes the bytes of one that ran through."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
from atlas import atlas, command, here, leftovers, save, save_large, tree
from forks import fork
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scenes import (
    GENE,
    NAMES,
    PIECES,
    Launcher,
    Scene,
    Started,
    at_event,
    done_at,
    end_family,
    noted,
)

from cellucid_dask import CellucidDaskError, clean, export
from cellucid_dask.exporter.recovery.journal import JOURNAL
from cellucid_dask.exporter.recovery.lock import MARK

# As modules, for setattr.
run_module, stage_genes, cuts, publish, lock, origin = (
    import_module(f"cellucid_dask.exporter.{name}")
    for name in (
        "run",
        "stages.genes.driver",
        "planning.cuts",
        "recovery.publish",
        "recovery.lock",
        "recovery.provenance",
    )
)

KILLS = 8  # of each kind of run


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    made = Launcher(tmp_path_factory.mktemp("logs"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def large(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Thousands of cells, in about twenty pieces."""
    data = save_large(tmp_path_factory.mktemp("data") / "large.h5ad", cells=6000, genes=240)
    first = PIECES.format(nnz=14_000, block=1 << 15)
    return Scene(tmp_path_factory.mktemp("large"), data, launcher, first)


@pytest.fixture(scope="module")
def _small(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    data = save(atlas(genes=24), tmp_path_factory.mktemp("data") / "small.h5ad")
    first = PIECES.format(nnz=60, block=256)
    return Scene(tmp_path_factory.mktemp("small"), data, launcher, first)


@pytest.fixture
def small(_small: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A few cells, in about twenty pieces also in this process."""
    monkeypatch.setattr(cuts, "CHUNK_NNZ", 60)
    monkeypatch.setattr(stage_genes, "MiB", 256)
    _small.reset()
    return _small


# --------------------------------------------------------------------------- random kills


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
            assert "Traceback" not in running.said, told(story, running)
            assert code in (0, -signal.SIGKILL), told(story, running)
            if code == 0:
                break
            if large.tidied():
                clean(large.out)
                break
        end_family(large.at)
        (large.at / "spill").rmdir()
        large.check(story)


def told(story: list[str], running: Started) -> str:
    """What was done to a run, and what it said."""
    return "\n".join([*story, running.said])


def test_ten_workers_then_one(large: Scene) -> None:
    """What was cut for some memory and workers is gone on with by others."""
    large.left_in_genes()
    assert large.launcher.run(*large.words(), cwd=large.at).code == 0
    large.check()
    large.left_in_transpose()
    other = PIECES.format(nnz=9000, block=1 << 13)
    assert large.launcher.run(*large.words(), cwd=large.at, first=other).code == 0
    large.check()


# --------------------------------------------------------------------------- going on


def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Pieces that are made from now on, by the function that makes them."""
    made: dict[str, list[Any]] = {"transpose_chunk": [], "write_spilled": [], "make_obs": []}

    def watch(module: Any, name: str) -> None:
        work = getattr(module, name)

        def watched(*arguments: Any, **more: Any) -> Any:
            made[name].append(arguments)
            return work(*arguments, **more)

        monkeypatch.setattr(module, name, watched)

    watch(stage_genes, "transpose_chunk")
    watch(stage_genes, "write_spilled")
    return made


def test_what_is_done_is_said_and_not_done_again(
    small: Scene, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    small.left_in_genes()
    done, made = done_at(small.out), calls(monkeypatch)
    assert 0 < len(done.genes) < 24
    before = {receipt.path: (small.inside / receipt.path).stat() for receipt in done.files}
    ended = small.command(capfd)
    assert ended.code == 0, ended.err
    said = "goes on with an earlier run, of which is done: points and obs, the graph, "
    said += f"60 of 60 cells transposed, {len(done.genes)} of 24 genes"
    assert said in ended.err
    assert made["transpose_chunk"] == []
    assert sum(len(ids) for *_, ids in made["write_spilled"]) == 24 - len(done.genes)
    for name, was in before.items():
        now = (small.out / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns), name
    small.check()


def test_spilled_chunks_are_not_spilled_again(
    small: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.left_in_transpose()
    done, made = done_at(small.out), calls(monkeypatch)
    assert done.spills
    rows = {row for spill in done.spills for row in range(spill.first, spill.first + spill.n_rows)}
    result = small.make()
    assert f"{len(rows)} of 60 cells transposed" in result.resumed
    again = {row for call in made["transpose_chunk"] for row in range(*call[1:3])}
    assert again == set(range(60)) - rows
    small.check()


def test_a_dry_run_says_what_is_done_and_changes_nothing(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    small.left_in_genes()
    before = times(small.at)
    ended = small.command(capfd, "--dry-run")
    assert ended.code == 0, ended.err
    assert f"{len(done_at(small.out).genes)} of 24 genes" in ended.out
    assert times(small.at) == before


def test_the_report_says_what_was_done_before(small: Scene) -> None:
    small.left_in_genes()
    genes = len(done_at(small.out).genes)
    small.make(report=small.at / "report.json")
    assert f"{genes} of 24 genes" in json.loads((small.at / "report.json").read_text())["resumed"]
    small.check()


def test_how_the_work_is_done_may_differ(small: Scene) -> None:
    """Nothing of it changes a byte of the export."""
    small.left_in_genes()
    (small.at / "spill").mkdir()
    (small.at / "out").mkdir()
    (small.at / "out" / "letter.txt").touch()
    result = small.make(scratch=small.at / "spill", memory="3GB", verify=True, force=True)
    assert "genes" in result.resumed
    assert len(list(small.at.glob("out.before-*/letter.txt"))) == 1
    small.check()


@pytest.mark.parametrize("layout", ["csc", "dense"])
def test_matrices_that_need_no_spill(
    small: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    adata = atlas(genes=24)
    adata.X = adata.X.toarray() if layout == "dense" else adata.X.tocsc()
    data = save(adata, tmp_path / f"{layout}.h5ad")
    scene = Scene(tmp_path, data, small.launcher, small.first)
    scene.left_in_genes()
    done = done_at(scene.out)
    assert 0 < len(done.genes) < 24
    assert f"{len(done.genes)} of 24 genes" in scene.make().resumed
    scene.check()


# --------------------------------------------------------------------------- another export


def times(folder: Path) -> dict[str, Any]:
    """`tree`, with the times of files."""
    return {
        name: (what, (folder / name).stat().st_mtime_ns if what != "folder" else 0)
        for name, what in tree(folder).items()
    }


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"compression": 1}, "option compression was 6, is 1"),
        ({"created_at": "2025-01-31T12:00:00Z"}, "option created_at was"),
        ({"created_at": None}, "is the present"),
        ({"genes": ["Gene1"]}, "option genes was None"),
        ({"obs_keys": ["cell_type"]}, "option obs_keys"),
        ({"var_quantization": 16}, "option var_quantization was 8, is 16"),
        ({"dataset_name": "other"}, "option dataset_name was 'd', is 'other'"),
        ({"layer": "counts"}, "option layer was None, is 'counts'"),
        ({"connectivity": False}, "option connectivity was True"),
    ],
)
def test_other_options_are_refused(small: Scene, options: dict[str, Any], named: str) -> None:
    small.left_in_genes()
    before = times(small.at)
    with pytest.raises(CellucidDaskError) as caught:
        small.make(**options)
    assert named in str(caught.value)
    assert "restart=True" in str(caught.value)
    assert times(small.at) == before


def test_other_options_are_refused_by_the_command(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    small.left_in_genes()
    before = times(small.at)
    ended = small.command(capfd, "--compression", 1, "--obs-quantization", 16)
    assert ended.code == 2
    assert ended.err.count("error:") == 1
    assert "option compression was 6, is 1; option obs_quantization was 8, is 16" in ended.err
    assert str(small.staging) in ended.err
    assert times(small.at) == before


def test_input_that_was_touched_is_refused(small: Scene) -> None:
    small.left_in_genes()
    before, found = times(small.at), small.data.stat()
    os.utime(small.data, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    try:
        with pytest.raises(CellucidDaskError, match=r"mtime was .*, is ") as caught:
            small.make()
        assert str(caught.value).count(" was ") == 1
        assert times(small.at) == before
    finally:
        os.utime(small.data, ns=(found.st_atime_ns, found.st_mtime_ns))
    small.make()
    small.check()


def test_another_input_is_refused(small: Scene, tmp_path: Path) -> None:
    small.left_in_genes()
    before = times(small.at)
    other = save(atlas(genes=25), tmp_path / "other.h5ad")
    for data, named in ((other, "other.h5ad"), (atlas(genes=24), "is in memory")):
        with pytest.raises(CellucidDaskError, match=named):
            export(data, small.out, quiet=True, workers=1, **NAMES)
        assert times(small.at) == before


def test_other_software_is_refused(small: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    small.left_in_genes()
    before = times(small.at)
    monkeypatch.setattr(origin, "version", lambda name: "9.9")
    with pytest.raises(CellucidDaskError, match=r"zlib-ng was .*, is 9\.9"):
        small.make()
    assert times(small.at) == before


def test_restart_discards(small: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the work of the same export."""
    for options in ({}, {"compression": 1}):
        small.left_in_genes()
        made = calls(monkeypatch)
        assert small.make(restart=True, **options).resumed == ""
        assert sum(len(ids) for *_, ids in made["write_spilled"]) == 24
        assert leftovers(small.at) == []
    small.reset()
    small.make(restart=True)  # where there is nothing
    small.check()


# --------------------------------------------------------------------------- cleaning up


def test_clean_removes_what_a_dead_run_left(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    small.left_in_genes()
    (small.at / "beside.txt").touch()
    cleaned = here(capfd, "clean", small.out)
    assert (cleaned.code, cleaned.err) == (0, "")
    assert "removed" in cleaned.out
    assert list(tree(small.at)) == ["beside.txt"]
    again = here(capfd, "clean", small.out)
    assert (again.code, again.out) == (0, "there is nothing to remove\n")
    assert list(tree(small.at)) == ["beside.txt"]


@pytest.mark.parametrize("of", ["out/", "./out", "../place/out"])
def test_clean_leaves_the_export_as_it_is(
    small: Scene, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    small.left_in_genes()
    shutil.copytree(small.inside, small.out)
    (small.out / "letter.txt").write_text("mine")
    before = times(small.out)
    monkeypatch.chdir(small.at)
    assert clean(of).bytes > 0
    assert times(small.out) == before
    assert [path.name for path in small.at.iterdir()] == ["out"]


def scratch_scene(small: Scene) -> Path:
    """Killed in the genes with a scratch folder elsewhere, in which somebody has a file."""
    spill = small.at / "spill"
    hook = f"import os; os.makedirs({str(spill)!r}, exist_ok=True)\n"
    small.left_by("scratch", GENE, 12, "--scratch", spill, first=hook)
    (spill / "mine.txt").write_text("mine")
    assert len(list(spill.iterdir())) == 2, "nothing is spilled there"
    return spill


def test_clean_removes_the_spill_wherever_it_is(small: Scene) -> None:
    spill = scratch_scene(small)
    assert clean(small.out).bytes > 0
    assert list(tree(small.at)) == ["spill", "spill/mine.txt"]
    assert list(spill.iterdir()) == [spill / "mine.txt"]


@pytest.mark.parametrize(
    "where",
    [
        "",
        "export-*",
        "export-*/var",
    ],
)
def test_clean_never_removes_files_of_others(small: Scene, where: str) -> None:
    small.left_in_genes()
    folder = next(small.staging.glob(where)) if where else small.staging
    (folder / "letter.txt").write_text("years of work")
    clean(small.out)
    found = [path.read_text() for path in small.at.rglob("letter.txt")]
    assert found == ["years of work"]


def test_clean_of_a_run_that_lives_is_refused(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    """So is a second run; both also while it stands still."""
    running = small.launcher.start(
        *small.words(), cwd=small.at, first=small.first + at_event(GENE, 9, "SIGSTOP")
    )
    try:
        assert running.until(lambda: running.stopped)
        time.sleep(0.2)  # its other threads stop a moment later
        before = times(small.at)
        for command in (["clean", str(small.out)], small.words(), small.words("--restart")):
            ended = here(capfd, *command)
            assert ended.code == 2, ended.out
            assert ended.err.count("error:") == 1
            assert "another run is making this export" in ended.err
            now = times(small.at)
            assert now == before | {name: now[name] for name in now if "owner.json" in name}
    finally:
        running.signal(signal.SIGCONT)
    assert running.wait() == 0, running.said
    small.check()


def test_clean_gives_the_old_export_its_name_back(small: Scene) -> None:
    """Killed between two renames, where the system cannot swap folders."""
    small.make()
    small.out.rename(publish.previous(small.out))
    clean(small.out)
    small.check()


@pytest.mark.parametrize(
    "of",
    [
        "/",
        ".",
        "..",
        "nowhere/deep/out",
        "out.h5ad",
    ],
)
def test_clean_of_what_no_run_makes(
    small: Scene, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], of: str
) -> None:
    monkeypatch.chdir(small.at)
    (small.at / "out.h5ad").write_text("a file")
    before = times(small.at)
    ended = here(capfd, "clean", of)
    assert ended.code in (0, 2), ended.err
    assert "internal error" not in ended.err
    assert times(small.at) == before


# --------------------------------------------------------------------------- a torn journal

Change = tuple[str, float, float]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["cut", "flip", "drop", "repeat", "swap", "insert"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
    ),
    min_size=1,
    max_size=6,
)


def changed(raw: bytes, change: Change) -> bytes:
    """A journal to which something was done: at one place, and at another or by so much."""
    what, one, other = change
    at = int(one * len(raw))
    if what == "cut":
        return raw[:at]
    if what == "flip":
        return raw[:at] + bytes([raw[at] ^ (1 << int(other * 8))]) + raw[at + 1 :] if raw else raw
    if what == "insert":
        return raw[:at] + bytes([int(other * 256)]) * 3 + raw[at:]
    lines = raw.split(b"\n")
    i, j = int(one * len(lines)), int(other * len(lines))
    if what == "drop":
        del lines[i]
    elif what == "repeat":
        lines.insert(j, lines[i])
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


@pytest.mark.parametrize("state", ["genes", "transpose", "publish"])
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=CHANGES)
@example(changes=[("cut", 0.0, 0.0)])
@example(changes=[("cut", 0.999, 0.0)])
@example(changes=[("drop", 0.0, 0.0), ("drop", 0.0, 0.0)])  # the line that says what it is of
def test_any_journal_leads_to_the_same_bytes(
    small: Scene, monkeypatch: pytest.MonkeyPatch, state: str, changes: Sequence[Change]
) -> None:
    monkeypatch.setattr(publish, "sync_disk", lambda _: None)
    getattr(small, {"publish": "left_at_publish"}.get(state, f"left_in_{state}"))()
    path = small.staging / JOURNAL
    raw = path.read_bytes()
    for change in changes:
        raw = changed(raw, change)
    path.write_bytes(raw)
    small.make()
    small.check(changes)


# --------------------------------------------------------------------------- damaged files


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _other(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def _longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_half, _other, _longer, _empty, Path.unlink])
@pytest.mark.parametrize("what", ["gene", "spill", "points", "codes", "manifest", "edges", "all"])
def test_files_that_are_not_whole_are_made_again(
    small: Scene, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], what: str
) -> None:
    small.left_in_genes()
    done, made, inside = done_at(small.out), calls(monkeypatch), small.inside
    assert done.obs is not None
    assert done.edges is not None
    paths = {
        "gene": [inside / next(iter(done.genes.values())).path],
        "spill": [Path(done.spills[1].path)],
        "points": [inside / done.obs.arrays[0].path],
        "codes": [inside / done.obs.columns["cell_type"].path],
        "manifest": [inside / done.obs.manifest.path],
        "edges": [inside / done.edges.receipts[1].path],
        "all": [path for path in small.inside.rglob("*.gz") if path.is_file()],
    }[what]
    for path in paths:
        damage(path)
    result = small.make()
    small.check()
    if what == "gene":
        assert f"{len(done.genes) - 1} of 24 genes" in result.resumed
        assert sum(len(ids) for *_, ids in made["write_spilled"]) == 25 - len(done.genes)
    if what == "spill":
        assert len(made["transpose_chunk"]) == 1
    assert ("points and obs" in result.resumed) == (what in ("gene", "spill", "edges"))
    assert ("the graph" in result.resumed) == (what not in ("edges", "all"))


def test_files_that_the_journal_does_not_know_are_not_published(small: Scene) -> None:
    small.left_in_genes()
    inside = small.inside
    gene = next((inside / "var").glob("Gene*"))
    for name in (f"{gene.name}.01234567.part", gene.name.replace("Gene", "Other")):
        shutil.copy(gene, inside / "var" / name)
    (inside / "checksums.json").write_text("{}")
    (inside / "dataset_identity.json").write_text("{}")
    small.make()
    small.check()


def test_workers_of_a_dead_run_that_still_write(small: Scene) -> None:
    """They take seconds to see that their run is dead; the next one may begin before."""
    ended = threading.Event()

    def write() -> None:
        n = 0
        while not ended.is_set():
            with suppress(OSError):
                n += 1
                (small.staging / "parts" / f"genes-{n}").mkdir()
            time.sleep(0.001)

    for _ in range(3):
        small.left_in_genes()
        thread = threading.Thread(target=write)
        thread.start()
        try:
            small.make()
        finally:
            ended.set()
            thread.join()
            ended.clear()
        assert tree(small.out) == small.whole


def test_files_of_others_in_it_are_not_published_and_not_lost(small: Scene) -> None:
    small.left_in_genes()
    (small.inside / "letter.txt").write_text("years of work")
    small.make()
    assert tree(small.out) == small.whole
    assert [path.read_text() for path in small.at.rglob("letter.txt")] == ["years of work"]


def test_spill_in_a_scratch_folder_is_used_by_a_run_without(
    small: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch_scene(small)
    made = calls(monkeypatch)
    assert "60 of 60 cells transposed" in small.make().resumed
    assert made["transpose_chunk"] == []
    small.check()
    assert sorted(path.name for path in (small.at / "spill").iterdir()) == ["mine.txt"]


@pytest.mark.parametrize("now", [Path.mkdir, Path.touch, lambda path: None])
def test_a_scratch_folder_that_is_gone(small: Scene, now: Callable[[Path], None]) -> None:
    spill = scratch_scene(small)
    shutil.rmtree(spill)
    now(spill)
    result = small.make()
    assert "transposed" not in result.resumed
    assert "genes" in result.resumed
    small.check()


# --------------------------------------------------------------------------- the very end

TWO_RENAMES = """
import ctypes, types
from cellucid_dask.exporter.recovery import publish
class Library:
    def __init__(self, *arguments, **more):
        self.real = ctypes.CDLL(*arguments, **more)
    def __getattr__(self, name):
        return None if name == "renameat2" else getattr(self.real, name)
publish.ctypes = types.SimpleNamespace(CDLL=Library)
"""
# Every event after the line that the export is complete, that changes a name.
ENDING = """
import os, signal, sys
end, seen, nth = False, 0, {nth}
from cellucid_dask.exporter.recovery import journal
note = journal.Journal.published
def published(self, facts):
    global end
    note(self, facts)
    end = True
journal.Journal.published = published
def hook(event, arguments):
    global seen
    if end and event in ("os.rename", "os.remove", "os.rmdir", "ctypes.dlsym"):
        seen += 1
        with open({log!r}, "a") as file:
            file.write(f"{{event}} {{arguments}}\\n")
        if seen == nth:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""


@pytest.mark.parametrize(
    "how",
    [
        "new",
        "over another",
        "two renames",
    ],
)
def test_killed_at_every_step_of_the_end(small: Scene, tmp_path: Path, how: str) -> None:
    """Under the name is what was there or what was made; the same command ends well."""
    old: dict[str, str] = {}
    if how != "new":
        small.make(description="of old")
        old = tree(small.out)
        small.out.rename(tmp_path / "old")
    more = ["--force"] if old else []
    first = small.first + (TWO_RENAMES if how == "two renames" else "")
    log, nth, steps = tmp_path / "events.txt", 0, 1
    while nth < steps:
        small.left_at_publish()
        if old:
            shutil.copytree(tmp_path / "old", small.out)
        log.unlink(missing_ok=True)
        hook = ENDING.format(nth=nth, log=str(log))
        ended = small.launcher.run(*small.words(*more), cwd=small.at, first=first + hook)
        events = log.read_text().splitlines()
        assert ended.code == (-signal.SIGKILL if nth else 0), ended.err
        if nth == 0:  # the first runs through, to count
            steps = len(events) + 1
            assert steps > 5
            assert any("previous" in event for event in events) == (how == "two renames")
        else:
            there = tree(small.out)
            aside = tree(publish.previous(small.out)) if how == "two renames" else {}
            assert there in (old, small.whole) or (there, aside) == ({}, old), events[-1]
            if small.tidied():
                clean(small.out)
            else:
                small.make(force=bool(old))
        small.check(events[-1])
        # Steps that remove one file of many after another are all alike.
        while nth and nth < steps - 4 and "os.remove" in events[-1] and nth % 4:
            nth += 1
        nth += 1


def test_killed_when_only_tidying_up_was_left(
    small: Scene, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Recognised without --force; nothing is made again, and the report is whole."""
    first = "import os; os.makedirs('spill', exist_ok=True)"
    tidying = 'event == "os.remove" and "journal" in os.fspath(arguments[0])'
    small.left_by("tidy", f"{tidying} and os.path.exists('out')", 1, first=first)
    assert tree(small.out) == small.whole
    assert small.staging.exists()
    made, before = calls(monkeypatch), times(small.out)
    ended = small.command(capfd, "--report", small.at / "report.json")
    assert ended.code == 0, ended.err
    assert "60 cells, 24 genes, 2 obs columns" in ended.out
    assert not any(made.values())
    assert times(small.out) == before
    report = json.loads((small.at / "report.json").read_text())
    assert (report["n_cells"], report["n_genes"], report["resumed"]) == (60, 24, "all of it")
    (small.at / "spill").rmdir()
    small.check()


def test_a_damaged_export_is_not_taken_for_the_one_that_replaces_it(small: Scene) -> None:
    """Killed before the new one has its name; the old one was the same until it was damaged."""
    small.make()
    _half(small.out / small.names("var/Gene3")[0])
    started = small.kill('event == "os.rmdir" and arguments[0].endswith("obs")', 1, "--force")
    assert started.wait() == -signal.SIGKILL, started.said
    assert tree(small.out) != small.whole
    small.make(force=True)
    small.check()


def test_foreign_files_that_are_set_aside_are_told_also_after_a_kill(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    """Killed after the folders changed places, before the user's folder has its new name."""
    small.out.mkdir()
    (small.out / "letter.txt").write_text("years of work")
    small.kill('event == "os.rename" and ".before-" in os.fspath(arguments[1])', 1, "--force")
    ended = small.command(capfd, "--force")
    assert ended.code == 0, ended.err
    (letter,) = small.at.rglob("letter.txt")
    assert letter.read_text() == "years of work"
    assert letter.parent.name.startswith("out.before-")
    assert letter.parent.name in ended.out + ended.err
    small.check()


# --------------------------------------------------------------------------- locks


def owner(scene: Scene, *, machine: str = "another", age: float = 0) -> Path:
    """Leave the record of a run on some machine; `machine` "" is this one."""
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
    monkeypatch.setattr(lock, "SILENCE", 1.5)
    small.left_in_genes()
    owner(small, machine=machine, age=age)
    assert "genes" in small.make().resumed
    small.check()


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks."""

    def flock(file: Any, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


class Beating:
    """A run on another machine that lives."""

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
    path = owner(small)
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
    monkeypatch.setattr(lock, "SILENCE", 1.5)
    small.left_in_genes()
    owner(small, machine="")
    assert "genes" in small.make().resumed
    small.check()


def test_a_lock_that_the_file_server_keeps_for_a_dead_run(
    small: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SILENCE", 1.5)
    small.left_in_genes()
    owner(small)
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
        owner(small)
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
        quick = first + "from cellucid_dask.exporter.recovery import lock\nlock.SILENCE = 1.5\n"
        other = small.launcher.run(*small.words(), cwd=small.at, first=quick)
        assert other.code == 0, other.err
        assert tree(small.out) == small.whole
    finally:
        sleeping.signal(signal.SIGCONT)
    assert sleeping.wait() == 2, sleeping.said
    assert "Traceback" not in sleeping.said
    assert sleeping.said.count("error:") == 1, sleeping.said
    small.check(sleeping.said)


# --------------------------------------------------------------------------- what is not a run's


@pytest.mark.parametrize("how", ["link", "edited mark"])
def test_folders_of_others_are_not_taken_for_spill(small: Scene, how: str) -> None:
    """A purged scratch folder may have become anything; a mark is a text that can be edited."""
    scratch = scratch_scene(small)
    mine = small.at / "cellucid-dask-scratch-mine"
    (mine / "thesis").mkdir(parents=True)
    (mine / "thesis" / "a.txt").write_text("years of work")
    if how == "link":
        spill = next(scratch.glob("cellucid-dask-scratch-*"))
        shutil.rmtree(spill)
        spill.symlink_to(mine)
    else:
        with (small.staging / MARK).open("a") as mark:
            mark.write(f"{mine}\n")
    small.make()
    clean(small.out)
    assert (mine / "thesis" / "a.txt").read_text() == "years of work"
    assert tree(small.out) == small.whole


def test_clean_of_a_copy_leaves_the_spill_of_the_original(small: Scene, tmp_path: Path) -> None:
    scratch = scratch_scene(small)
    spilled = tree(scratch)
    shutil.copytree(small.at, tmp_path / "copy", symlinks=True)
    clean(tmp_path / "copy" / "out")
    assert tree(scratch) == spilled


@pytest.mark.parametrize("how", ["link", "folder"])
def test_a_folder_of_others_with_the_name_of_staging(
    small: Scene, tmp_path: Path, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    theirs = tmp_path / "theirs" if how == "link" else small.staging
    (theirs / "parts").mkdir(parents=True)
    (theirs / "parts" / "a.txt").write_text("years of work")
    if how == "link":
        small.staging.symlink_to(theirs)
    for words in (["clean", small.out], small.words()):
        ended = here(capfd, *words)
        assert ended.code == 2, ended.err
        assert "is no staging folder of this package" in ended.err
    assert (theirs / "parts" / "a.txt").read_text() == "years of work"


def test_a_folder_of_others_with_the_name_of_the_old_export(small: Scene) -> None:
    theirs = small.at / ".out.previous"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("years of work")
    clean(small.out)
    small.make()
    assert [path.name for path in theirs.iterdir()] == ["notes.txt"]


def left_when_published(scene: Scene) -> None:
    """Leave what a run leaves that is killed after the last rename, before it tidies up."""
    scene.kill('event == "shutil.rmtree" and "export-" in os.fspath(arguments[0])', 1, "--force")


@pytest.mark.parametrize("damage", ["gone", "cut", "link"])
def test_a_published_export_that_was_damaged_is_not_said_to_be_done(
    small: Scene, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    small.make(description="old")
    left_when_published(small)
    assert tree(small.out) == small.whole
    if damage == "gone":
        shutil.rmtree(small.out / "var")
    elif damage == "cut":
        _half(small.out / small.names("var/Gene3")[0])
    else:
        small.out.rename(small.at / "real")
        small.out.symlink_to("real")
    assert small.command(capfd).code == 2
    if damage != "link":
        assert small.command(capfd, "--force").code == 0
        small.check()


def test_verify_of_what_was_published_and_then_changed(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    """A byte that is other, which no size tells of, is found by `--verify`, and made again."""
    small.make(description="old")
    left_when_published(small)
    gene = small.out / small.names("var/Gene3")[0]
    gene.write_bytes(gene.read_bytes()[:-1] + b"?")
    assert small.command(capfd, "--verify").code == 2
    assert small.command(capfd, "--verify", "--force").code == 0
    small.check()


def test_another_export_over_one_that_is_complete(small: Scene) -> None:
    """What a run left that had ended but for tidying up is nothing unfinished."""
    small.make(description="old")
    left_when_published(small)
    small.make(description="new", force=True)
    assert leftovers(small.at) == []


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"[]", b"[" * 100_000, b'{"chunk": {"nope": 1}}', b'{"published": 5}'],
    ids=range(6),
)
def test_journal_lines_that_no_run_wrote(small: Scene, record: bytes) -> None:
    small.left_in_genes()
    with (small.staging / JOURNAL).open("ab") as journal:
        journal.write(b"\n%08x %s\n" % (zlib.crc32(record), record))
    small.make()
    small.check()


def test_receipts_of_other_genes_and_of_files_elsewhere(small: Scene) -> None:
    """Journals with checksums that fit, which only a person can make."""
    small.left_in_genes()
    (small.at / "mine.txt").write_text("mine")
    journal = small.staging / JOURNAL
    lines = [line.partition(b" ")[2] for line in journal.read_bytes().split(b"\n") if line]
    records = [json.loads(line) for line in lines]
    for record in records:
        if "genes" in record:
            record["genes"] = record["genes"][1:] + record["genes"][:1]
        if "edges" in record:
            mine = {"path": "../../mine.txt", "size": 4, "crc32": zlib.crc32(b"mine"), "span": None}
            record["edges"]["receipts"] = [mine, mine]
    texts = [json.dumps(record).encode() for record in records]
    journal.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts))
    small.make()
    assert (small.at / "mine.txt").read_text() == "mine"
    assert tree(small.out) == small.whole


@pytest.mark.parametrize("which", ["out", "err"])
def test_a_log_that_cannot_be_written(small: Scene, which: str) -> None:
    """As on a home disk that is full."""
    assert fork(*small.words(), cwd=small.at, **{which: "/dev/full"}).wait(60) == 0
    small.check()


def test_a_log_that_nobody_reads_to_its_end(small: Scene) -> None:
    line = " ".join(map(shlex.quote, command(*small.words())))
    words = ["bash", "-c", f"set -o pipefail; {line} 2>&1 >/dev/full | head -1"]
    done = subprocess.run(words, check=False, capture_output=True)
    assert done.returncode == 0, done
    small.check()


def test_a_report_whose_folder_is_removed(small: Scene) -> None:
    (small.at / "reports").mkdir()
    hook = 'sys.addaudithook(lambda e, a: e == "os.rename" and "rows-" in str(a[1]) and rm())'
    rm = f"import os, sys\nrm = lambda: os.path.isdir({str(small.at / 'reports')!r}) and os.rmdir("
    first = f"{small.first}\n{rm}{str(small.at / 'reports')!r})\n{hook}\n"
    words = small.words("--report", small.at / "reports" / "r.json")
    running = small.launcher.start(*words, cwd=small.at, first=first)
    assert running.wait() == 2, running.said
    assert "the export itself is complete" in running.said
    assert "Traceback" not in running.said
    small.check()


@pytest.mark.parametrize(("epoch", "code"), [("", 0), ("xx", 2)])
def test_a_source_date_that_is_none(
    small: Scene,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    epoch: str,
    code: int,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    ended = small.command(capfd)
    assert ended.code == code, ended.err
    assert "internal error" not in ended.err
