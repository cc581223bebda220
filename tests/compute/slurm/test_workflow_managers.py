"""The files for Snakemake and Nextflow: Snakemake runs its rules.

Nextflow cannot be installed from a registry of packages; only the commands of its processes run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from atlas import STAMP, atlas, leftovers, save, tree
from slurm_scripts import SCRIPTS, programs

from cellucid_dask import export

OPTIONS = " ".join(map(str, STAMP))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two atlases, one with a space in its name; the program is in the PATH."""
    ours = programs(
        tmp_path / "bin", cellucid_dask=f'exec "{sys.executable}" -m cellucid_dask "$@"'
    )
    monkeypatch.setenv("PATH", f"{ours}:{os.environ['PATH']}")
    (tmp_path / "place/atlases").mkdir(parents=True)
    for name in ("a b.h5ad", "c.h5ad"):
        save(atlas(), tmp_path / "place/atlases" / name)
    return tmp_path / "place"


def plain(place: Path, name: str) -> dict[str, str]:
    out = place.parent / "plain" / name
    export(place / f"atlases/{name}.h5ad", out, quiet=True, workers=1, created_at=STAMP[1])
    return tree(out)


def test_snakemake_exports_all_atlases_and_writes_the_catalog(place: Path) -> None:
    snakemake = os.environ.get("CELLUCID_SNAKEMAKE") or shutil.which("snakemake")
    if snakemake is None:
        pytest.skip("there is no snakemake in the PATH, or named by CELLUCID_SNAKEMAKE")
    (place / "atlases/readme.txt").touch()
    words = [snakemake, "-s", SCRIPTS / "export.smk", "--cores", "1", "--config", "out=my exports"]
    run = [*map(str, words), f"options={OPTIONS} --quiet"]
    done = subprocess.run(run, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("a b", "c"):
        assert tree(place / "my exports" / name) == plain(place, name)
    catalog = json.loads((place / "my exports/datasets.json").read_text())
    assert [entry["path"] for entry in catalog["datasets"]] == ["a b/", "c/"]
    assert leftovers(place / "my exports") == []
    save(atlas(), place / "atlases/c.zarr")
    again = subprocess.run(run, cwd=place, capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "would both become my exports/c" in again.stdout + again.stderr


def test_the_commands_of_the_nextflow_processes(place: Path) -> None:
    text = (SCRIPTS / "export.nf").read_text()
    blocks = re.compile(r'^process (\w+) \{$.*?script:\n +"""\n(.*?)"""', re.DOTALL | re.MULTILINE)
    commands = {name: script.replace("\\\\", "\\") for name, script in blocks.findall(text)}
    assert set(commands) == {"EXPORT", "CATALOG"}
    values = {"out": place / "out", "task.cpus": 1, "params.options": OPTIONS}
    values["(task.memory.toMega() * 9).intdiv(10)"] = 900

    def run(command: str, name: str) -> Path:
        given = {**values, "name": name, "atlas": place / f"atlases/{name}.h5ad"}
        line = re.sub(r"\$\{(.*?)\}", lambda part: str(given[part[1]]), commands[command])
        work = place / "work" / command / name
        work.mkdir(parents=True)
        subprocess.run(["bash", "-euc", line], cwd=work, check=True, capture_output=True)
        return work

    work = run("EXPORT", "a b")
    assert tree(place / "out/a b") == plain(place, "a b")
    assert json.loads((work / "report.json").read_text())["written"]
    assert "a_b: a b" in (run("CATALOG", "") / "catalog.txt").read_text()
