"""Workers as jobs of SLURM: what is asked for, what comes, and what is left when it is over."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import stat
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from atlas import Outcome, atlas, here, run_anew, save, script_anew, tree
from forks import can_mount, forks
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import FACTS, NAMES, PIECES, Launcher, Started
from slurm_local import Slurm, call

from cellucid_dask import export
from cellucid_dask.compute import shared
from cellucid_dask.compute.cluster import WORKER_BYTES, StartContext
from cellucid_dask.compute.local_cluster import start_local_workers
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.slurm.jobs import (
    NANNY_BYTES,
    WorkerJobs,
    import_jobqueue,
    job_settings,
    log_pattern,
    plan_jobs,
)
from cellucid_dask.compute.slurm.problems import find_slurm_problems
from cellucid_dask.compute.slurm.sbatch import Programs, join_lines, slurm_environment
from cellucid_dask.compute.slurm.workers import _job_class, submit_workers
from cellucid_dask.compute.tasks import RETRIES, submit
from cellucid_dask.compute.worker_check import (
    describe_requirements,
    find_differences,
    refuse_differences,
    run_on_checked_worker,
)
from cellucid_dask.errors import EngineError, OptionError
from cellucid_dask.options.keywords import read_export_options
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.slurm import SlurmOptions

MiB, GiB = 1 << 20, 1 << 30
PYTHON = shlex.quote(sys.executable)


def until(reached: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Wait for a moment, and return what was waited for."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, f"it never came to that: {what}"
        time.sleep(0.2)
    return found


def jobs_for(workers: int = 2, **slurm: Any) -> WorkerJobs:
    return plan_jobs(RunOptions(workers=workers, slurm=SlurmOptions(**slurm)))


def job_text(jobs: WorkerJobs, folder: str = "/spill", **more: Any) -> str:
    """Script of a job, as it is submitted."""
    given = {**job_settings(jobs, "cellucid-dask-x", log_pattern(Path(folder))), **more}
    text: str = _job_class(folder, Programs({}))("tls://10.0.0.1:1", "x-0", **given).job_script()
    return text


def option(text: str, name: str) -> str:
    """Value of an option in the script of a job."""
    found = re.search(rf"{name}[ =](\S+)", text)
    assert found is not None, f"no {name} in {text}"
    return found[1]


# ------------------------------------------------------------------------- what a user may choose


@pytest.mark.parametrize(
    "time", ["30", "30:00", "2:00:00", "1-0", "1-12:30", "1-12:30:15", "00:30:00"]
)
def test_times_of_sbatch(time: str) -> None:
    assert SlurmOptions(time=time).time == time


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"time": "two hours"}, "--time"),
        ({"time": "1:2:3:4"}, "--time"),
        ({"time": "2h"}, "--time"),
        ({"time": ""}, "--time"),
        ({"partition": "a b"}, "--partition"),
        ({"partition": ""}, "--partition"),
        ({"account": "-p"}, "--account"),
        ({"account": "x\n#SBATCH --exclusive"}, "--account"),
        ({"job_memory": "much"}, "--job-memory"),
        ({"job_memory": 0}, "--job-memory"),
        ({"job_cores": 0}, "--job-cores"),
        ({"max_jobs": -1}, "--max-jobs"),
        ({"slurm_directives": "qos=long"}, "--slurm-directive"),
        ({"slurm_directives": ["--a\nrm -r /"]}, "--slurm-directive"),
        ({"interface": "nope0"}, "--interface"),
    ],
)
def test_a_value_that_cannot_be_used(given: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as refused:
        SlurmOptions(**given)
    assert [problem.where for problem in refused.value.problems] == [option]


def test_what_is_given_becomes_options() -> None:
    _, run, problems = read_export_options(
        {"slurm": True, "workers": 3, "slurm_directives": "--qos=long"}
    )
    assert run.slurm == SlurmOptions(slurm_directives=("--qos=long",))
    assert not problems
    made = SlurmOptions(partition="p")
    assert read_export_options({"slurm": made, "workers": 3})[1].slurm is made
    assert read_export_options({"slurm": False, "partition": None, "adaptive": False})[1:] == (
        RunOptions(),
        [],
    )


def test_what_is_wrong_is_told_at_once() -> None:
    _, _, problems = read_export_options(
        {"slurm": True, "scheduler": "tcp://x:1", "time": "x", "job_cores": 0}
    )
    told = "\n".join(map(str, problems))
    for line in ("--time", "--job-cores", "--slurm and --scheduler cannot both", "add --workers N"):
        assert line in told


def test_options_of_jobs_without_jobs() -> None:
    options = {"partition": "p", "max_jobs": 3, "adaptive": True, "slurm_directives": ("--x",)}
    _, run, problems = read_export_options({**options, "workers": 2, "account": None})
    assert run.slurm is None
    (problem,) = problems
    assert problem.where.startswith("--partition, --max-jobs, --adaptive, --slurm-directive")
    assert problem.fix == "add --slurm"


# ------------------------------------------------------------------------- the shape of the jobs


@pytest.mark.parametrize(
    ("workers", "options", "number", "each"),
    [
        (32, {}, 32, 1),
        (32, {"job_cores": 4}, 8, 4),
        (3, {"job_cores": 2}, 2, 2),
        (2, {"job_cores": 4}, 1, 2),
        (32, {"max_jobs": 5}, 5, 1),
        (32, {"job_cores": 8, "max_jobs": 9}, 4, 8),
    ],
)
def test_how_many_jobs(workers: int, options: dict[str, Any], number: int, each: int) -> None:
    jobs = jobs_for(workers, **options)
    assert (jobs.number, jobs.workers) == (number, each)
    assert jobs.memory == 4 * GiB * options.get("job_cores", 1)
    assert ("--max-jobs allows no more" in str(jobs)) == (number * each < workers)


def test_what_the_site_says_is_the_default() -> None:
    with dask.config.set({"jobqueue.slurm.cores": 6, "jobqueue.slurm.memory": "10 GiB"}):
        jobs = jobs_for(12)
        assert (jobs.number, jobs.workers, jobs.memory) == (2, 6, 10 * GiB)
        jobs = jobs_for(12, job_cores=3, job_memory="5GB")
        assert (jobs.number, jobs.workers, jobs.memory) == (4, 3, 5 * 10**9)


@settings(max_examples=150, deadline=None)
@given(
    memory=st.integers(NANNY_BYTES + 64 * WORKER_BYTES, 4 << 40),
    cores=st.integers(1, 64),
    wanted=st.integers(1, 200),
)
def test_workers_fit_into_the_memory_of_their_job(memory: int, cores: int, wanted: int) -> None:
    jobs = jobs_for(wanted, job_memory=memory, job_cores=cores)
    text = job_text(jobs)
    asked = int(option(text, "--mem").removesuffix("M")) * MiB
    limit = dask.utils.parse_bytes(option(text, "--memory-limit"))
    assert memory <= asked < memory + MiB
    assert limit * jobs.workers + NANNY_BYTES <= asked
    assert limit * jobs.workers >= (memory - NANNY_BYTES) * 0.98 - MiB * jobs.workers
    assert int(option(text, "--nthreads")) == 1
    assert int(option(text, "--cpus-per-task")) == cores
    assert f"--nworkers {jobs.workers} " in text or jobs.workers == 1


def test_processes_are_not_those_of_the_site() -> None:
    """dask-jobqueue makes four of four cores, and as many as the configuration says."""
    with dask.config.set({"jobqueue.slurm.processes": 7}):
        text = job_text(jobs_for(1, job_cores=4))
        assert "--nworkers" not in text
        assert option(text, "--nthreads") == "1"
        assert "--nworkers 4 " in job_text(jobs_for(8, job_cores=4))


def test_the_script_names_files_and_folders_as_a_shell_reads_them() -> None:
    folder = "/a place/it's 100%"
    certificates = {"security": _Certificates(f"{folder}/cert.pem")}
    text = job_text(jobs_for(), folder, **certificates)
    assert '#SBATCH --output="/a place/it\'s 100%%/workers-%j.log"' in text
    words = shlex.split(text.splitlines()[-1])
    assert words[words.index("--tls-cert") + 1] == f"{folder}/cert.pem"
    assert words[words.index("--local-directory") + 1] == "${TMPDIR:-/tmp}"
    assert "export OMP_NUM_THREADS=1" in text


class _Certificates:
    def __init__(self, path: str) -> None:
        self.path = path

    def get_tls_config_for_role(self, role: str) -> dict[str, str]:
        return {"cert": self.path}


def test_what_the_programs_of_slurm_say_in_one_line() -> None:
    text = "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job failed: X\n\n"
    assert join_lines(text) == "invalid partition specified: x; Batch job failed: X"
    assert join_lines(text + text) == join_lines(text)
    assert len(join_lines("x" * 1000)) == 300


def test_memory_of_the_run_is_that_of_its_jobs_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nope")
    slurm = SlurmOptions(job_memory="2GB")
    enough = find_slurm_problems(RunOptions(workers=4, memory="8GB", slurm=slurm), Path("out"))
    assert [problem.where for problem in enough] == ["--slurm"]
    much = find_slurm_problems(
        RunOptions(workers=4, memory=8 * 10**9 + 1, slurm=slurm), Path("out")
    )
    assert [problem.where for problem in much] == ["--slurm", "--memory"]
    assert "4 jobs of 2.0 GB" in much[1].what
    assert "--memory 8000MB" in much[1].fix


def test_the_interface_of_the_site_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nope")
    with dask.config.set({"jobqueue.slurm.interface": "ib99"}):
        told = find_slurm_problems(RunOptions(workers=1, slurm=SlurmOptions()), Path("out"))
        assert "no network interface 'ib99'" in told[1].what
        assert (
            len(
                find_slurm_problems(
                    RunOptions(workers=1, slurm=SlurmOptions(interface="lo")), Path("out")
                )
            )
            == 1
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory", "much"),
        ("cores", "four"),
        ("cores", 0),
        ("walltime", 7200),  # what YAML makes of 2:00:00
        ("death-timeout", "abc"),
        ("log-directory", 5),
        ("job-script-prologue", "module load x"),
        ("worker-extra-args", "--lifetime 5m"),
        ("scheduler-options", "port: 1"),
    ],
)
def test_a_setting_of_the_site_that_is_none(name: str, value: object) -> None:
    with dask.config.set({f"jobqueue.slurm.{name}": value}):
        (told,) = (
            problem
            for problem in find_slurm_problems(
                RunOptions(workers=1, slurm=SlurmOptions()), Path("out")
            )
            if problem.where == "dask's configuration"
        )
        assert told.what == f"jobqueue.slurm.{name} is {value!r}"


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("--array=1-3", "leave it out"),
        ("-J mine", "leave it out"),
        ("--wait", "leave it out"),
        ("--mem=1M", "use --job-memory"),
        ("-t 5", "use --time"),
    ],
)
def test_directives_that_make_other_jobs(line: str, fix: str) -> None:
    options = SlurmOptions(slurm_directives=("--qos=long", line))
    told = find_slurm_problems(RunOptions(workers=1, slurm=options), Path("out"))
    mine = [problem for problem in told if problem.where == "--slurm-directive"]
    assert [(problem.what, problem.fix) for problem in mine] == [
        (f"{line!r} is set by this command", fix)
    ]


def test_a_value_with_spaces_is_quoted_for_sbatch() -> None:
    text = job_text(jobs_for(slurm_directives=("--comment=two words", "--qos long", "-C a")))
    assert '#SBATCH --comment="two words"\n#SBATCH --qos long\n#SBATCH -C a\n' in text


@pytest.mark.parametrize("name", ["a\nb", 'a"b', "a\\b"])
def test_paths_that_a_batch_script_cannot_hold(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    run = RunOptions(workers=1, slurm=SlurmOptions())
    told = [(problem.where, problem.what) for problem in find_slurm_problems(run, tmp_path / name)]
    what = f"{str(tmp_path / name)!r} has a quote, a backslash or a line break"
    assert ("--out", what) in told
    apart = RunOptions(workers=1, slurm=SlurmOptions(), scratch=tmp_path / name)
    told = [
        (problem.where, problem.what) for problem in find_slurm_problems(apart, tmp_path / name)
    ]
    assert ("--scratch", what) in told
    assert ("--out", what) not in told


def test_variables_of_sbatch_do_not_change_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They win over what the script of a job says."""
    given = {"ACCOUNT": "lab", "PARTITION": "short", "QOS": "q", "ARRAY_INX": "1-2", "WAIT": "1"}
    for name, value in given.items():
        monkeypatch.setenv(f"SBATCH_{name}", value)
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    left = slurm_environment(SlurmOptions(partition="main"))
    assert {k: v for k, v in left.items() if k.startswith(("SBATCH", "SQUEUE"))} == {
        "SBATCH_ACCOUNT": "lab",
        "SBATCH_QOS": "q",
    }
    assert left["PATH"] == os.environ["PATH"]


