"""A run that is killed while it publishes leaves the old export or the new one."""

from __future__ import annotations

import json
import shutil
import signal
from importlib import import_module
from pathlib import Path

import pytest
from atlas import tree
from recovering import cut_in_half, record_calls, tree_with_times
from scenes import Scene

from cellucid_dask import clean

# As a module, for setattr.
publish = import_module("cellucid_dask.exporter.recovery.publish")


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
    made, before = record_calls(monkeypatch), tree_with_times(small.out)
    ended = small.command(capfd, "--report", small.at / "report.json")
    assert ended.code == 0, ended.err
    assert "60 cells, 24 genes, 2 obs columns" in ended.out
    assert not any(made.values())
    assert tree_with_times(small.out) == before
    report = json.loads((small.at / "report.json").read_text())
    assert (report["n_cells"], report["n_genes"], report["resumed"]) == (60, 24, "all of it")
    (small.at / "spill").rmdir()
    small.check()


def test_a_damaged_export_is_not_taken_for_the_one_that_replaces_it(small: Scene) -> None:
    """Killed before the new one has its name; the old one was the same until it was damaged."""
    small.make()
    cut_in_half(small.out / small.names("var/Gene3")[0])
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
