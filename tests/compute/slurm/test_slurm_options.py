"""Options of SLURM jobs: their check, the size of the jobs, and the job script."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import dask
import pytest
from atlas import atlas, save, script_anew
from hypothesis import given, settings
from hypothesis import strategies as st
from slurm_jobs import jobs_for, option

from cellucid_dask import export
from cellucid_dask.compute.cluster import WORKER_BYTES
from cellucid_dask.compute.queues.jobs import NANNY_BYTES, WorkerJobs, import_jobqueue
from cellucid_dask.compute.queues.problems import find_queue_problems
from cellucid_dask.compute.queues.programs import Programs, join_lines
from cellucid_dask.compute.queues.settings import job_settings
from cellucid_dask.compute.queues.workers import job_class
from cellucid_dask.compute.slurm.sbatch import slurm_environment
from cellucid_dask.errors import OptionError
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.keywords import read_export_options
from cellucid_dask.options.run import RunOptions

MiB, GiB = 1 << 20, 1 << 30


def job_text(jobs: WorkerJobs, folder: str = "/spill", **more: Any) -> str:
    """Script of a job, as it is submitted."""
    given = {**job_settings(jobs, "cellucid-dask-x", Path(folder)), **more}
    made = job_class(jobs, folder, Programs({}))("tls://10.0.0.1:1", "x-0", **given)
    text: str = made.job_script()
    return text


@pytest.mark.parametrize(
    "time", ["30", "30:00", "2:00:00", "1-0", "1-12:30", "1-12:30:15", "00:30:00"]
)
def test_times_of_sbatch(time: str) -> None:
    assert JobOptions(time=time).time == time


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
        ({"directives": "qos=long"}, "--directive"),
        ({"directives": ["--a\nrm -r /"]}, "--directive"),
        ({"interface": "nope0"}, "--interface"),
    ],
)
def test_an_invalid_value_is_refused(given: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as refused:
        JobOptions(**given)
    assert [problem.where for problem in refused.value.problems] == [option]


def test_arguments_become_options() -> None:
    _, run, problems = read_export_options(
        {"slurm": True, "workers": 3, "directives": "--qos=long"}
    )
    assert run.jobs == JobOptions(directives=("--qos=long",))
    assert not problems
    made = JobOptions(partition="p")
    assert read_export_options({"jobs": made, "workers": 3})[1].jobs is made
    assert read_export_options({"slurm": False, "partition": None, "adaptive": False})[1:] == (
        RunOptions(),
        [],
    )


def test_all_invalid_options_are_reported_together() -> None:
    _, _, problems = read_export_options(
        {"slurm": True, "scheduler": "tcp://x:1", "time": "x", "job_cores": 0}
    )
    told = "\n".join(map(str, problems))
    for line in ("--time", "--job-cores", "--slurm and --scheduler cannot both", "add --workers N"):
        assert line in told


def test_job_options_need_slurm() -> None:
    options = {"partition": "p", "max_jobs": 3, "adaptive": True, "directives": ("--x",)}
    _, run, problems = read_export_options({**options, "workers": 2, "account": None})
    assert run.jobs is None
    (problem,) = problems
    assert problem.where.startswith("--partition, --max-jobs, --adaptive, --directive")
    assert problem.fix.startswith("add --slurm")


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
def test_number_of_jobs_and_workers(
    workers: int, options: dict[str, Any], number: int, each: int
) -> None:
    jobs = jobs_for(workers, **options)
    assert (jobs.number, jobs.workers) == (number, each)
    assert jobs.memory == 4 * GiB * options.get("job_cores", 1)
    assert ("--max-jobs allows no more" in str(jobs)) == (number * each < workers)


def test_the_configuration_of_the_site_is_the_default() -> None:
    with dask.config.set({"jobqueue.slurm.cores": 6, "jobqueue.slurm.memory": "10 GiB"}):
        jobs = jobs_for(12)
        assert (jobs.number, jobs.workers, jobs.memory) == (2, 6, 10 * GiB)
        jobs = jobs_for(12, job_cores=3, job_memory="5GB")
        assert (jobs.number, jobs.workers, jobs.memory) == (4, 3, 5 * 10**9)


@settings(max_examples=150)
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


def test_processes_of_the_site_are_ignored() -> None:
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


def test_output_of_slurm_becomes_one_line() -> None:
    text = "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job failed: X\n\n"
    assert join_lines(text) == "invalid partition specified: x; Batch job failed: X"
    assert join_lines(text + text) == join_lines(text)
    assert len(join_lines("x" * 1000)) == 300


def test_memory_of_the_run_is_that_of_its_jobs_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nope")
    slurm = JobOptions(job_memory="2GB")
    enough = find_queue_problems(RunOptions(workers=4, memory="8GB", jobs=slurm), Path("out"))
    assert [problem.where for problem in enough] == ["--slurm"]
    much = find_queue_problems(RunOptions(workers=4, memory=8 * 10**9 + 1, jobs=slurm), Path("out"))
    assert [problem.where for problem in much] == ["--slurm", "--memory"]
    assert "4 jobs of 2.0 GB" in much[1].what
    assert "--memory 8000MB" in much[1].fix


def test_a_run_within_a_job_says_how_much_memory_the_job_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a batch script gives it nine tenths of that, the plan is the same."""
    data = save(atlas(cells=3000), tmp_path / "a.h5ad")
    assert export(data, tmp_path / "out", workers=1, quiet=True).memory_advice == ""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "4096")
    made = export(data, tmp_path / "in", workers=1, memory="3686MiB", quiet=True)
    size = int(made.memory_advice.removeprefix("sbatch --mem=").removesuffix("M"))
    assert 200 < size < 2000
    again = {"memory": f"{size * 9 // 10}MiB", "force": True, "dry_run": True, "quiet": True}
    less = export(data, tmp_path / "in", workers=1, **again)
    assert {**less.plan, "memory of a task": ""} == {**made.plan, "memory of a task": ""}