def test_the_first_use_may_be_in_a_thread(tmp_path: Path) -> None:
    done = script_anew(
        "import threading\n"
        "from cellucid_dask.compute.slurm.jobs import import_jobqueue\n"
        "found = []\n"
        "thread = threading.Thread(target=lambda: found.append(import_jobqueue().SLURMCluster))\n"
        "thread.start(), thread.join()\n"
        "assert found\n",
        tmp_path,
    )
    assert done.code == 0, done.err


def test_the_first_use_may_be_with_settings_of_a_moment(tmp_path: Path) -> None:
    """What dask_jobqueue brought as it was imported is still there when they are over."""
    done = script_anew(
        "import dask\n"
        "from cellucid_dask.compute.slurm.jobs import import_jobqueue, site_setting\n"
        "with dask.config.set({'jobqueue.slurm.cores': 7}):\n"
        "    import_jobqueue()\n"
        "    assert site_setting('cores') == 7\n"
        "assert site_setting('cores') is None\n"
        "assert site_setting('job-extra-directives') == []\n",
        tmp_path,
    )
    assert done.code == 0, done.err


def test_ctrl_c_stays_with_the_command(tmp_path: Path) -> None:
    """Importing dask_jobqueue takes it over."""
    done = script_anew(
        "import signal\n"
        "from cellucid_dask.compute.slurm.jobs import import_jobqueue\n"
        "mine = lambda *_: None\n"
        "signal.signal(signal.SIGINT, mine)\n"
        "import_jobqueue(), import_jobqueue()\n"
        "assert signal.getsignal(signal.SIGINT) is mine\n",
        tmp_path,
    )
    assert done.code == 0, done.err
    assert import_jobqueue().SLURMCluster


