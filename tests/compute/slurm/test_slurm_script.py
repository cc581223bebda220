"""The batch scripts: alone, with programs that say what they are given, and on a real SLURM."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from atlas import STAMP, Outcome, here, leftovers, save_large, tree
from oracle import make_atlas
from scenes import done_at
from slurm_local import Slurm, call

from cellucid_dask import export
from cellucid_dask.compute.slurm.choices import KINDS, Choices
from cellucid_dask.compute.slurm.script import write_script
from cellucid_dask.errors import OptionError

SCRIPTS = Path(str(files("cellucid_dask"))) / "compute" / "slurm" / "scripts"
EXPORTS = [kind for kind in KINDS if kind.startswith("export")]
JOB = {"SLURM_JOB_ID": "7", "SLURM_JOB_PARTITION": "main", "SLURM_CPUS_PER_TASK": "3"}
TASK = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "9"}
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}


def script(kind: str) -> Path:
    return SCRIPTS / f"{kind}.sbatch"


def programs(folder: Path, **texts: str) -> Path:
    """Programs of shell, to be found before the real ones; the folder they are in."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    return folder


SAY = 'printf "%s|" "${0##*/}" "$@"; echo'  # what it was called with


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    """Programs that say what they are given, in place of ours and of those of SLURM."""
    return programs(tmp_path / "fakes", cellucid_dask=SAY, sbatch=SAY, scontrol=SAY)


def bash(path: Path, *words: object, cwd: Path, fakes: Path | None = None, **env: str) -> Outcome:
    """Run a script as the batch shell of a job would, without SLURM."""
    found = f"{fakes}:{ENVIRONMENT['PATH']}" if fakes else ENVIRONMENT["PATH"]
    log = cwd / "job.log"
    with log.open("ab") as out:
        done = subprocess.run(
            ["bash", str(path), *map(str, words)],
            cwd=cwd,
            stdout=out,
            stderr=subprocess.PIPE,
            env={**ENVIRONMENT, **JOB, "PATH": found, **env},
            timeout=60,
            check=False,
        )
    return Outcome(done.returncode, log.read_text(), done.stderr.decode())


# ------------------------------------------------------------------------- the files


