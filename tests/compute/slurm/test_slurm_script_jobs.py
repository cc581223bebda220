"""The batch scripts on a real SLURM."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from atlas import STAMP, here, leftovers, save_large, tree
from oracle import make_atlas
from scenes import done_at
from slurm_jobs import until
from slurm_local import Slurm, call
from slurm_scripts import EXPORTS, programs, script

from cellucid_dask import export
from cellucid_dask.compute.slurm.choices import KINDS, Choices
from cellucid_dask.compute.slurm.script import write_script


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of this environment and its Python, at a path with a space."""
    folder = programs(
        tmp_path_factory.mktemp("the bin"),
        cellucid_dask=f'exec {sys.executable} -m cellucid_dask "$@"',
        python=f'exec {sys.executable} "$@"',
    )
    return folder / "cellucid-dask"


@pytest.fixture
def place(
    slurm: Slurm, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with a space in its name; nothing that was submitted from it is left behind."""
    monkeypatch.setenv("CELLUCID_DASK", str(program))
    folder = tmp_path / "a place"
    folder.mkdir()
    yield folder
    left = slurm.jobs(folder)
    slurm.cancel(*left)
    assert left == [], "jobs are left"


def small(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    make_atlas().write_h5ad(path)
    return path


def plain(data: Path, out: Path) -> dict[str, str]:
    """Tree of a plain run; `out` has the name that the other export has."""
    export(data, out, quiet=True, workers=1, created_at=STAMP[1])
    return tree(out)


def logs(folder: Path, start: str = "") -> list[Path]:
    return sorted(folder.glob(f"{start}*.log"))


def test_scripts_give_the_same_bytes_as_plain_runs(slurm: Slurm, place: Path) -> None:
    """That for several nodes is below, where it is stopped as well."""
    data = small(place / "data/small atlas.h5ad")
    shutil.copy(data, place / "data/b.h5ad")
    (place / "my list").write_text("data/small atlas.h5ad\n# none\nnot here.zarr\ndata/b.h5ad\n")
    give: dict[str, Any] = {"cwd": place, "mem": "2G", "time": 10}
    words = ("data/small atlas.h5ad", "1/x y", *STAMP)
    node = slurm.submit(script("export-node"), *words, cpus_per_task=2, **give)
    words = ("my list", "3", *STAMP)
    array = slurm.submit(script("export-array"), *words, cpus_per_task=1, array="1-4", **give)
    whole = plain(data, place / "plain/x y")
    parts = {
        name: plain(place / f"data/{name}.h5ad", place / "plain" / name)
        for name in ("small atlas", "b")
    }
    slurm.wait(node)
    assert tree(place / "1/x y") == whole
    done = _catalog(slurm, place, place)
    assert {name: tree(place / "3" / name) for name in parts} == parts
    assert [entry["path"] for entry in done["datasets"]] == ["b/", "small atlas/"]
    said = next(iter(logs(place, "cellucid-cat"))).read_text()
    assert re.findall("note: (.*)", said) == ["line 3 has no export in 3: not here"]
    assert leftovers(place) == []
    expected = {f"cellucid-array-{array}_{line}.log" for line in (1, 2, 3, 4)}
    expected |= {f"cellucid-export-{node}.log"}
    assert {path.name for path in logs(place) if "catalog" not in path.name} == expected


def test_sbatch_accepts_filled_in_scripts(slurm: Slurm, place: Path) -> None:
    listed = place / "a list"
    listed.write_text(f"{listed}\n")  # any path that is there
    for kind in KINDS:
        choices = Choices(
            data=str(listed),
            out=None if kind == "serve-node" else "out",
            time="0-1:30",
            directives=("--mem-per-cpu=100M", '--comment="two words"', "-J mine"),
            log_dir=str(place),
            nodes=1 if kind == "export-nodes" else None,
            workers=2 if kind == "export-nodes" else None,
        )
        (place / kind).write_text(write_script(kind, choices))
        call("sbatch", "--test-only", place / kind)


def _catalog(slurm: Slurm, at: Path, place: Path) -> dict[str, Any]:
    """Wait for the one job that writes the catalog, whose log is in `at`, and read it."""
    first = next(path for path in logs(at, "cellucid-array") if path.name.endswith("_1.log"))
    jobs = re.findall(r"Submitted batch job (\d+)", first.read_text())
    assert len(jobs) == 1, first.read_text()
    slurm.wait(jobs[0])
    assert [path.name for path in logs(at, "cellucid-cat")] == [f"cellucid-catalog-{jobs[0]}.log"]
    written: dict[str, Any] = json.loads(next(place.rglob("datasets.json")).read_text())
    return written


def test_filled_in_scripts_run_without_arguments(
    slurm: Slurm, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Submitted from elsewhere, without an environment of ours, to a folder of logs."""
    monkeypatch.delenv("CELLUCID_DASK")
    small(place / "data/a.h5ad")
    (place / "list").write_text(f"{place}/data/a.h5ad\n")
    (place / "logs 1").mkdir()
    monkeypatch.chdir(place)
    common = (
        "--job-memory",
        "2GB",
        "--log-dir",
        "logs 1",
        "--time",
        "10",
        "--setup",
        "echo set up",
    )
    path = {"export-array": "list"}
    jobs = {}
    for kind in EXPORTS:
        more = ("--nodes", 1, "--workers", 2) if kind == "export-nodes" else ("--job-cores", 1)
        paths = ("--data", path.get(kind, "data/a.h5ad"), "-o", f"out/{kind}")
        ended = here(capfd, "slurm-script", kind, *paths, *common, *more, "--", *STAMP)
        assert ended.code == 0, ended.err
        (place / f"{kind}.sh").write_text(ended.out)
        jobs[kind] = slurm.submit(place / f"{kind}.sh", cwd=place / "data", export="NONE")
    ours = ("export-node", "export-nodes")
    whole = {kind: plain(place / "data/a.h5ad", place / "plain" / kind) for kind in ours}
    for kind in EXPORTS:
        slurm.wait(jobs[kind])
        assert "set up\n" in next(iter(logs(place / "logs 1", f"*-{jobs[kind]}"))).read_text()
    for kind, made in whole.items():
        assert tree(place / "out" / kind) == made
    assert (place / "out/export-array/a/dataset_identity.json").exists()
    assert [e["path"] for e in _catalog(slurm, place / "logs 1", place)["datasets"]] == ["a/"]


def _serving(slurm: Slurm, job: str) -> str:
    found = re.search(r"then open (http://localhost:(\d+)/\S*)", slurm.wait_for(job, "then open"))
    assert found
    return found[1]


def test_a_server_prints_its_address_only_for_its_user(slurm: Slurm, place: Path) -> None:
    data = small(place / "data/a.h5ad")
    words = (data, "--port", 0)
    job = slurm.submit(script("serve-node"), *words, cwd=place, mem="1500M", time=10)
    url = _serving(slurm, job)
    log = place / f"cellucid-serve-{job}.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    port = re.search(r":(\d+)/", url)
    assert port
    user, node = os.environ.get("USER") or "root", os.uname().nodename
    line = rf"^    ssh -N -L {port[1]}:127.0.0.1:{port[1]} -J \S+@{node} \S+@{node}$"
    assert re.search(line, log.read_text(), re.MULTILINE), (user, log.read_text())
    assert len(re.findall(r"[?&]token=[\w.~-]{16,}", url)) == 1
    with urllib.request.urlopen(url, timeout=240) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match=r"401|403") as refused:
        urllib.request.urlopen(url.partition("?")[0] + "obs_manifest.json", timeout=240)
    refused.value.close()
    slurm.cancel(job)
    slurm.wait(job, {"CANCELLED"})
    assert slurm.details(job)["Restarts"] == "0"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=240)
    assert "Traceback" not in log.read_text()