# ------------------------------------------------------------------------- what is told of workers


def test_a_worker_is_compared_with_this_process(tmp_path: Path) -> None:
    file, folder, none = tmp_path / "a file", tmp_path / "folder", tmp_path / "none"
    file.write_text("12345")
    folder.mkdir()
    what = describe_requirements(map(str, (file, folder, none)))
    seen = find_differences(what)
    assert (seen.versions, seen.paths) == ((), ())
    refuse_differences("w", seen)

    file.write_text("1234")  # another file by the same name
    folder.rmdir()
    seen = find_differences(what)
    assert seen.paths == (str(file), str(folder))
    with pytest.raises(EngineError, match=r"worker w on .*does not see .*a file, .*folder") as told:
        refuse_differences("w", seen)
    assert "share" in str(told.value)


def test_other_versions_are_told_of_both_sides() -> None:
    what = describe_requirements([])
    assert ("python", "{}.{}".format(*sys.version_info)) in what.versions
    other = type(what)((("cellucid-dask", "9.9"), ("no-such-package", "1"), *what.versions), ())
    seen = find_differences(other)
    assert [name for name, *_ in seen.versions] == ["cellucid-dask", "no-such-package"]
    with pytest.raises(EngineError, match=r"this process has cellucid-dask 9\.9") as told:
        refuse_differences("w", seen)
    assert "no-such-package none" in str(told.value)


def test_what_all_tasks_need_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "spill 100%"
    folder.mkdir()
    value = {"a": range(3), "b": ("x", None)}
    first = shared.share(str(folder), "first", value)
    second = shared.share(str(folder), "second", [1])
    assert [path.name for path in sorted(folder.iterdir())] == ["first.pickle", "second.pickle"]
    assert first.load() == value
    assert first.load() is first.load()  # read once
    assert second.load() == [1]
    with pytest.raises(FileNotFoundError):
        shared.Shared(str(folder / "none.pickle")).load()


