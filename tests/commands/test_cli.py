"""What the command prints, and where it works: logs, terminals, scripts, Jupyter, threads."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from atlas import (
    STAMP,
    Outcome,
    atlas,
    command,
    here,
    run,
    run_anew,
    save,
    save_large,
    script,
    script_anew,
    tree,
)
from scipy import sparse

import cellucid_dask.exporter.run as exporter
from cellucid_dask import export
from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.planning import strips

FACTS = (
    "cells",
    "genes",
    "non-zeros",
    "layout on disk",
    "row chunks",
    "gene blocks",
    "tasks",
    "scratch",
)


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small atlas with things to discover and to ignore."""
    adata = atlas(columns={"score": [float("nan"), *range(59)]})
    adata.obsm["X_umap"] = adata.obsm["X_umap_2d"][:, :2]
    adata.obsm["velocity_umap"] = adata.obsm["X_umap_2d"][:, ::-1].copy()
    return save(adata, tmp_path / "a.h5ad")


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas large enough for worker processes and for a progress bar to move."""
    return save_large(tmp_path_factory.mktemp("data") / "larger.h5ad", cells=15_000, genes=500)


def _ok(ended: Outcome) -> Outcome:
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    return ended


# ------------------------------------------------------------------------- what is printed


def test_a_dry_run_tells_the_plan_and_writes_nothing(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = tree(tmp_path)
    ended = _ok(here(capfd, "export", data, "-o", "deep/out", "--dry-run", "--workers", 2))
    assert tree(tmp_path) == before
    facts = {line[:18].strip(): line[20:] for line in ended.out.splitlines() if line[18:20] == "  "}
    assert set(FACTS) <= set(facts)
    assert facts["cells"] == "60"
    assert facts["genes"] == "12 of 12"
    assert facts["non-zeros"].startswith("216")
    assert "CSR float32" in facts["layout on disk"]
    assert int(facts["row chunks"]) >= 1
    assert re.match(r"\d+ of about .*B$", facts["gene blocks"])
    assert re.match(r"obs \d+, transpose 1, genes about \d+, edges 1$", facts["tasks"])
    assert "2 worker" in facts["runs on"]
    assert re.match(r"[\d.]+ \w+ projected of [\d.]+ \w+", facts["memory of a task"])
    assert re.match(r"\d+ files, about [\d.]+ \w*B$", facts["output"])
    for found in (
        "obsm/X_umap_2d as 2d",
        "obsm/X_umap_3d as 3d",
        "obsm/velocity_umap as velocity_umap 2d",
        "latent    obsm/X_pca",
        "genes     X",
        "obsp/connectivities",
    ):
        assert found in ended.out
    assert re.search(r"^warning: obsm/X_umap is ignored: \w+", ended.out, re.MULTILINE), "and why"
    assert "nothing was written" in ended.out


def test_the_plan_comes_true(data: Path, tmp_path: Path) -> None:
    """The number of files is what was planned; the report has both."""
    _ok(run("export", data, "-o", "out", "--report", "r.json", cwd=tmp_path))
    report = json.loads((tmp_path / "r.json").read_text())
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert report["files"] == len(files)
    assert report["plan"]["output"].startswith(f"{len(files)} files")
    assert report["bytes"] == sum(p.stat().st_size for p in files)


class Counting(Engine):
    """An engine that counts what it is asked to start."""

    started: ClassVar[Counter[str]] = Counter()

    def begin(self, work: Any, tasks: Iterable[Any], **how: Any) -> Any:
        given = list(tasks)
        self.started[work.__name__] += len(given)
        return super().begin(work, given, **how)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense", "no genes"])
def test_a_run_submits_the_tasks_of_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    adata = atlas(cells=6000, genes=600)
    cells, genes = adata.shape
    every = np.arange(cells * 150, dtype=np.int32) % genes  # so that all genes have as many values
    values = np.random.default_rng(0).gamma(2, 1, every.size).astype("f4")
    pointers = np.arange(0, every.size + 1, 150)
    matrix = sparse.csr_matrix((values, every, pointers), shape=adata.shape)
    if layout == "csc":
        matrix = matrix.tolil()
        matrix[:, 7] = 1  # what a column takes is known beforehand
        matrix = matrix.tocsc()
    adata.X = matrix.toarray() if layout == "dense" else matrix
    path = save(adata, tmp_path / "a.h5ad")
    how: dict[str, Any] = {"memory": "1GB", "workers": 1, "expression": layout != "no genes"}
    monkeypatch.setattr(strips, "MIN_VALUES", 10_000)  # several strips of a small matrix
    planned = export(path, tmp_path / "out", dry_run=True, **how).plan["tasks"]
    monkeypatch.setattr(exporter, "Engine", Counting)
    monkeypatch.setattr(Counting, "started", Counter())
    export(path, tmp_path / "out", **how)
    ran = dict(Counting.started)
    passes = {"transpose": ("cut_chunk",), "edges": ("write_edges",)}
    passes["genes"] = ("write_strip_genes", "write_columns", "write_strip")
    counts = {stage: sum(ran.pop(name, 0) for name in names) for stage, names in passes.items()}
    told = {
        stage: int(number.replace(",", ""))
        for stage, number in re.findall(r"(\w+) (?:about )?([\d,]+\d|\d)", planned)
    }
    assert told.pop("obs") == sum(ran.values()) > 5
    assert told == {stage: n for stage, n in counts.items() if n}
    assert layout == "no genes" or told["genes"] > 3


def test_the_report_holds_what_is_printed(data: Path, tmp_path: Path) -> None:
    ended = _ok(run("export", data, "-o", "out", "--report", "r.json", cwd=tmp_path))
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["out"] == str(tmp_path / "out")
    assert (
        f"wrote {report['out']}: {report['n_cells']} cells, {report['n_genes']} genes" in ended.out
    )
    assert f"{report['n_obs_fields']} obs columns, {report['n_edges']} edges" in ended.out
    assert f"{report['files']} files" in ended.out
    assert f"{report['total_seconds']:.1f} in all" in ended.out
    assert any("score" in warning for warning in report["warnings"])
    for warning in report["warnings"]:
        assert f"warning: {warning}" in ended.out + ended.err
    assert report["peak_memory_bytes"] > 50_000_000
    assert "peak memory" in ended.out
    assert {"check", "genes", "publish"} <= set(report["seconds"])
    assert re.search(r"^next: cellucid-dask \w+", ended.out, re.MULTILINE)


def test_the_next_command_can_be_typed(data: Path, tmp_path: Path) -> None:
    ended = _ok(run("export", data, "-o", "my exports/a b", cwd=tmp_path))
    following = re.search(r"^next: cellucid-dask (.*)$", ended.out, re.MULTILINE)
    assert following, ended.out
    assert shlex.split(following[1]) == ["serve", "my exports/a b"]


def test_quiet_prints_nothing(data: Path, tmp_path: Path) -> None:
    ended = _ok(run_anew("export", data, "-o", "out", "--quiet", cwd=tmp_path))
    assert (ended.out, ended.err) == ("", "")
    assert (tmp_path / "out" / "dataset_identity.json").exists()
    ended = run("export", data, "-o", "out", "--quiet", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")


def test_a_log_file_has_plain_lines(larger: Path, tmp_path: Path) -> None:
    ended = _ok(run("export", larger, "-o", "out", "--workers", 2, cwd=tmp_path, COLUMNS="20"))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", ended.out + ended.err)
    for line in ended.err.splitlines():
        pace = r"( in [\d.]+ s|, [\d.]+/s, \d+ s left)"  # in the end, or after ten seconds
        assert re.fullmatch(rf"[a-z ]+: \d+ of \d+ \w+{pace}", line), line


@pytest.mark.parametrize("how", ["FORCE_COLOR", "TERM"])
def test_a_log_stays_plain_whatever_the_environment(data: Path, tmp_path: Path, how: str) -> None:
    value = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}[how]
    ended = _ok(run("export", data, "-o", "out", cwd=tmp_path, **{how: value}))
    assert "\x1b" not in ended.out + ended.err


def _on_a_terminal(words: list[str], cwd: Path, **environment: str) -> tuple[int, str]:
    """Run with stdout and stderr on a terminal; exit code and everything shown."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        words,
        cwd=cwd,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )
    os.close(slave)
    shown = b""
    while select.select([master], [], [], 240)[0]:
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    return process.wait(240), shown.decode()