def test_the_scripts_are_those_of_the_folder_slurm() -> None:
    root = Path(__file__).parents[3] / "slurm"
    assert {path.name: path.read_text() for path in root.glob("*.sbatch")} == {
        f"{kind}.sbatch": script(kind).read_text() for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_script_is_sound(kind: str) -> None:
    subprocess.run(["bash", "-n", script(kind)], check=True)
    if checker := shutil.which("shellcheck"):
        subprocess.run([checker, script(kind)], check=True)
    text = script(kind).read_text()
    for option in ("--requeue", "--open-mode=append", "--signal=B:USR1@120", "--output=%x-%"):
        assert f"#SBATCH {option}" in text
    # What follows the first command is not read by sbatch.
    assert "#SBATCH" not in text[text.index("\nCELLUCID_DASK=") :]
    assert max(map(len, text.splitlines())) <= 100


def test_what_scripts_have_in_common_is_the_same() -> None:
    """Each is one file, so this is written several times."""

    def part(kind: str, first: str, last: str) -> str:
        text = script(kind).read_text()
        return text[text.index(first) : text.index(last)]

    runs = {part(kind, "# The command runs beside", "    done\n}\n") for kind in KINDS}
    marks = {part(kind, "# A job that starts again", "# The command runs") for kind in EXPORTS}
    assert (len(runs), len(marks)) == (1, 1)


# ------------------------------------------------------------------------- alone, without SLURM


@pytest.mark.parametrize("kind", KINDS)
def test_missing_arguments_and_programs_are_told_in_one_line(kind: str, tmp_path: Path) -> None:
    job = {"SLURM_ARRAY_TASK_ID": "1"} if kind == "export-array" else {}
    none = bash(script(kind), cwd=tmp_path, **job)
    assert (none.code, none.err.count("\n")) == (2, 1)
    assert "usage: sbatch" in none.err
    assert f"{kind}.sbatch" in none.err
    missing = bash(script(kind), "a b", "c", cwd=tmp_path, CELLUCID_DASK="/no/program", **job)
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert "/no/program is not there" in missing.err
    assert "set CELLUCID_DASK" in missing.err
    outside = bash(script(kind), "a b", "c", cwd=tmp_path, SLURM_JOB_ID="")
    assert (outside.code, outside.err.count("\n")) == (2, 1)
    assert "sbatch" in outside.err


@pytest.mark.parametrize(
    ("told", "memory"),
    [
        ({"SLURM_MEM_PER_NODE": "4096"}, "--memory|3686MiB|"),
        ({"SLURM_MEM_PER_CPU": "2000", "SLURM_CPUS_ON_NODE": "3"}, "--memory|5400MiB|"),
        ({}, ""),
    ],
)
def test_memory_and_cores_are_those_of_the_job(
    fakes: Path, tmp_path: Path, told: dict[str, str], memory: str
) -> None:
    job = bash(script("export-node"), "a b", "c d", "-x", cwd=tmp_path, fakes=fakes, **told)
    assert f"cellucid-dask|export|a b|-o|c d|--workers|3|{memory}-x|\n" in job.out
    assert (job.code, job.err) == (0, "")


@pytest.mark.parametrize(
    ("sent", "code", "restarts", "again"),
    [
        ("USR1", 143, "0", True),
        ("USR1", 143, "99", True),
        ("USR1", 143, "100", False),  # often enough
        ("USR1", 0, "0", False),  # it was done when the signal came
        ("USR1", 2, "0", False),
        ("TERM", 143, "0", False),  # scancel; what is pre-empted comes back by itself
    ],
)
def test_only_what_the_time_stopped_goes_back_into_the_queue(
    tmp_path: Path, sent: str, code: int, restarts: str, again: bool
) -> None:
    """The command takes its time to end, and two signals come."""
    ours = f"""trap 'sleep 0.3; exit {code}' TERM
        kill -{sent} $PPID; (sleep 0.1; kill -{sent} $PPID) & sleep 9 >/dev/null 2>&1 & wait $!"""
    fakes = programs(tmp_path / "fakes", cellucid_dask=ours, scontrol=SAY)
    job = bash(
        script("export-node"), "a", "b", cwd=tmp_path, fakes=fakes, SLURM_RESTART_COUNT=restarts
    )
    assert job.code == code, job
    assert ("scontrol|requeue|7|" in job.out) == again, job


def test_a_requeue_that_is_refused_is_told(tmp_path: Path) -> None:
    ours = "trap 'exit 143' TERM; kill -USR1 $PPID; sleep 9 >/dev/null 2>&1 & wait $!"
    fakes = programs(tmp_path / "fakes", cellucid_dask=ours, scontrol="exit 1")
    job = bash(script("export-node"), "a", "b", cwd=tmp_path, fakes=fakes)
    assert job.code == 143
    assert "submit it again" in job.out


@pytest.mark.parametrize("kind", ["export-node", "export-array"])
def test_a_job_that_was_stopped_when_all_was_done_only_tidies_up(kind: str, tmp_path: Path) -> None:
    """The same command would be refused, since its own export is there."""
    ours = f'{SAY}; [[ $1 == clean ]] || {{ mkdir -p "$4"; echo $$ >"$4/dataset_identity.json"; }}'
    fakes = programs(tmp_path / "fakes", cellucid_dask=ours, sbatch=SAY, scontrol=SAY)
    (tmp_path / "list").write_text("a\n")
    words = ("list", "o u t") if kind == "export-array" else ("a", "o u t/a")
    told = {**TASK, "SLURM_ARRAY_TASK_ID": "1", "fakes": fakes, "cwd": tmp_path}

    def ran(restarts: str, **more: str) -> str:
        before = (tmp_path / "job.log").stat().st_size if (tmp_path / "job.log").exists() else 0
        job = bash(script(kind), *words, **{**told, "SLURM_RESTART_COUNT": restarts, **more})
        assert job.code == 0, job
        return re.findall(r"^cellucid-dask\|(\w+)\|", job.out[before:], re.MULTILINE)[-1]

    assert ran("0") == "export"
    assert ran("1") == "clean"
    assert ran("2") == "clean"
    # An export that was there before the job is none of its own, and neither is what it removed.
    assert ran("0", SLURM_JOB_ID="8") == "export"
    (tmp_path / "o u t/a/dataset_identity.json").unlink()
    assert ran("3") == "export"


def test_the_export_that_was_there_before_is_replaced_by_a_job_that_starts_again(
    tmp_path: Path, fakes: Path
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "dataset_identity.json").touch()
    for restarts in ("0", "1"):
        words = ("a", "b", "--force")
        job = bash(
            script("export-node"), *words, cwd=tmp_path, fakes=fakes, SLURM_RESTART_COUNT=restarts
        )
        assert job.out.splitlines()[-1].startswith("cellucid-dask|export|"), job


# ------------------------------------------------------------------------- a list of atlases

LIST = "one.h5ad\n\n  # none\n my data/two.zarr/ \r\nx/three.zarr.zip\ny/three.h5ad\nlast d.h5ad"


def task(number: int, cwd: Path, fakes: Path, text: str = LIST, **more: str) -> Outcome:
    (cwd / "my list").write_bytes(text.encode())
    (cwd / "job.log").unlink(missing_ok=True)
    told = {**TASK, "SLURM_ARRAY_TASK_ID": str(number), **more}
    return bash(script("export-array"), "my list", "out", "-x", cwd=cwd, fakes=fakes, **told)


def test_each_task_exports_its_line(tmp_path: Path, fakes: Path) -> None:
    for number, data, name in (
        (1, "one.h5ad", "one"),
        (4, "my data/two.zarr/", "two"),
        (7, "last d.h5ad", "last d"),
    ):
        done = task(number, tmp_path, fakes)
        assert done.code == 0, done
        assert f"cellucid-dask|export|{data}|-o|out/{name}|--workers|3|-x|\n" in done.out
    for number in (2, 3):
        done = task(number, tmp_path, fakes)
        assert (done.code, done.out) == (
            0,
            f"line {number} of my list names no atlas: there is nothing to do\n",
        )
    for number, other in ((5, 6), (6, 5)):
        done = task(number, tmp_path, fakes)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert f"lines {number} and {other} of my list would both become out/three" in done.err
    done = task(8, tmp_path, fakes)
    assert (done.code, done.err) == (2, "error: task 8 has no line: my list has 7 lines\n")


def test_the_first_task_asks_for_the_catalog_once(tmp_path: Path, fakes: Path) -> None:
    first = task(1, tmp_path, fakes, SLURM_JOB_ACCOUNT="lab")
    asked = next(line for line in first.out.splitlines() if line.startswith("sbatch|"))
    assert "|--dependency=afterany:7|" in asked
    assert "|--partition=main|" in asked
    assert "|--account=lab|" in asked
    assert "sbatch|" not in task(1, tmp_path, fakes, SLURM_RESTART_COUNT="1").out
    assert "sbatch|" not in task(4, tmp_path, fakes).out
    assert "sbatch|" in task(4, tmp_path, fakes, SLURM_ARRAY_TASK_MIN="4").out
    short = task(1, tmp_path, fakes, SLURM_ARRAY_TASK_MAX="6")
    assert "note: my list has 7 lines, but the array ends with 6" in short.out


def test_a_site_that_takes_no_jobs_from_jobs(tmp_path: Path, fakes: Path) -> None:
    programs(fakes, sbatch="exit 1")
    done = task(1, tmp_path, fakes)
    assert "make the catalog yourself" in done.out
    assert "cellucid-dask|export|one.h5ad|" in done.out


# ------------------------------------------------------------------------- filled in


def test_everything_that_is_given_is_filled_in(tmp_path: Path, fakes: Path) -> None:
    nasty = tmp_path / 'it\'s $(a) 100% "q"'
    nasty.mkdir()
    logs = tmp_path / "my logs 5%"
    logs.mkdir()
    data = nasty / "x.h5ad"
    data.touch()
    choices = Choices(
        data=str(data),
        out=str(nasty / "out"),
        partition="long",
        account="lab",
        time="1-0",
        job_memory="16GB",
        job_cores=5,
        slurm_directives=("--qos=long", "-J mine", "--open-mode=truncate"),
        setup=("echo first", 'echo "second  one"'),
        log_dir=str(logs),
        more=("--force", "--gene", "a b"),
    )
    text = write_script("export-node", choices)
    asked = re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE)
    for option in (
        *("--partition=long", "--account=lab", "--time=1-0", "--mem=15259M", "--cpus-per-task=5"),
        *("--qos=long", "-J mine", "--open-mode=truncate"),
        f'--output="{tmp_path}/my logs 5%%/%x-%j.log"',
    ):
        assert asked.count(option) == 1, option
    names = [re.split("[ =]", option)[0] for option in asked]
    assert len(names) == len(set(names))
    assert "--job-name" not in names
    path = tmp_path / "filled.sbatch"
    path.write_text(text)
    program = re.search("^CELLUCID_DASK=(.*) #", text, re.MULTILINE)
    assert program
    assert Path(program[1]).name == "cellucid-dask"
    path.write_text(text.replace(program[1], "cellucid-dask"))
    done = bash(path, "--more", cwd=tmp_path, fakes=fakes)
    assert done.code == 0, done
    assert done.out.startswith("first\nsecond  one\n")
    said = f"export|{data}|-o|{nasty}/out|--workers|3|--force|--gene|a b|--more|"
    assert f"cellucid-dask|{said}\n" in done.out


