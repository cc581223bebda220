"""A resumed run reports what is finished and does not do it again."""

from __future__ import annotations

import json
import logging
from importlib import import_module
from pathlib import Path

import pytest
from atlas import atlas, save
from recovering import count_genes, record_calls, tree_with_times
from scenes import Scene, done_at

# As a module, for setattr.
strips = import_module("cellucid_dask.exporter.planning.strips")


def test_what_is_done_is_said_and_not_done_again(
    small: Scene, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    small.left_in_genes()
    done, made = done_at(small.out), record_calls(monkeypatch)
    assert 0 < len(done.genes) < 24
    names = [f"var/Gene{i}.values.u8.gz" for i in done.genes["gene"]]
    names += [receipt.path for receipt in done.other_files]
    before = {name: (small.inside / name).stat() for name in names}
    ended = small.command(capfd)
    assert ended.code == 0, ended.err
    # The graph has a task of its own, which may still run when the genes are written.
    graph = "" if done.edges is None else "the graph, "
    said = f"resumes an earlier run; done so far: points and obs, {graph}"
    said += f"60 of 60 cells transposed, {len(done.genes)} of 24 genes"
    assert said in ended.err
    assert made["cut_chunk"] == []
    assert count_genes(made) == 24 - len(done.genes)
    for name, was in before.items():
        now = (small.out / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns), name
    small.check()


@pytest.mark.parametrize("name", ["obs/_index.ids", ".codes."])
def test_killed_while_ids_are_written_and_after(small: Scene, name: str) -> None:
    moment = f'event == "os.rename" and "{name}" in os.fspath(arguments[1])'
    small.left_by(f"ids-{name[:4]}".replace("/", ""), moment, 1)
    ids = "obs/_index.ids.gz"
    were_done = "codes" in name
    inode = (small.inside / ids).stat().st_ino if were_done else None
    result = small.make()
    assert ("the ids of cells" in result.resumed) == were_done
    if were_done:
        assert (small.out / ids).stat().st_ino == inode
    small.check()


def test_spilled_chunks_are_not_spilled_again(
    small: Scene,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    small.left_in_transpose()
    done, made = done_at(small.out), record_calls(monkeypatch)
    assert done.spills
    rows = {row for spill in done.spills for row in range(spill.first, spill.first + spill.n_rows)}
    capfd.readouterr()
    with caplog.at_level(logging.INFO, "cellucid_dask"):
        result = small.make()
    assert f"{len(rows)} of 60 cells transposed" in result.resumed
    assert f"resumes an earlier run; done so far: {result.resumed}" in caplog.messages
    assert "resumes" not in "".join(capfd.readouterr()), "said by the command alone"
    again = {row for call in made["cut_chunk"] for row in range(*call[1:3])}
    assert again == set(range(60)) - rows
    small.check()


def test_chunks_are_cut_at_the_strips_of_the_run_before(
    small: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another number of workers or other memory would ask for other strips."""
    small.left_in_transpose()
    bounds, made = done_at(small.out).strips, record_calls(monkeypatch)
    assert bounds is not None
    assert len(bounds) > 2
    monkeypatch.setattr(strips, "STRIP_VALUES", 10**9)
    small.make()
    assert {tuple(call[-2].load()) for call in made["cut_chunk"]} == {tuple(bounds)}
    assert len(made["write_strip_genes"]) == len(bounds) - 1
    small.check()


def test_a_dry_run_says_what_is_done_and_changes_nothing(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    small.left_in_genes()
    before = tree_with_times(small.at)
    ended = small.command(capfd, "--dry-run")
    assert ended.code == 0, ended.err
    assert f"{len(done_at(small.out).genes)} of 24 genes" in ended.out
    assert tree_with_times(small.at) == before


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