# ------------------------------------------------------------------------- tasks as futures


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two worker processes on this machine, which are replaced when they die."""
    with ExitStack() as stack:
        client = start_local_workers(2, tmp_path_factory.mktemp("workers"), stack)
        client.wait_for_workers(2, timeout=120)
        yield client


def gated() -> Callable[..., tuple[int, int]]:
    """Task that notes each time it begins and then waits for a file; goes to workers as text."""

    def work(notes: str, gate: str | None, number: int) -> tuple[int, int]:
        import os
        import time
        from pathlib import Path

        with Path(notes).open("a") as file:
            file.write(f"{number}\n")
        while gate is not None and not Path(gate).exists():
            time.sleep(0.02)
        return number, os.getpid()

    return work


def noted(notes: Path) -> Counter[int]:
    """How often each task began."""
    return Counter(map(int, notes.read_text().split())) if notes.exists() else Counter()


def done(futures: list[Future[Any]], seconds: float = 120) -> list[Any]:
    """Results of all, in their order."""
    assert not wait(futures, timeout=seconds).not_done, "tasks do not end"
    return [future.result() for future in futures]


def test_results_come_in_the_order_of_the_tasks(client: Any) -> None:
    futures = submit(client, divmod, [(i, 7) for i in range(40)])
    assert done(futures) == [divmod(i, 7) for i in range(40)]
    assert submit(client, divmod, []) == []
    until(lambda: not client.futures, "the client forgets what was fetched")


def test_equal_tasks_are_all_done(client: Any, tmp_path: Path) -> None:
    task = (str(tmp_path / "notes"), None, 5)
    assert len(done(submit(client, gated(), [task] * 3))) == 3
    assert noted(tmp_path / "notes") == {5: 3}


def test_an_error_is_raised_where_the_result_is_asked_for(client: Any, tmp_path: Path) -> None:
    def fail(notes: str, number: int) -> int:
        from pathlib import Path

        from cellucid_dask.errors import ReadError

        with Path(notes).open("a") as file:
            file.write(f"{number}\n")
        if number == 1:
            raise ReadError("cannot be read", where="a file", fix="copy it anew")
        return number

    futures = submit(client, fail, [(str(tmp_path / "notes"), i) for i in range(3)])
    wait(futures, timeout=120)
    assert (futures[0].result(), futures[2].result()) == (0, 2)
    with pytest.raises(Exception, match="copy it anew") as told:
        futures[1].result()
    assert type(told.value).__name__ == "ReadError"
    assert noted(tmp_path / "notes") == {0: 1, 1: 1 + RETRIES, 2: 1}


def test_tasks_that_are_cancelled_do_not_begin(client: Any, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    futures = submit(client, gated(), [(str(notes), str(gate), i) for i in range(12)])
    until(lambda: len(noted(notes)) >= 2, "two tasks run")
    assert all(future.cancel() for future in futures)
    gate.touch()
    with pytest.raises(CancelledError):
        futures[-1].result()
    assert done(submit(client, divmod, [(9, 2)])) == [(4, 1)]
    until(lambda: not client.futures, "the client forgets what was cancelled")
    assert len(noted(notes)) < 12


def test_what_a_lost_worker_had_done_is_not_done_again(client: Any, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    first = submit(client, gated(), [(str(notes), None, i) for i in range(8)])
    pids = {pid for _, pid in done(first)}
    assert len(pids) == 2
    more = submit(client, gated(), [(str(notes), str(gate), i) for i in range(8, 12)])
    until(lambda: len(noted(notes)) >= 10, "two more tasks run")
    os.kill(pids.pop(), signal.SIGKILL)
    until(lambda: sum(noted(notes).values()) > 10, "the task of the lost worker begins again")
    gate.touch()
    assert [number for number, _ in done(more)] == [8, 9, 10, 11]
    assert [noted(notes)[number] for number in range(8)] == [1] * 8


def test_a_worker_is_looked_at_with_its_first_task(client: Any, tmp_path: Path) -> None:
    good = describe_requirements([str(tmp_path)])
    assert done(submit(client, run_on_checked_worker, [(good, divmod, 7, 2)])) == [(3, 1)]
    there = tmp_path / "there"
    there.touch()
    bad = describe_requirements([str(there)])
    there.unlink()
    (future,) = submit(client, run_on_checked_worker, [(bad, divmod, 7, 2)])
    wait([future], timeout=120)
    with pytest.raises(Exception, match="does not see") as told:
        future.result()
    assert str(there) in str(told.value)


# ------------------------------------------------------------------------- refused before a job

# No such packages, as far as Python can find them.
WITHOUT = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {names} else find(name, path, target)
PathFinder.find_spec = find_spec
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small atlas, in a folder that no worker is told of but as data."""
    return save(atlas(), tmp_path_factory.mktemp("data") / "a.h5ad")


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What its export holds."""
    out = tmp_path_factory.mktemp("whole") / "out"
    export(data, out, quiet=True, workers=1, **NAMES)
    return tree(out)


def refused(outcome: Outcome, place: Path, *lines: str) -> None:
    """It was told what is wrong, and has written nothing."""
    assert outcome.code == 2, outcome.err
    assert "Traceback" not in outcome.err
    for line in lines:
        assert line in outcome.err
    assert tree(place) == {}


def test_all_that_is_wrong_is_told_at_once(
    data: Path, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nope")
    words = ["export", data, "-o", "out", "--slurm", "--scheduler", "tcp://127.0.0.1:1"]
    words += ["--time", "soon", "--job-cores", 0, "--interface", "ib99", "--latent-key", "X_nope"]
    outcome = here(capfd, *words)
    told = ("--time", "--job-cores", "--interface", "'lo'", "cannot both be given", "--workers N")
    refused(outcome, tmp_path, *told, "no sbatch on the PATH", "X_nope")


def test_packages_that_are_missing_are_named(data: Path, tmp_path: Path) -> None:
    folder, place = tmp_path / "first", tmp_path / "place"
    folder.mkdir()
    place.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT.format(names={"dask_jobqueue", "bokeh"}))
    words = ["export", data, "-o", "out", "--slurm", "--job-memory", "much"]
    outcome = run_anew(*words, cwd=place, PYTHONPATH=str(folder))
    needed = "needs bokeh and dask_jobqueue", "pip install 'cellucid-dask[slurm]'"
    refused(outcome, place, *needed, "--job-memory", "--workers N")


def test_options_without_slurm(data: Path, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["export", data, "-o", "out", "--partition", "p", "--adaptive", "--max-jobs", 2]
    outcome = here(capfd, *words, "--slurm-directive=--qos=x")
    named = "--partition", "--adaptive", "--max-jobs", "--slurm-directive", "add --slurm"
    refused(outcome, tmp_path, *named)


@pytest.mark.parametrize("workers", [(), ("--workers", 1)])
def test_no_report_of_dask_without_dask(
    data: Path, tmp_path: Path, capfd: Any, monkeypatch: Any, workers: tuple[Any, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = here(capfd, "export", data, "-o", "out", *workers, "--performance-report", "r.html")
    refused(outcome, tmp_path, "--performance-report", "this process", "--workers 2")


def test_data_in_memory_stays_on_this_machine(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="data in memory cannot go to other machines") as told:
        export(atlas(), tmp_path / "out", slurm=True, workers=2, time="soon", quiet=True)
    assert "time: 'soon' is not a time" in str(told.value)
    assert tree(tmp_path) == {}


# ------------------------------------------------------------------------- commands with jobs


@pytest.fixture(scope="module")
def launcher(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path_factory.mktemp("logs"))
    forks().load("distributed.dashboard.scheduler")  # with bokeh, half a second for each of them
    yield launcher
    launcher.close()


def first(config: dict[str, Any] | None = None, **variables: object) -> str:
    """Lines that a command runs first: settings of dask, and variables of the environment.

    Variables go to the jobs as well.
    """
    given = {name: str(value) for name, value in variables.items()}
    named = {f"jobqueue.slurm.{name}": value for name, value in (config or {}).items()}
    return f"import os, dask\nos.environ.update({given!r})\ndask.config.set({named!r})\n"


def program(path: Path, text: str) -> Path:
    """Write a program of shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return path


