"""Several outputs of one run get their names one after the other, and a kill loses none."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from atlas import HANGS, tree
from forks import fork
from ready_outputs import name_outputs, publish, read_note, write_old, write_output

from cellucid_dask import CellucidDaskError, clean
from cellucid_dask.exporter.recovery.journal import JOURNAL, read_journal
from cellucid_dask.exporter.recovery.outputs import checksums_path
from cellucid_dask.exporter.recovery.publish import previous

ALL = ("folder", "zarr", "zarr.zip", "h5ad")
SCRIPT = str(Path(__file__).with_name("ready_outputs.py"))


def publish_and_kill(at: Path, formats: tuple[str, ...], nth: int, *, force: bool) -> list[str]:
    """Publish in a process that is killed before the `nth` change of a name; the changes."""
    log = at.parent / "changes.txt"
    log.unlink(missing_ok=True)
    facts = {"at": str(at), "formats": formats, "note": "new", "force": force}
    words = json.dumps({**facts, "nth": nth, "log": str(log)})
    code = fork(words, cwd=at, err=at.parent / "err.txt", script=SCRIPT).wait(HANGS)
    assert code == (-signal.SIGKILL if nth else 0), (at.parent / "err.txt").read_text()
    return log.read_text().splitlines()


def find_change(at: Path, formats: tuple[str, ...], word: str) -> int:
    """Number of the first change of a name that has `word` in it, in a run that is not killed."""
    kept = at.parent / "kept"
    shutil.copytree(at, kept)
    changes = publish_and_kill(at, formats, 0, force=True)
    shutil.rmtree(at)
    kept.rename(at)
    return next(i for i, change in enumerate(changes, 1) if word in change)


@pytest.mark.parametrize("old", [False, True], ids=["new", "over another"])
def test_killed_at_every_change_of_a_name(tmp_path: Path, old: bool) -> None:
    """Under each name is the old output or the new one; the same command publishes the rest."""
    at, formats = tmp_path / "at", ALL
    nth, steps = 0, 1
    while nth < steps:
        shutil.rmtree(at, ignore_errors=True)
        at.mkdir()
        if old:
            write_old(at, formats, "old")
        changes = publish_and_kill(at, formats, nth, force=old)
        outputs = name_outputs(at, formats)
        if nth == 0:
            steps = len(changes) + 1
            assert steps > 5
        else:
            there = {name: read_note(name, path) for name, path in outputs.items()}
            assert set(there.values()) <= {"old" if old else "", "new"}, changes[-1]
            n_made, is_noted = count_made(at), has_published(at)
            if set(there.values()) != {"new"} or is_noted:
                publish(at, formats, "new", force=old)
                assert count_made(at) == n_made + (not is_noted), changes[-1]
            else:  # it had ended, but for tidying up
                clean(next(iter(outputs.values())))
        check_whole(at, formats, changes[-1])
        nth += 1


def count_made(at: Path) -> int:
    """How often the outputs were made."""
    made = at / "made.txt"
    return len(made.read_text()) if made.exists() else 0


def has_published(at: Path) -> bool:
    """Whether the journal says that all outputs were complete."""
    return any(b'"published"' in path.read_bytes() for path in at.glob(f".*/{JOURNAL}"))


def check_whole(at: Path, formats: Sequence[str], label: str = "") -> None:
    """All outputs are new, with their checksums, and nothing else is there."""
    outputs = name_outputs(at, formats)
    assert {read_note(name, path) for name, path in outputs.items()} == {"new"}, label
    expected = {path.name for path in outputs.values()} | {"made.txt"}
    expected |= {checksums_path(n, p).name for n, p in outputs.items() if n != "folder"}
    assert {path.name for path in at.iterdir()} == expected, label


@pytest.mark.parametrize("name", ["zarr", "zarr.zip", "h5ad"])
def test_what_is_no_ready_file_is_never_deleted(tmp_path: Path, name: str) -> None:
    """It is moved away before the new one has its name; a killed run tells of it in the end."""
    at = tmp_path / "at"
    at.mkdir()
    (out,) = name_outputs(at, [name]).values()
    write_output(name, out, "work of others", ready=False)
    checksums_path(name, out).write_text("my own notes")
    publish_and_kill(at, (name,), find_change(at, (name,), ".json.before-") + 1, force=True)
    (journal,) = at.glob(f".*/{JOURNAL}")
    entries = read_journal(journal)
    assert entries is not None
    moved, notes = map(Path, entries.finished_work().aside)
    assert publish(at, (name,), "new", force=True) == []
    assert read_note(name, moved) == "work of others"
    assert notes.read_text() == "my own notes"
    assert read_note(name, out) == "new"


def test_a_store_with_a_file_of_others_is_set_aside(tmp_path: Path) -> None:
    write_old(tmp_path, ["zarr"], "old")
    out = tmp_path / "out.zarr"
    (out / "letter.txt").write_text("years of work")
    (moved,) = publish(tmp_path, ["zarr"], "new", force=True)
    assert (moved / "letter.txt").read_text() == "years of work"
    assert read_note("zarr", out) == "new"


def test_without_force_nothing_is_replaced(tmp_path: Path) -> None:
    write_old(tmp_path, ALL, "old")
    before = tree(tmp_path)
    with pytest.raises(CellucidDaskError, match="was made by others during the run"):
        publish(tmp_path, ALL, "new")
    after = tree(tmp_path)
    assert {name: after.get(name) for name in before} == before


def test_an_empty_folder_is_no_obstacle(tmp_path: Path) -> None:
    outputs = name_outputs(tmp_path, ALL)
    for path in outputs.values():
        path.mkdir()
    assert publish(tmp_path, ALL, "new") == []
    check_whole(tmp_path, ALL)


@pytest.mark.parametrize("name", ["zarr", "h5ad"])
def test_a_damaged_output_that_was_not_published_is_made_again(tmp_path: Path, name: str) -> None:
    """Also when another output of the run has its name already, and without ``--force``."""
    at = tmp_path / "at"
    at.mkdir()
    formats = ("zarr", "h5ad")
    nth = find_change(at, formats, f"'{at}/out.h5ad'")
    publish_and_kill(at, formats, nth, force=False)
    assert (at / "out.zarr").exists()
    assert not (at / "out.h5ad").exists()
    damaged = at / "out.zarr/X/data/0"
    if name == "h5ad":
        (damaged,) = at.glob(".*/ready-*/out.h5ad")
    raw = damaged.read_bytes()
    damaged.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]) if name == "h5ad" else raw + b"x")
    with_force = name == "zarr"  # what has its name already is not this run's any more
    publish(at, formats, "new", force=with_force)
    check_whole(at, formats)
    assert count_made(at) == 2


@pytest.mark.parametrize("name", ["zarr", "zarr.zip", "h5ad"])
@pytest.mark.parametrize("renamed", [1, 2])
def test_killed_between_two_renames(tmp_path: Path, name: str, renamed: int) -> None:
    """Where names cannot be exchanged: the old output gets its name back, or goes."""
    write_old(tmp_path, [name], "old")
    (out,) = name_outputs(tmp_path, [name]).values()
    out.rename(previous(out))
    if renamed == 2:
        write_old(tmp_path, [name], "new")
    clean(out)
    assert read_note(name, out) == ("old" if renamed == 1 else "new")
    assert not previous(out).exists()


def test_clean_finds_the_run_by_any_of_its_outputs(tmp_path: Path) -> None:
    at = tmp_path / "at"
    at.mkdir()
    publish_and_kill(at, ALL, find_change(at, ALL, "syncfs"), force=False)
    assert len(list(at.glob(".*"))) == 1
    assert clean(at / "other.h5ad").bytes == 0
    assert len(list(at.glob(".*"))) == 1
    assert clean(at / "out.zarr.zip").bytes > 0
    assert list(at.glob(".*")) == []