def test_what_is_not_given_stays_as_it_is() -> None:
    for kind in KINDS:
        before, after = script(kind).read_text().splitlines(), write_script(kind, Choices())
        other = [line for line in after.splitlines() if line not in before]
        assert {line.split("=")[0] for line in other if not line.startswith("#")} <= {
            "CELLUCID_DASK",
            "PYTHON",
        }
        assert all("FILE" in line for line in other if line.startswith("#"))
        assert len(before) == len(after.splitlines())
    assert 'set -- "$@" --quiet\n' in write_script("export-node", Choices(more=("--quiet",)))


def test_options_that_exclude_each_other_are_not_both_there() -> None:
    choices = Choices(
        job_memory="8GiB", slurm_directives=("--mem-per-cpu=2G", "-t 9", "--gres=a:1")
    )
    asked = re.findall("^#SBATCH (.*)$", write_script("export-node", choices), re.MULTILINE)
    assert [option for option in asked if option.startswith("--mem")] == ["--mem-per-cpu=2G"]
    assert [option for option in asked if option.startswith(("-t", "--time"))] == ["-t 9"]
    assert "--gres=a:1" in asked


def test_a_value_with_spaces_is_quoted_for_sbatch() -> None:
    given = ("--comment=two words", "--qos long", "--qos=a --gres=b:1")
    text = write_script("export-node", Choices(slurm_directives=given[:2]))
    assert '\n#SBATCH --comment="two words"\n#SBATCH --qos long\n' in text
    text = write_script("export-node", Choices(slurm_directives=given[2:]))
    assert "\n#SBATCH --qos=a --gres=b:1\n" in text


