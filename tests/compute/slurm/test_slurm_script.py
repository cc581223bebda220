"""The batch scripts alone: their text, arguments, requeueing, and lists of atlases."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from atlas import Outcome
from slurm_scripts import EXPORTS, LIST, SAY, TASK, bash, programs, script

from cellucid_dask.compute.slurm.choices import KINDS


def test_the_scripts_are_those_of_the_folder_slurm() -> None:
    root = Path(__file__).parents[3] / "slurm"
    assert {path.name: path.read_text() for path in root.glob("*.sbatch")} == {
        f"{kind}.sbatch": script(kind).read_text() for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_script_is_valid_bash(kind: str) -> None:
    subprocess.run(["bash", "-n", script(kind)], check=True)
    if checker := shutil.which("shellcheck"):
        subprocess.run([checker, script(kind)], check=True)
    text = script(kind).read_text()
    for option in ("--requeue", "--open-mode=append", "--signal=B:USR1@120", "--output=%x-%"):
        assert f"#SBATCH {option}" in text
    # What follows the first command is not read by sbatch.
    assert "#SBATCH" not in text[text.index("\nCELLUCID_DASK=") :]
    assert max(map(len, text.splitlines())) <= 100


def test_common_parts_of_the_scripts_are_equal() -> None:
    """Each is one file, so this is written several times."""

    def part(kind: str, first: str, last: str) -> str:
        text = script(kind).read_text()
        return text[text.index(first) : text.index(last)]

    runs = {part(kind, "# The command runs beside", "    done\n}\n") for kind in KINDS}
    marks = {part(kind, "# A job that starts again", "# The command runs") for kind in EXPORTS}
    assert (len(runs), len(marks)) == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_arguments_and_programs_are_reported_in_one_line(kind: str, tmp_path: Path) -> None:
    job = {"SLURM_ARRAY_TASK_ID": "1"} if kind == "export-array" else {}
    none = bash(script(kind), cwd=tmp_path, **job)
    assert (none.code, none.err.count("\n")) == (2, 1)
    assert "usage: sbatch" in none.err
    assert f"{kind}.sbatch" in none.err
    missing = bash(script(kind), "a b", "c", cwd=tmp_path, CELLUCID_DASK="/no/program", **job)
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert "/no/program is not there" in missing.err
    assert "set CELLUCID_DASK" in missing.err
    if kind != "export-array":  # which checks its list
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
def test_only_a_job_at_its_time_limit_is_requeued(
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


@pytest.mark.parametrize("kind", ["export-node", "export-array"])
def test_two_tries_that_finish_nothing_end_the_job(kind: str, tmp_path: Path) -> None:
    """Each try finishes as many pieces as its number in `made` says, until its time is over."""
    staging = tmp_path / "o u t" / ".a.cellucid-staging"
    staging.mkdir(parents=True)
    (staging / "journal.jsonl").write_text("\nof an earlier job\n")  # which is no progress of this
    ours = """trap 'exit 143' TERM; journal="$(dirname "$4")/.a.cellucid-staging/journal.jsonl"
        for ((i = 0; i < MADE; i++)); do printf '\\nanother\\n' >>"$journal"; done
        kill -USR1 $PPID; sleep 9 >/dev/null 2>&1 & wait $!"""
    fakes = programs(tmp_path / "fakes", cellucid_dask=ours, sbatch=SAY, scontrol=SAY)
    (tmp_path / "list").write_text("a\n")
    words = ("list", "o u t") if kind == "export-array" else ("a", "o u t/a")
    again = []
    for restarts, made in enumerate((0, 2, 0, 1, 0, 0)):
        before = (tmp_path / "job.log").stat().st_size if restarts else 0
        env = {**TASK, "SLURM_ARRAY_TASK_ID": "1", "SLURM_RESTART_COUNT": str(restarts)}
        job = bash(script(kind), *words, cwd=tmp_path, fakes=fakes, MADE=str(made), **env)
        assert job.code == 143, job
        again.append("scontrol|requeue|" in job.out[before:])
    assert again == [True] * 5 + [False]
    assert job.out.splitlines()[-1].startswith("two tries finished nothing")


def test_a_refused_requeue_is_reported(tmp_path: Path) -> None:
    ours = "trap 'exit 143' TERM; kill -USR1 $PPID; sleep 9 >/dev/null 2>&1 & wait $!"
    fakes = programs(tmp_path / "fakes", cellucid_dask=ours, scontrol="exit 1")
    job = bash(script("export-node"), "a", "b", cwd=tmp_path, fakes=fakes)
    assert job.code == 143
    assert "submit it again" in job.out


@pytest.mark.parametrize("kind", ["export-node", "export-array"])
def test_a_job_stopped_after_its_export_only_cleans_up(kind: str, tmp_path: Path) -> None:
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


def test_a_restarted_job_replaces_the_previous_export(tmp_path: Path, fakes: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "dataset_identity.json").touch()
    for restarts in ("0", "1"):
        words = ("a", "b", "--force")
        job = bash(
            script("export-node"), *words, cwd=tmp_path, fakes=fakes, SLURM_RESTART_COUNT=restarts
        )
        assert job.out.splitlines()[-1].startswith("cellucid-dask|export|"), job


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
        assert f"line {number} of my list: {data}\n" in done.out
    for number in (2, 3):
        done = task(number, tmp_path, fakes)
        assert (done.code, done.out) == (
            0,
            f"line {number} of my list names no atlas: there is nothing to do\n",
        )
    for number, other in ((5, 6), (6, 5)):
        done = task(number, tmp_path, fakes)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert f"lines {number} and {other} of my list would both get the id three" in done.err
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


def test_a_site_that_refuses_jobs_from_jobs(tmp_path: Path, fakes: Path) -> None:
    programs(fakes, sbatch="exit 1")
    done = task(1, tmp_path, fakes)
    assert "make the catalog yourself" in done.out
    assert "cellucid-dask|export|one.h5ad|" in done.out
