"""The benchmark of exports: which programs run beside, and the table of targets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.export.cases import BEFORE, CASES, READING, REFERENCE, Case, Target
from benchmarks.export.programs import (
    Reading,
    Version,
    find_version_before,
    make_current_version,
)
from benchmarks.export.runs import Turns, choose_roles, run_case
from benchmarks.export.stores import Storage, find_or_make_store
from benchmarks.export.table import OURS, Result, format_notes, format_rows
from cellucid_dask.synthetic import AtlasSpec

ROOT = Path(__file__).resolve().parents[2]
LABELS = {REFERENCE: "reference", BEFORE: "old", READING: "reading", OURS: "new"}
SPEC = CASES["genes"].spec


def rows(case: Case, **results: Result) -> dict[tuple[str, str], str]:
    """Cells with ratio and target, by label and by what runs beside."""
    runs = {role: [result] for role, result in results.items()}
    found = {}
    for row in format_rows("name", case, runs, LABELS):
        name, label, beside, _, _, ratio, target = (cell.strip() for cell in row.split("|")[1:-1])
        assert name == "name"
        found[label, beside] = f"{ratio} {target}".strip()
    return found


def test_targets_are_of_the_figure_or_of_a_ratio() -> None:
    targets = (
        Target("seconds", REFERENCE, least=25),
        Target("peak", most=1000),
        Target("gene_size", REFERENCE, most=0.85),
    )
    case = Case(SPEC, targets=targets)
    ours = Result(2, peak=10**9 + 1, gene_size=85)
    theirs = Result(50, peak=10**9, gene_size=100)
    old = Result(20, peak=10**9, gene_size=90)
    found = rows(case, **{REFERENCE: theirs, BEFORE: old, OURS: ours})
    assert found["seconds, end to end", "reference"] == "25.00x at least 25x: reached"
    assert found["seconds, end to end", "old"] == "10.00x"
    assert found["peak memory, MB", "reference"] == "1.00 at most 1,000 MB: **missed**"
    assert found["peak memory, MB", "old"] == "1.00"
    assert found["genes, MB", "reference"] == "0.85 at most 0.85: reached"


def test_a_target_of_the_figure_needs_nothing_beside() -> None:
    case = Case(SPEC, targets=(Target("seconds", BEFORE, least=3), Target("peak", most=1500)))
    found = rows(case, **{OURS: Result(2, peak=10**9)})
    assert found["peak memory, MB", ""] == "at most 1,500 MB: reached"
    assert found["seconds, end to end", ""] == ""


def test_gene_stages_are_compared_with_reading() -> None:
    ours, reading = Result(4, gene_stages=1.5), Result(0.5, gene_stages=0.5)
    found = rows(CASES["limit"], **{READING: reading, OURS: ours})
    assert found == {("seconds of the gene stages", "reading"): "3.00x at most 6x: reached"}


def test_the_reference_runs_where_it_may_and_less_often() -> None:
    programs = {role: make_current_version("true", None) for role in LABELS}
    assert choose_roles(CASES["genes"], programs) == [REFERENCE, BEFORE, OURS]
    assert choose_roles(CASES["big"], programs) == [BEFORE, OURS]
    del programs[BEFORE]
    assert choose_roles(CASES["gzip"], programs) == [OURS]
    assert [Turns(5, 2, 1).of(role) for role in (REFERENCE, BEFORE, OURS)] == [2, 5, 5]
    notes = list(format_notes("big", CASES["big"], {OURS: [Result(1)]}, LABELS))
    assert notes == [f"- big: cellucid 0.0.9 {CASES['big'].reference_skipped}"]


@pytest.fixture(scope="module")
def other_version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The same version in another folder, where it is compiled."""
    tree = tmp_path_factory.mktemp("tree")
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "*.dylib")
    shutil.copytree(ROOT / "cellucid_dask", tree / "cellucid_dask", ignore=unwanted)
    return find_version_before(str(tree), tree / "unused", 1)


@pytest.mark.parametrize("storage", ["plain", "gzip", "sharded"])
def test_programs_take_turns_on_a_store(
    storage: Storage, other_version: Version, tmp_path: Path
) -> None:
    spec = AtlasSpec(200, 40, density=0.3, categoricals=(3,), neighbors=4)
    beside = (READING, BEFORE) if storage == "plain" else (BEFORE,)
    case = Case(spec, beside, storage=storage, memory="1GB")
    data = find_or_make_store("tiny", spec, storage, tmp_path)
    assert find_or_make_store("tiny", spec, storage, tmp_path) == data
    program = f"{sys.executable} -m cellucid_dask"
    programs = {
        READING: Reading(),
        BEFORE: other_version,
        OURS: make_current_version(program, 1),
    }
    turns = 2 if storage == "plain" else 1
    results = run_case("tiny", data, case, programs, Turns(turns, 1, 600), tmp_path)
    assert {role: len(runs) for role, runs in results.items()} == dict.fromkeys(
        (*beside, OURS), turns
    )
    for before, ours in zip(results[BEFORE], results[OURS], strict=True):
        assert before.gene_size == ours.gene_size  # the identity names the folder
        assert 0 < ours.gene_size < ours.size
        assert 0 < ours.gene_stages < ours.seconds
    assert not list(tmp_path.glob("unfinished-*"))


def test_the_command_leaves_only_the_atlas(other_version: Version, tmp_path: Path) -> None:
    tree = str(other_version.folder)
    command = [sys.executable, "-m", "benchmarks", "export", "small", "--before", tree]
    command += ["--work", str(tmp_path / "work"), "--outputs", str(tmp_path / "out")]
    command += ["--scale", "0.1", "--json", str(tmp_path / "runs.json"), "--reference", "never"]
    command += ["--program", f"{sys.executable} -m cellucid_dask", "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / "runs.json").read_text())["small"]
    assert {role: len(side) for role, side in runs.items()} == {BEFORE: 1, OURS: 1}
    assert f"| small | genes, MB | {tree} |" in done.stdout
    assert "the targets do not apply" in done.stdout
    assert not list((tmp_path / "out").iterdir()), "exports are removed at the end"
    assert [path.suffix for path in (tmp_path / "work").iterdir()] == [".h5ad"]