def test_an_array_is_for_a_list_of_atlases(tmp_path: Path) -> None:
    """Of one export it would make many jobs for the same folder."""
    for line in ("--array=1-3", "-a 1-3"):
        for kind in KINDS:
            choices = Choices(slurm_directives=(line,))
            if kind == "export-array":
                assert f"\n#SBATCH {line}\n" in write_script(kind, choices)
                continue
            with pytest.raises(OptionError, match="use export-array"):
                write_script(kind, choices)


@pytest.mark.parametrize(
    ("size", "written"),
    [("16GB", "15259M"), ("16GiB", "16384M"), ("16G", "15259M"), ("1000.5MiB", "1001M")],
)
def test_sizes_are_written_in_mebibytes_rounded_up(size: str, written: str) -> None:
    assert f"#SBATCH --mem={written}\n" in write_script("serve-node", Choices(job_memory=size))


def test_nodes_and_network_and_array(tmp_path: Path) -> None:
    choices = Choices(nodes=3, workers=7, interface="ib0")
    text = write_script("export-nodes", choices)
    for line in ("#SBATCH --nodes=3", "#SBATCH --ntasks-per-node=7", f"PYTHON={sys.executable} "):
        assert f"\n{line}" in text
    assert "\nINTERFACE=ib0 #" in text
    listed = tmp_path / "list"
    listed.write_text(LIST)
    given = Choices(data=str(listed), out="out", log_dir=str(tmp_path))
    text = write_script("export-array", given)
    assert "\n#SBATCH --array=1-7\n" in text
    assert f"\nCATALOG_LOG={tmp_path}/cellucid-catalog-%j.log #" in text
    assert f"\nset -- {listed} {Path.cwd()}/out " in text