class Gate:
    """A folder for PYTHONPATH by which workers halt before they put the first gene in place."""

    TEXT = """
import os, sys, time
def hook(event, arguments):
    if event == "os.rename" and "/var/" in os.fspath(arguments[1]).partition("/export-")[2]:
        open({reached!r}, "a").close()
        while not os.path.exists({open!r}):
            time.sleep(0.05)
sys.addaudithook(hook)
"""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self._reached, self._open = folder, folder / "reached", folder / "open"
        text = self.TEXT.format(reached=str(self._reached), open=str(self._open))
        (folder / "sitecustomize.py").write_text(text)

    def reached(self) -> bool:
        return self._reached.exists()

    def open(self) -> None:
        self._open.touch()


def place_for(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def begin(
    launcher: Launcher,
    place: Path,
    data: Path,
    *more: object,
    first: str = "",
    workers: int = 1,
    memory: str | None = "1GiB",
) -> Started:
    """Start an export by jobs; `place` is its own, by which its jobs are known."""
    words = ["export", data, "-o", "out", "--slurm", "--workers", workers, *FACTS]
    size = () if memory is None else ("--job-memory", memory)
    return launcher.start(*words, *size, *more, cwd=place, first=first)


def alive(place: Path) -> list[str]:
    """Jobs that were submitted in `place` or below and have not ended."""
    listed = call("squeue", "-h", "-t", "PENDING,RUNNING,CONFIGURING", "-o", "%i\t%Z")
    rows = [line.split("\t") for line in listed.splitlines()]
    return [job for job, at in rows if Path(at).is_relative_to(place)]


def submitted(place: Path, count: int) -> list[str]:
    """Jobs that were submitted in `place`, once there are as many as that."""
    until(lambda: len(alive(place)) >= count, f"{count} jobs of {place.name}")
    jobs = alive(place)
    assert len(jobs) == count
    return jobs


def batch(job: str) -> str:
    """Script of a job."""
    return call("scontrol", "write", "batch_script", job, "-")


def processes(word: str) -> list[psutil.Process]:
    """Processes whose command line names `word`."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(word in text for text in process.cmdline()):
                found.append(process)
    return found


def shake_hands(address: str, folder: Path, *, known: bool) -> None:
    """Speak to a scheduler; fails when it does not answer."""
    host, _, port = address.removeprefix("tls://").rpartition(":")
    context = ssl.create_default_context(cafile=folder / "ca_file.pem")
    context.check_hostname = False
    if known:
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with (
        socket.create_connection((host, int(port)), timeout=10) as raw,
        context.wrap_socket(raw) as connection,
    ):
        if not connection.recv(1):
            raise ConnectionResetError("closed")


def test_an_export_by_jobs(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path, whole: dict[str, str]
) -> None:
    """What is asked for, what comes, who may speak to it, and what is left: nothing."""
    gate = Gate(tmp_path / "gate")
    place = place_for(tmp_path / "it's a place of 100%d")
    scratch, node = place_for(place / "scratch %j"), place_for(tmp_path / "disk of the node")
    words = ["export", data, "-o", place / "out %x", *FACTS, "--slurm", "--workers", 3]
    words += ["--job-cores", 2, "--job-memory", "1GB", "--scratch", scratch, "--interface", "lo"]
    words += ["--performance-report", "report of %s.html", "--slurm-directive=--comment=test"]
    lines = first(PYTHONPATH=gate.folder, TMPDIR=node)
    started = launcher.start(*words, cwd=place, first=lines)
    assert started.until(gate.reached, 120), started.said

    jobs = alive(place)
    assert len(jobs) == 2
    script, details = batch(jobs[0]), slurm.details(jobs[0])
    assert details["NumCPUs"] == "2"
    assert details["MinMemoryNode"] == "954M"
    assert option(script, "--death-timeout") == "60"
    assert "--interface lo" in script
    (folder,) = scratch.glob("cellucid-dask-scratch-*")
    assert list(folder.glob("rows-*"))  # the spill
    until((folder / f"workers-{jobs[0]}.log").exists, "the job of the first workers runs")

    for name in ("ca_file", "cert", "key"):
        assert stat.S_IMODE((folder / f"{name}.pem").stat().st_mode) == 0o600
    address = re.search(r"tls://127\.0\.0\.1:\d+", script)
    assert address is not None
    shake_hands(address[0], folder, known=True)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shake_hands(address[0], folder, known=False)
    check_workers(address[0], folder, node)

    link = re.search(r"dashboard: (http\S+)", started.said)
    assert link is not None
    with urllib.request.urlopen(link[1], timeout=20) as answer:
        assert answer.status == 200

    gate.open()
    assert started.wait(120) == 0, started.said
    assert alive(place) == []
    assert tree(place / "out %x") == whole
    assert {path.name for path in place.iterdir()} == {"out %x", scratch.name, "report of %s.html"}
    assert tree(scratch) == {}
    report = (place / "report of %s.html").read_text()
    assert "bokeh" in report.lower()
    assert "asks for 4 workers in 2 SLURM jobs of 1.0 GB" in started.said


def check_workers(address: str, folder: Path, node: Path) -> None:
    """Workers of one thread each, with a limit, on the disk of their node."""
    from distributed import Client
    from distributed.security import Security

    own = {"tls_client_cert": str(folder / "cert.pem"), "tls_client_key": str(folder / "key.pem")}
    security = Security(tls_ca_file=str(folder / "ca_file.pem"), require_encryption=True, **own)
    with Client(address, security=security, set_as_default=False) as client:
        client.wait_for_workers(4, timeout=120)
        workers = list(client.scheduler_info(n_workers=-1)["workers"].values())
    assert [worker["nthreads"] for worker in workers] == [1, 1, 1, 1]
    assert {worker["host"] for worker in workers} == {"127.0.0.1"}
    assert all(Path(worker["local_directory"]).is_relative_to(node) for worker in workers)
    assert all(2 * worker["memory_limit"] + NANNY_BYTES <= 10**9 for worker in workers)


SITE = """
jobqueue:
  slurm:
    queue: preempt
    account: lab
    walltime: '0:07:00'
    cores: 2
    processes: 7
    memory: 1.5GiB
    log-directory: {logs}
    local-directory: {node}
    interface: lo
    job-extra-directives: ['--hold']
    job-script-prologue: ['export OF_THE_SITE=yes']
"""


def test_the_configuration_of_the_site_and_options(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path
) -> None:
    """Its jobs are held, so they are pending when it is stopped: none is left."""
    logs, config = tmp_path / "logs of jobs", place_for(tmp_path / "config")
    (config / "jobqueue.yaml").write_text(SITE.format(logs=logs, node=tmp_path / "node"))
    site = f"import dask\ndask.config.refresh(paths=[{str(config)!r}])\n"
    places = [place_for(tmp_path / name) for name in ("site", "options", "killed")]
    options = ["--partition", "main", "--account", "other", "--time", "1-2", "--job-cores", 1]
    options += ["--slurm-directive=--comment=hello", "--max-jobs", 2]
    more = ((), None), (options, "1GB"), (["--job-cores", 4], "16GB")
    began = [
        begin(launcher, place, data, *words, workers=4, first=site, memory=memory)
        for place, (words, memory) in zip(places, more, strict=True)
    ]
    held = [submitted(place, count) for place, count in zip(places, (2, 2, 1), strict=True)]

    of_site, of_options, of_large = (slurm.details(jobs[0]) for jobs in held)
    assert (of_site["Partition"], of_site["TimeLimit"]) == ("preempt", "00:07:00")
    assert (of_site["Account"], of_site["NumCPUs"]) == ("lab", "2")
    assert of_site["MinMemoryNode"] == "1.50G"
    text = batch(held[0][0])
    assert f'--output="{logs}/workers-%j.log"' in text
    assert "export OF_THE_SITE=yes" in text
    assert option(text, "--local-directory") == f'"{tmp_path / "node"}"'
    assert "--nworkers 2 " in text
    assert "--interface lo" in text

    assert (of_options["Partition"], of_options["TimeLimit"]) == ("main", "1-02:00:00")
    assert (of_options["Account"], of_options["NumCPUs"]) == ("other", "1")
    assert (of_options["MinMemoryNode"], of_options["Comment"]) == ("954M", "hello")
    assert of_large["MinMemoryNode"] == "15259M"
    for jobs, memory in zip(held, (3 * GiB // 2, 10**9, 16 * 10**9), strict=True):
        text = batch(jobs[0])
        workers = int(option(text, "--nworkers")) if "--nworkers" in text else 1
        limit = dask.utils.parse_bytes(option(text, "--memory-limit"))
        assert limit * workers + NANNY_BYTES <= memory

    for one in began:
        assert one.until(lambda one=one: "pending (JobHeldUser)" in one.said), one.said
    for one, number in zip(began, (signal.SIGINT, signal.SIGTERM, signal.SIGKILL), strict=True):
        one.signal(number)
    assert [one.wait() for one in began] == [130, 143, -signal.SIGKILL]
    until(lambda: not alive(tmp_path), "all jobs are cancelled", 8)
    for one in began:
        assert "Traceback" not in one.said


SILENT = """
mkdir "$0-once" 2>/dev/null || exec {squeue} "$@"
echo "slurm_load_jobs error: Unable to contact slurm controller" >&2
exit 1
"""


def test_a_job_that_waits_for_the_node_and_a_command_that_is_killed(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path
) -> None:
    gate, place = Gate(tmp_path / "gate"), place_for(tmp_path / "place")
    most = int(call("sinfo", "-h", "-p", "main", "-o", "%m")) * 6 // 10
    held = ["--parsable", f"--mem={most}M", "--time=20", "--output=/dev/null", "--wrap=sleep 600"]
    holder = call("sbatch", *held).strip()
    try:
        slurm.wait(holder, ["RUNNING"])
        program(tmp_path / "bin" / "squeue", SILENT.format(squeue=shutil.which("squeue")))
        path = f"{tmp_path}/bin:{os.environ['PATH']}"
        lines = first(PYTHONPATH=gate.folder, PATH=path)
        started = begin(launcher, place, data, first=lines, memory=f"{most}MiB")
        told = "0 of 1 workers are there; jobs: 1 pending (Resources)"
        assert started.until(lambda: told in started.said), started.said
        assert "squeue does not answer (slurm_load_jobs error: Unable" in started.said
        assert not gate.reached()
    finally:
        slurm.cancel(holder)
    assert started.until(gate.reached, 120), started.said
    (nanny,) = processes(f"{place}/.out")
    workers = [nanny, *nanny.children(recursive=True)]
    assert len(workers) >= 2

    started.signal(signal.SIGKILL)
    assert started.wait(120) == -signal.SIGKILL
    until(lambda: not alive(place), "its jobs are cancelled", 8)
    until(lambda: not any(worker.is_running() for worker in workers), "its workers end", 20)


# A worker dies when it is looked at; the next one lives.
DIES = """
import os, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == "cellucid_dask.compute.worker_check":
        if any("spawn_main" in word for word in sys.orig_argv):  # not its nanny
            try:
                os.mkdir({once!r})
            except FileExistsError:
                return
            os._exit(1)
sys.addaudithook(hook)
"""

REFUSES = """
case "$*" in *--test-only*) exec {sbatch} "$@";; esac
for i in {allowed}; do mkdir "$0-$i" 2>/dev/null && exec {sbatch} "$@"; done
echo "sbatch: error: Batch job submission failed: Job violates the limit of $0" >&2
exit 1
"""


def refusing(folder: Path, allowed: str = "") -> str:
    """PATH with an sbatch that takes as many jobs as there are words."""
    sbatch = shutil.which("sbatch")
    program(folder / "sbatch", REFUSES.format(sbatch=sbatch, allowed=allowed))
    return f"{folder}:{os.environ['PATH']}"


def test_sbatch_refuses(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path, whole: dict[str, str]
) -> None:
    """Before anything is written; the jobs themselves; all but the first, which does the work.

    That one dies when it is looked at, and is started again.
    """
    places = [place_for(tmp_path / name) for name in ("check", "all", "all but one", "small")]
    none = first(PATH=refusing(tmp_path / "none"))
    path, dies = refusing(tmp_path / "one", "1"), place_for(tmp_path / "dies")
    (dies / "sitecustomize.py").write_text(DIES.format(once=str(dies / "once")))
    one = first(PATH=path, PYTHONPATH=dies)
    more = (("--partition", "nope", "--memory", "3GB"), (), (), ("--job-memory", "100MB"))
    check, alone, working, small = (
        begin(launcher, place, data, *words, workers=3, first=lines)
        for place, words, lines in zip(places, more, ("", none, one, ""), strict=True)
    )
    refused(Outcome(check.wait(), "", check.said), places[0], "sbatch refuses such a job", "nope")
    refused(Outcome(small.wait(120), "", small.said), places[3], "--job-memory: is too little")

    assert alone.wait() == 2
    assert "sbatch refused the job (Batch job submission failed: Job violates" in alone.said
    assert "Traceback" not in alone.said
    assert alive(places[1]) == []

    assert working.wait() == 0, working.said
    assert (dies / "once").exists()
    assert tree(places[2] / "out") == whole
    assert alive(places[2]) == []


BANNER = """
echo "Welcome to the cluster of 2026: 12 nodes are down"
exec {real} "$@"
"""
LOSSY = """
case "$*" in *--test-only*) exec {real} "$@";; esac
if mkdir {once} 2>/dev/null; then
    {real} "$@" >/dev/null
    echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2
    exit 1