# Before its first gene has its name, a job that is to be stopped waits for that; not the first task
# of an array, nor a job that was started again.
HOLD = """
import os, sys, time

first = os.environ.get("SLURM_RESTART_COUNT", "0") == "0"
held = first and os.environ.get("SLURM_ARRAY_TASK_ID") != "1"

def hook(event, arguments):
    if event == "os.rename" and "/var/" in os.fspath(arguments[1]).partition("/export-")[2]:
        while held:
            time.sleep(0.1)

sys.addaudithook(hook)
"""


def test_a_job_at_its_time_limit_resumes(
    slurm: Slurm, place: Path, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal is sent at once in place of a long wait."""
    data = save_large(place / "large.h5ad", cells=3000, genes=300)
    (place / "list").write_text(f"{small(place / 'b.h5ad').name}\nlarge.h5ad\n")
    give: dict[str, Any] = {"cwd": place, "mem": "3G", "time": 30}
    one = {"cpus_per_task": 1}
    # One whose signal comes when all is done, and it is only about to end.
    late = f'{program} "$@" || exit; [[ $1 == clean ]] || {{ echo late; sleep 3600 & wait $!; }}'
    ours = programs(
        place / "bin",
        late=f"trap 'kill $!; exit 143' TERM; {late.replace(str(program), repr(str(program)))}",
    )
    monkeypatch.setenv("CELLUCID_DASK", str(ours / "late"))
    finished = slurm.submit(script("export-node"), "b.h5ad", "late/d", *STAMP, **one, **give)
    monkeypatch.setenv("CELLUCID_DASK", str(program))
    (tmp_path / "hold").mkdir()
    (tmp_path / "hold/sitecustomize.py").write_text(HOLD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hold"), prepend=os.pathsep)
    node = slurm.submit(script("export-node"), data, "node/d", *STAMP, **one, **give)
    nodes = slurm.submit(
        script("export-nodes"), data, "nodes/d", *STAMP, nodes=1, ntasks_per_node=2, **give
    )
    array = slurm.submit(
        script("export-array"), "list", "array", *STAMP, array="1-2", **one, **give
    )
    task = f"{array}_2"
    half_made = {node: "node/d", nodes: "nodes/d", task: "array/large"}
    for job, out in half_made.items():
        until(lambda out=out: done_at(place / out).spills, f"{out} is half made")
        slurm.signal(job, signal.SIGUSR1)
    slurm.wait_for(finished, "late")
    slurm.signal(finished, signal.SIGUSR1)
    whole = plain(data, place / "plain/d")
    for job in (finished, node, nodes, task):
        slurm.wait(job)
        assert slurm.details(job)["Restarts"] == "1"
        if job != finished:
            assert "resumes an earlier run" in slurm.log(job)
    assert tree(place / "node/d") == tree(place / "nodes/d") == whole
    assert tree(place / "array/large") == plain(data, place / "plain/large")
    assert tree(place / "late/d") == plain(place / "b.h5ad", place / "plain2/d")
    assert "the export is complete" in slurm.log(finished)
    assert len(_catalog(slurm, place, place)["datasets"]) == 2
    for folder in ("node", "nodes", "array", "late"):
        assert leftovers(place / folder) == []
    assert list(place.glob("scheduler-*")) == []