def _left_on_screen(shown: str) -> str:
    """What a terminal shows in the end: lines that were erased are gone."""
    lines, row = [""], 0
    for piece in re.split(r"(\r?\n|\r|\x1b\[[0-9;?]*[A-Za-z])", shown):
        if piece.endswith("\n"):
            row += 1
            lines += [""] * (row == len(lines))
        elif piece == "\x1b[1A":
            row -= 1
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif not piece.startswith(("\x1b", "\r")):
            lines[row] += piece
    return "\n".join(lines)


def test_a_terminal_has_one_bar(larger: Path, tmp_path: Path) -> None:
    code, shown = _on_a_terminal(command("export", larger, "-o", "out", "--workers", 1), tmp_path)
    assert code == 0, shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    for stage in ("check", "points", "obs columns", "transpose", "genes", "edges", "publish"):
        assert re.search(rf"^\s*{stage} +━", plain, re.MULTILINE), stage
    assert "500/500" in plain
    assert re.search(r"[\d.]+ genes/s", plain)
    assert re.search(r"\d:\d\d:\d\d", plain)
    left = _left_on_screen(shown)
    assert "wrote " in left
    slow = re.search(r"^seconds: (.*?);", left, re.MULTILINE)
    assert slow, left
    took = dict(re.findall(r"([a-z ]+) ([\d.]+)(?:, |$)", slow[1]))
    bars = re.findall(r"^([a-z ]+?) +━", left, re.MULTILINE)
    assert "points" not in bars or float(took["points"]) >= 1
    assert {name for name in bars if float(took[name]) < 0.9} == set()