fi
exec {real} "$@"
"""
STALE = """
for n in 1 2; do if mkdir {once}-$n 2>/dev/null; then exit 0; fi; done
exec {real} "$@"
"""
HANGS = """
case "$*" in *--name=*) exec {real} "$@";; esac
sleep 100
"""


def test_programs_of_slurm_that_answer_oddly(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path, whole: dict[str, str]
) -> None:
    """More words than expected; an answer that is lost; an empty one; none. The work is done."""
    kinds = {"banner": "sbatch", "lossy": "sbatch", "stale": "squeue", "hangs": "scancel"}
    texts = {"banner": BANNER, "lossy": LOSSY, "stale": STALE, "hangs": HANGS}
    began = {}
    for kind, name in kinds.items():
        text = texts[kind].format(real=shutil.which(name), once=tmp_path / f"once-{kind}")
        folder = program(tmp_path / "programs" / kind / name, text).parent
        lines = first(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
        lines += "from cellucid_dask.compute.slurm import sbatch\nsbatch.ANSWER_SECONDS = 3\n"
        delay = ("--slurm-directive", "--begin=now+4") if kind == "stale" else ()
        began[kind] = begin(launcher, place_for(tmp_path / kind), data, *delay, first=lines)
    for kind, started in began.items():
        assert started.wait(120) == 0, (kind, started.said)
        assert tree(tmp_path / kind / "out") == whole, kind
        assert "asks for another in its place" not in started.said, kind
        assert alive(tmp_path / kind) == [], kind
    assert "sbatch refuses more jobs for now (Batch job submission" in began["lossy"].said


def test_workers_that_cannot_do_the_work(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path
) -> None:
    """All at once, since they mostly wait."""
    other = place_for(tmp_path / "other" / "cellucid_dask-9.9.dist-info")
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: cellucid-dask\nVersion: 9.9\n")
    version = f"PYTHONPATH={shlex.quote(str(other.parent))}"
    gate = Gate(tmp_path / "gate")
    later = f"""