def test_the_interface_of_the_site_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nope")
    with dask.config.set({"jobqueue.slurm.interface": "ib99"}):
        told = find_queue_problems(RunOptions(workers=1, jobs=JobOptions()), Path("out"))
        assert "no network interface 'ib99'" in told[1].what
        assert (
            len(
                find_queue_problems(
                    RunOptions(workers=1, jobs=JobOptions(interface="lo")), Path("out")
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
def test_an_invalid_setting_of_the_site_is_refused(name: str, value: object) -> None:
    with dask.config.set({f"jobqueue.slurm.{name}": value}):
        (told,) = (
            problem
            for problem in find_queue_problems(
                RunOptions(workers=1, jobs=JobOptions()), Path("out")
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
def test_directives_that_this_package_sets_are_refused(line: str, fix: str) -> None:
    options = JobOptions(directives=("--qos=long", line))
    told = find_queue_problems(RunOptions(workers=1, jobs=options), Path("out"))
    mine = [problem for problem in told if problem.where == "--directive"]
    assert [(problem.what, problem.fix) for problem in mine] == [
        (f"{line!r} is set by this command", fix)
    ]


def test_a_value_with_spaces_is_quoted_for_sbatch() -> None:
    text = job_text(jobs_for(directives=("--comment=two words", "--qos long", "-C a")))
    assert '#SBATCH --comment="two words"\n#SBATCH --qos long\n#SBATCH -C a\n' in text


@pytest.mark.parametrize("name", ["a\nb", 'a"b', "a\\b"])
def test_paths_that_a_batch_script_cannot_contain_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    run = RunOptions(workers=1, jobs=JobOptions())
    told = [(problem.where, problem.what) for problem in find_queue_problems(run, tmp_path / name)]
    what = f"{str(tmp_path / name)!r} has a quote, a backslash or a line break"
    assert ("--out", what) in told
    apart = RunOptions(workers=1, jobs=JobOptions(), scratch=tmp_path / name)
    told = [
        (problem.where, problem.what) for problem in find_queue_problems(apart, tmp_path / name)
    ]
    assert ("--scratch", what) in told
    assert ("--out", what) not in told


def test_variables_of_sbatch_do_not_change_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They win over what the script of a job says."""
    given = {"ACCOUNT": "lab", "PARTITION": "short", "QOS": "q", "ARRAY_INX": "1-2", "WAIT": "1"}
    for name, value in given.items():
        monkeypatch.setenv(f"SBATCH_{name}", value)
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    left = slurm_environment(JobOptions(partition="main"))
    assert {k: v for k, v in left.items() if k.startswith(("SBATCH", "SQUEUE"))} == {
        "SBATCH_ACCOUNT": "lab",
        "SBATCH_QOS": "q",
    }
    assert left["PATH"] == os.environ["PATH"]


def test_dask_jobqueue_can_be_imported_in_a_thread(tmp_path: Path) -> None:
    done = script_anew(
        "import threading\n"
        "from cellucid_dask.compute.queues.jobs import import_jobqueue\n"
        "found = []\n"
        "thread = threading.Thread(target=lambda: found.append(import_jobqueue().SLURMCluster))\n"
        "thread.start(), thread.join()\n"
        "assert found\n",
        tmp_path,
    )
    assert done.code == 0, done.err


def test_dask_jobqueue_keeps_its_defaults_after_temporary_settings(tmp_path: Path) -> None:
    """What dask_jobqueue brought as it was imported is still there when they are over."""
    done = script_anew(
        "import dask\n"
        "from cellucid_dask.compute.queues.jobs import import_jobqueue, site_setting\n"
        "with dask.config.set({'jobqueue.slurm.cores': 7}):\n"
        "    import_jobqueue()\n"
        "    assert site_setting('slurm', 'cores') == 7\n"
        "assert site_setting('slurm', 'cores') is None\n"
        "assert site_setting('slurm', 'job-extra-directives') == []\n",
        tmp_path,
    )
    assert done.code == 0, done.err


def test_dask_jobqueue_does_not_replace_the_handler_of_ctrl_c(tmp_path: Path) -> None:
    """Importing dask_jobqueue takes it over."""
    done = script_anew(
        "import signal\n"
        "from cellucid_dask.compute.queues.jobs import import_jobqueue\n"
        "mine = lambda *_: None\n"
        "signal.signal(signal.SIGINT, mine)\n"
        "import_jobqueue(), import_jobqueue()\n"
        "assert signal.getsignal(signal.SIGINT) is mine\n",
        tmp_path,
    )
    assert done.code == 0, done.err
    assert import_jobqueue().SLURMCluster
