"""The same command after a kill between the last rename and the removal of the staging folder."""

from __future__ import annotations

import shutil

import pytest
from atlas import leftovers, tree
from recovering import cut_in_half
from scenes import Scene


def leave_published_but_untidied(scene: Scene) -> None:
    """Kill a run after the last rename, before it removes its staging folder."""
    scene.kill('event == "shutil.rmtree" and "export-" in os.fspath(arguments[0])', 1, "--force")


@pytest.mark.parametrize("damage", ["gone", "cut", "link"])
def test_a_published_export_that_was_damaged_is_not_said_to_be_done(
    small: Scene, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    small.make(description="old")
    leave_published_but_untidied(small)
    assert tree(small.out) == small.whole
    if damage == "gone":
        shutil.rmtree(small.out / "var")
    elif damage == "cut":
        cut_in_half(small.out / small.names("var/Gene3")[0])
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
    """`--verify` finds a changed byte in a file of the right size; `--force` repairs it."""
    small.make(description="old")
    leave_published_but_untidied(small)
    gene = small.out / small.names("var/Gene3")[0]
    gene.write_bytes(gene.read_bytes()[:-1] + b"?")
    assert small.command(capfd, "--verify").code == 2
    assert small.command(capfd, "--verify", "--force").code == 0
    small.check()


def test_another_export_over_one_that_is_complete(small: Scene) -> None:
    """A run that only had to remove its staging folder leaves nothing unfinished."""
    small.make(description="old")
    leave_published_but_untidied(small)
    small.make(description="new", force=True)
    assert leftovers(small.at) == []