if mkdir "$0-first" 2>/dev/null; then PYTHONPATH={gate.folder} exec {PYTHON} "$@"; fi
until [ -e {gate.folder}/reached ]; do sleep 0.1; done
{version} exec {PYTHON} "$@"
"""
    kinds = {
        "another version": f'{version} exec {PYTHON} "$@"',
        "later another version": later,
        "no such Python": 'exec /nope/python "$@"',
    }
    if can_mount():
        kinds["no network"] = f'exec unshare -n {PYTHON} "$@"'
        mount = f'mount -t tmpfs none {data.parent}; exec {PYTHON} "$@"'
        kinds["no data"] = f'exec unshare -m bash -c {shlex.quote(mount)} bash "$@"'
    began, places = {}, {}
    for kind, text in kinds.items():
        places[kind] = place_for(tmp_path / f"{kind} 100%j")
        python = program(tmp_path / "programs" / kind.replace(" ", "-"), text)
        config = {"python": str(python), "death-timeout": 5 if kind == "no network" else 60}
        workers = 2 if kind == "later another version" else 1
        lines = first(config) + PIECES.format(nnz=60, block=256)  # tasks for both
        began[kind] = begin(launcher, places[kind], data, first=lines, workers=workers)
    told = {
        "another version": "has cellucid-dask 9.9; this process has cellucid-dask 0.1.0",
        "later another version": "has cellucid-dask 9.9; this process has cellucid-dask 0.1.0",
        "no such Python": "3 jobs ended before their workers came; the last line of their output: "
        f"{tmp_path}/programs/no-such-Python: line 2: /nope/python: No such file or directory",
        "no network": "the nodes do not reach the scheduler at tls://",
        "no data": f"does not see {data}",
    }
    for kind, started in began.items():
        code = started.wait(120)
        print(kind, started.said, sep="\n")
        assert code == 2, kind
        assert told[kind] in started.said, kind
        assert "Traceback" not in started.said, kind
        assert alive(places[kind]) == [], kind


# ------------------------------------------------------------------------- jobs of this process


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, line: str = "") -> None:
        self.lines.append(line)


@pytest.fixture
def ask(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Have workers in jobs of this process; returns a client, and what is said."""
    place = place_for(tmp_path / "jobs")
    monkeypatch.chdir(place)
    import_jobqueue()  # brings its defaults, which must outlast what a test sets
    with ExitStack() as stack:

        def submit_jobs(jobs: WorkerJobs) -> tuple[Any, Said]:
            reporter, folder = Said(), place_for(place / f"spill-{tmp_path.name}")
            client = submit_workers(jobs, StartContext(folder, reporter, stack, Future()))
            return client, reporter

        yield submit_jobs
    assert alive(place) == []