@pytest.mark.parametrize("time", ["5", "3:30", "0:02:30", "0-0:5", "1-0", "0", "2-1:2:3"])
def test_times_of_slurm(time: str) -> None:
    assert f"#SBATCH --time={time}\n" in write_script("export-node", Choices(time=time))


@pytest.mark.parametrize("time", ["2", "2:00", "0:1:59", "0-0:2", "1h", "", "-5", "1:2:3:4", "1-"])
def test_times_that_are_none_or_too_short(time: str) -> None:
    with pytest.raises(OptionError) as refused:
        write_script("export-node", Choices(time=time))
    assert [problem.where for problem in refused.value.problems] == ["--time"]


def test_all_problems_come_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("--data", tmp_path / "no", "--nodes", 0, "--time", "soon", "--job-memory", 0)
    logs = ("--log-dir", tmp_path / "logs", "--interface", "a b", "--slurm-directive", "qos")
    ended = here(capfd, "slurm-script", "export-node", *words, *logs, "--", "x")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: 11 problems\n")
    for told in (
        *("--nodes: export-node has no use", "--interface: export-node has no use"),
        *("--nodes: 0 is not positive", "--time: 'soon'", "--job-memory: '0'", "--out: is missing"),
        *("--interface: 'a b'", "--slurm-directive: 'qos'", "/no: there is no such file"),
        *("--log-dir: the folder", "--: 'x' is no option"),
    ):
        assert told in ended.err, told
    ended = here(capfd, "slurm-script", "export-nod", "--job-memory", "16")
    assert ended.code == 2
    assert "did you mean 'export-node'" in ended.err
    assert "it is 16 bytes" in ended.err
    ended = here(capfd, "slurm-script", "export-nodes", "--job-cores", 2)
    assert "use --workers" in ended.err


@pytest.mark.parametrize("text", ["", "\n# a\n  \n"])
def test_lists_that_name_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "list").write_text(text)
    for data in ("list", "none"):
        with pytest.raises(OptionError, match=r"no atlas|no such list"):
            write_script("export-array", Choices(data=str(tmp_path / data), out="out"))


# ------------------------------------------------------------------------- on a real SLURM


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


def test_scripts_make_the_exports_of_plain_runs(slurm: Slurm, place: Path) -> None:
    """That for several nodes is below, where it is stopped as well."""
    data = small(place / "data/small atlas.h5ad")
    shutil.copy(data, place / "data/b.h5ad")
    (place / "my list").write_text("data/small atlas.h5ad\n# none\n\ndata/b.h5ad\n")
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
    assert leftovers(place) == []
    expected = {f"cellucid-array-{array}_{line}.log" for line in (1, 2, 3, 4)}
    expected |= {f"cellucid-export-{node}.log"}
    assert {path.name for path in logs(place) if "catalog" not in path.name} == expected