def test_quiet_on_a_terminal(data: Path, tmp_path: Path) -> None:
    assert _on_a_terminal(command("export", data, "-o", "out", "--quiet"), tmp_path) == (0, "")


def test_a_reader_that_goes_away(data: Path, tmp_path: Path) -> None:
    """``cellucid-dask export ... | head -1`` is no bug of ours, and says none."""
    words = " ".join(command("export", data, "-o", "out"))
    ended = subprocess.run(
        ["bash", "-c", f"{words} | true; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "internal error" not in ended.stderr, ended.stderr
    assert "Exception ignored" not in ended.stderr, ended.stderr
    assert (tmp_path / "out" / "dataset_identity.json").exists()


# ------------------------------------------------------------------------- time and identity


def _identity(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "dataset_identity.json").read_text())
    return found


def test_the_time_in_the_identity(
    data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = ("export", data, "--quiet", "-o")
    _ok(here(capfd, *base, "given", *STAMP))
    assert _identity(tmp_path / "given")["created_at"] == STAMP[1]
    _ok(here(capfd, *base, "now"))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", _identity(tmp_path / "now")["created_at"]
    )
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    _ok(here(capfd, *base, "epoch"))
    assert _identity(tmp_path / "epoch")["created_at"] == "1970-01-02T00:00:00Z"
    _ok(here(capfd, *base, "both", *STAMP))
    assert _identity(tmp_path / "both")["created_at"] == STAMP[1], "what is typed comes first"


def test_equal_runs_give_equal_bytes(data: Path, tmp_path: Path) -> None:
    """Also of different numbers of workers, in another folder, at another time."""
    names = ("--dataset-id", "d", "--dataset-name", "d", *STAMP)
    for out, workers in (("one", 1), ("deep/two", 2)):
        _ok(run("export", data, "-o", out, *names, "--workers", workers, cwd=tmp_path))
    assert tree(tmp_path / "one") == tree(tmp_path / "deep" / "two")


def test_what_the_identity_says(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset-id", "my-id", "--dataset-name", "Ünïcode <b>", "--description", 'a "b"']
    words += ["--source-name", "S", "--source-url", "https://x.org/?a=1&b=2", "--citation", "C"]
    _ok(here(capfd, "export", data, "-o", "out", "--quiet", *words))
    identity = json.loads(Path("out/dataset_identity.json").read_text("utf-8"))
    assert (identity["id"], identity["name"]) == ("my-id", "Ünïcode <b>")
    assert identity["description"] == 'a "b"'
    assert identity["source"] == {"name": "S", "url": "https://x.org/?a=1&b=2", "citation": "C"}


def test_genes_of_a_file_come_after_those_of_the_command_line(
    data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("genes.txt").write_bytes(b"\xef\xbb\xbfGene7\r\n\r\n  Gene2 \r\n")  # as from Windows
    options = ("--gene", "Gene9", "--genes-file", "genes.txt")
    _ok(here(capfd, "export", data, "-o", "out", "--quiet", *options))
    fields = json.loads(Path("out/var_manifest.json").read_text())["fields"]
    assert [field[0] for field in fields] == ["Gene9", "Gene7", "Gene2"]


# ------------------------------------------------------------------------- other commands


def test_check_writes_nothing(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = tree(tmp_path)
    ended = _ok(here(capfd, "check", data))
    assert "can be exported" in ended.out
    assert "obsm/X_umap_2d as 2d" in ended.out
    assert tree(tmp_path) == before


def test_version_and_help(tmp_path: Path) -> None:
    ended = _ok(run_anew("--version", cwd=tmp_path))
    assert re.search(r"\d+\.\d+", ended.out)
    for words in ([], ["export"], ["check"], ["demo"], ["catalog"]):
        ended = _ok(run_anew(*words, "--help", cwd=tmp_path))
        assert ended.out.startswith("Usage: cellucid-dask")
        assert max(map(len, ended.out.splitlines())) <= 100


def test_a_command_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["exprot", "a"], ["export"], ["export", "a", "b"]):
        ended = here(capfd, *words)
        assert ended.code == 2
        assert "Usage:" in ended.err
        assert "Traceback" not in ended.err


def test_no_arguments_show_the_commands(capfd: pytest.CaptureFixture[str]) -> None:
    ended = here(capfd)
    assert "export" in ended.out + ended.err
    assert "Traceback" not in ended.err


def test_demo(tmp_path: Path) -> None:
    ended = _ok(run("demo", "--cells", 300, "--genes", 50, "-o", "demo", cwd=tmp_path))
    assert "verified" in ended.out
    assert (tmp_path / "demo" / "demo" / "dataset_identity.json").exists()


# ------------------------------------------------------------------------- from Python


def test_a_script_without_a_guard(larger: Path, tmp_path: Path) -> None:
    """Workers do not run the script again, and two exports in one process do not meet."""
    ended = script_anew(
        f"""
print("once")
from cellucid_dask import export
for name in ("one", "two"):
    result = export({str(larger)!r}, name, workers=2, quiet=True, dataset_id="d",
                    dataset_name="d", created_at="2026-01-31T12:00:00Z")
    print(result.plan["runs on"])
""",
        tmp_path,
    )
    _ok(ended)
    assert ended.out.splitlines() == ["once", *["2 worker processes"] * 2]
    # Once for each export, or once for the line: Python forgets what it showed if filters change.
    told = ended.err.splitlines()
    assert len(told) in (2, 4)
    for warning, line in zip(told[::2], told[1::2], strict=True):
        assert "user_script.py:5: DataWarning: obs columns with NaN" in warning
        assert "result = export(" in line
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_where_a_loop_runs_already_as_in_jupyter(larger: Path, tmp_path: Path) -> None:
    ended = script(
        f"""
import asyncio
from cellucid_dask import export

async def cell():
    result = export({str(larger)!r}, "out", workers=2, quiet=True)
    await asyncio.sleep(0)
    print(result.n_cells, result.plan["runs on"])

asyncio.run(cell())
""",
        tmp_path,
    )
    assert _ok(ended).out == "15000 2 worker processes\n"
    assert ended.err.count("\n") == 2
    assert "user_script.py:6: DataWarning: obs columns with NaN" in ended.err


def test_beside_a_dask_client(larger: Path, tmp_path: Path) -> None:
    """A client that is there is left alone, unless it is named; it can be used afterwards."""
    ended = script_anew(
        f"""
import dask
from distributed import Client, get_client
from cellucid_dask import export

if __name__ == "__main__":
    with Client(n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        before = dict(dask.config.config)
        same = dict(quiet=True, dataset_id="d", dataset_name="d", created_at="2026-01-31T12:00:00Z")
        told = [export({str(larger)!r}, "own", workers=2, **same).plan["runs on"],
                export({str(larger)!r}, "threads", workers=1, **same).plan["runs on"],
                export({str(larger)!r}, "joined", scheduler=client, **same).plan["runs on"],
                export({str(larger)!r}, "address", scheduler=client.scheduler.address, **same)
                .plan["runs on"]]
        assert get_client() is client
        assert client.submit(sum, [1, 2]).result(10) == 3
        assert len(client.scheduler_info()["workers"]) == 1
        assert dask.config.config == before
        print(*told, sep="\\n")
""",
        tmp_path,
    )
    own, threads, *joined = _ok(ended).out.splitlines()
    assert own == "2 worker processes"
    assert threads.endswith("threads in this process")
    assert all(line.startswith("2 threads of the dask scheduler tcp://") for line in joined)
    trees = [tree(tmp_path / name) for name in ("own", "threads", "joined", "address")]
    assert all(found == trees[0] for found in trees[1:])


def test_two_exports_at_once_into_different_folders(larger: Path, tmp_path: Path) -> None:
    names = ("--dataset-id", "d", "--dataset-name", "d", *STAMP, "--workers", 2)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(run, "export", larger, "-o", out, *names, cwd=tmp_path)
            for out in ("one", "two")
        ]
        for job in jobs:
            assert "arning" not in _ok(job.result()).err.replace("warning: ", "")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_two_exports_at_once_in_threads_of_one_process(larger: Path, tmp_path: Path) -> None:
    ended = script(
        f"""
from concurrent.futures import ThreadPoolExecutor
from cellucid_dask import export
same = dict(quiet=True, dataset_id="d", dataset_name="d", created_at="2026-01-31T12:00:00Z")
with ThreadPoolExecutor(2) as pool:
    jobs = [pool.submit(export, {str(larger)!r}, out, workers=n, **same)
            for out, n in (("one", 2), ("two", 1))]
    print(*(job.result().n_genes for job in jobs))
""",
        tmp_path,
    )
    assert _ok(ended).out == "500 500\n"
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