def test_lost_workers_are_replaced_and_what_they_had_done_is_kept(
    ask: Callable[..., Any], tmp_path: Path
) -> None:
    """Two workers in each of two jobs, the first of which dies before its workers come."""
    python = program(
        tmp_path / "python", f'mkdir "$0-first" 2>/dev/null && exit 1\nexec {PYTHON} "$@"'
    )
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with dask.config.set({"jobqueue.slurm.python": str(python)}):
        client, reporter = ask(jobs_for(4, job_cores=2, job_memory="1GiB"))
    client.wait_for_workers(4, timeout=120)
    assert any("has ended; asks for another" in line for line in reporter.lines)
    jobs = submitted(tmp_path, 2)

    first = submit(client, gated(), [(str(notes), None, i) for i in range(16)])
    pids = {pid for _, pid in done(first)}
    assert len(pids) == 4
    more = submit(client, gated(), [(str(notes), str(gate), i) for i in range(16, 24)])
    until(lambda: len(noted(notes)) >= 20, "four more run")
    call("scancel", jobs[0])
    until(lambda: sum(noted(notes).values()) > len(noted(notes)), "what it was at begins again")
    there = {pid: address for address, pid in client.run(os.getpid).items()}
    old = next(pid for pid in there if pid in pids)
    os.kill(old, signal.SIGKILL)  # its nanny starts another
    listed = client.scheduler_info
    until(lambda: there[old] not in listed(n_workers=-1)["workers"], "it is missed")
    client.wait_for_workers(4, timeout=120)
    assert len(alive(tmp_path)) == 2
    gate.touch()
    assert [number for number, _ in done(more)] == list(range(16, 24))
    again = {number: count for number, count in noted(notes).items() if count > 1}
    assert min(again) >= 16
    assert len(set(alive(tmp_path)) - set(jobs)) == 1


def test_jobs_come_with_the_work_and_go_with_it(ask: Callable[..., Any], tmp_path: Path) -> None:
    """Whole jobs of two workers."""
    client, _ = ask(jobs_for(8, job_cores=2, max_jobs=2, adaptive=True, job_memory="1GiB"))
    assert len(alive(tmp_path)) == 1
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    futures = submit(client, gated(), [(str(notes), str(gate), i) for i in range(60)])
    client.wait_for_workers(4, timeout=120)
    assert len(alive(tmp_path)) == 2
    gate.touch()
    assert len(done(futures)) == 60
    until(lambda: len(alive(tmp_path)) == 1, "one job is given back", 30)
    assert done(submit(client, divmod, [(9, 2)])) == [(4, 1)]