def test_sbatch_takes_what_is_filled_in(slurm: Slurm, place: Path) -> None:
    listed = place / "a list"
    listed.write_text("a\n")
    for kind in KINDS:
        choices = Choices(
            data=str(listed),
            out=None if kind == "serve-node" else "out",
            time="0-1:30",
            slurm_directives=("--mem-per-cpu=100M", '--comment="two words"', "-J mine"),
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


def test_scripts_that_were_filled_in_run_as_they_are(
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


def test_a_server_tells_how_to_reach_it_and_only_its_user(slurm: Slurm, place: Path) -> None:
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
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match=r"401|403") as refused:
        urllib.request.urlopen(url.partition("?")[0] + "obs_manifest.json", timeout=10)
    refused.value.close()
    slurm.cancel(job)
    slurm.wait(job, {"CANCELLED"}, 20)
    assert slurm.details(job)["Restarts"] == "0"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)
    assert "Traceback" not in log.read_text()


def test_a_job_whose_time_is_over_goes_on_where_it_stopped(
    slurm: Slurm, place: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal is sent at once in place of a long wait."""
    data = save_large(place / "large.h5ad", cells=16_000, genes=1500)
    (place / "list").write_text(f"{small(place / 'b.h5ad').name}\nlarge.h5ad\n")
    give: dict[str, Any] = {"cwd": place, "mem": "3G", "time": 10}
    one = {"cpus_per_task": 1}
    # One whose signal comes when all is done, and it is only about to end.
    late = f'{program} "$@" || exit; [[ $1 == clean ]] || {{ echo late; sleep 60 & wait $!; }}'
    ours = programs(
        place / "bin",
        late=f"trap 'exit 143' TERM; {late.replace(str(program), repr(str(program)))}",
    )
    monkeypatch.setenv("CELLUCID_DASK", str(ours / "late"))
    finished = slurm.submit(script("export-node"), "b.h5ad", "late/d", *STAMP, **one, **give)
    monkeypatch.setenv("CELLUCID_DASK", str(program))
    node = slurm.submit(script("export-node"), data, "node/d", *STAMP, **one, **give)
    nodes = slurm.submit(
        script("export-nodes"), data, "nodes/d", *STAMP, nodes=1, ntasks_per_node=2, **give
    )
    array = slurm.submit(
        script("export-array"), "list", "array", *STAMP, array="1-2", **one, **give
    )
    task = f"{array}_2"
    half_made = {node: "node/d", nodes: "nodes/d", task: "array/large"}
    limit = time.monotonic() + 60
    while half_made:
        for job, out in list(half_made.items()):
            if done_at(place / out).n:
                slurm.signal(job, signal.SIGUSR1)
                del half_made[job]
        assert time.monotonic() < limit, [slurm.log(job) for job in half_made]
        time.sleep(0.02)
    slurm.wait_for(finished, "late")
    slurm.signal(finished, signal.SIGUSR1)
    whole = plain(data, place / "plain/d")
    for job in (finished, node, nodes, task):
        slurm.wait(job, seconds=240)
        assert slurm.details(job)["Restarts"] == "1"
        if job != finished:
            assert "goes on with an earlier run" in slurm.log(job)
    assert tree(place / "node/d") == tree(place / "nodes/d") == whole
    assert tree(place / "array/large") == plain(data, place / "plain/large")
    assert tree(place / "late/d") == plain(place / "b.h5ad", place / "plain2/d")
    assert "the export is complete" in slurm.log(finished)
    assert len(_catalog(slurm, place, place)["datasets"]) == 2
    for folder in ("node", "nodes", "array", "late"):
        assert leftovers(place / folder) == []
    assert list(place.glob("scheduler-*")) == []
