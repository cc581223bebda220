"""Jobs of queues that are not installed here: their scripts, what is refused, and a run of each.

The queues of the runs are small programs with the names and answers of the real ones. They start
the script of a job as the queue would, so that workers come, work and are cancelled.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from atlas import Outcome, atlas, here, save, tree
from scenes import FACTS, NAMES
from slurm_jobs import assert_refused, find_processes, program, until

from cellucid_dask import export
from cellucid_dask.compute.cluster import StartContext
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.queues import job_watch, workers
from cellucid_dask.compute.queues.jobs import plan_jobs
from cellucid_dask.compute.queues.programs import ProgramError, Programs
from cellucid_dask.compute.queues.settings import job_settings
from cellucid_dask.compute.queues.workers import job_class, name_jobs
from cellucid_dask.errors import OptionError
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.queues import QUEUES
from cellucid_dask.options.run import RunOptions

OTHERS = [name for name in QUEUES if name != "slurm"]
GIVEN: dict[str, dict[str, Any]] = {  # what a user says, in the words that all queues share
    name: {"account": "lab", "job_memory": "8GiB", "job_cores": 4, "setup": ("module load x",)}
    for name in OTHERS
}
for _name in ("pbs", "lsf", "sge"):
    GIVEN[_name] |= {"partition": "long", "time": "1-2:30"}
GIVEN["pbs"]["directives"] = ("-l place=scatter",)
GIVEN["lsf"]["directives"] = ("-R select[type==any]",)
GIVEN["sge"] |= {"parallel_environment": "smp", "memory_resource": "h_vmem"}
GIVEN["htcondor"] |= {"directives": ('requirements = (Arch == "X86_64")',), "job_disk": "2GB"}
# The lines by which the queue reads it, and none of their names twice.
LINES = {
    "pbs": [
        "#PBS -N cellu-0a1b2c3d",
        "#PBS -q long",
        "#PBS -A lab",
        "#PBS -l select=1:ncpus=4:mem=8192mb",
        "#PBS -l walltime=26:30:00",
        "#PBS -e {folder}/",
        "#PBS -o {folder}/",
        "#PBS -l place=scatter",
    ],
    "lsf": [
        "#BSUB -J cellucid-dask-0a1b2c3d",
        "#BSUB -e {folder}/x-0-%J.err",
        "#BSUB -o {folder}/x-0-%J.out",
        "#BSUB -q long",
        '#BSUB -P "lab"',
        "#BSUB -n 4",
        '#BSUB -R "span[hosts=1]"',
        "#BSUB -M 8589935",
        "#BSUB -W 26:30",
        "#BSUB -R select[type==any]",
    ],
    "sge": [
        "#$ -N cellucid-dask-0a1b2c3d",
        "#$ -q long",
        "#$ -P lab",
        "#$ -l h_vmem=2048M",
        "#$ -l h_rt=26:30:00",
        "#$ -e {folder}/",
        "#$ -o {folder}/",
        "#$ -cwd",
        "#$ -j y",
        "#$ -S /bin/bash",
        "#$ -pe smp 4",
    ],
    "htcondor": [
        "batch_name = cellucid-dask-0a1b2c3d",
        "RequestCpus = 4",
        "RequestMemory = 8192",
        "MY.DaskWorkerDisk = 2000000000",
        "RequestDisk = floor(MY.DaskWorkerDisk / 1024)",
        "accounting_group = lab",
        'requirements = (Arch == "X86_64")',
        "LogDirectory = {folder}",
        "Executable = /bin/bash",
        "Queue",
    ],
}


def job_text(cluster: str, folder: Path, workers: int = 2, **given: Any) -> str:
    """Script of a job, as it is submitted."""
    jobs = plan_jobs(RunOptions(workers=workers, jobs=JobOptions(cluster=cluster, **given)))
    settings = job_settings(jobs, name_jobs(jobs, folder), folder)
    made = job_class(jobs, str(folder), Programs({}))("tls://10.0.0.1:1", "x-0", **settings)
    return str(made.job_script())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a run; its number is that in the name of the jobs."""
    return tmp_path / "scratch-0a1b2c3d"


@pytest.mark.parametrize("cluster", OTHERS)
def test_each_queue_reads_the_same_options_in_its_own_words(cluster: str, folder: Path) -> None:
    text = job_text(cluster, folder, 8, **GIVEN[cluster])
    lines = text.splitlines()
    wanted = [line.format(folder=folder) for line in LINES[cluster]]
    header = [line for line in lines if line.startswith(("#PBS", "#BSUB", "#$ "))]
    if cluster == "htcondor":
        assert set(wanted) <= set(lines)
        assert lines.count("Queue") == sum(line.startswith("RequestMemory") for line in lines) == 1
    else:
        assert header == wanted
    # Setup, then the environment, then the workers: four of one thread, with what the nanny leaves.
    assert text.index("module load x") < text.index("export OMP_NUM_THREADS=1")
    command = text[text.index("-m distributed.cli.dask_worker") :]
    assert "--nthreads 1 --memory-limit 2009MiB --nworkers 4" in command
    assert "--preload cellucid_dask.compute.preload" in command


def test_a_queue_that_is_told_nothing_is_asked_for_nothing_but_the_size(folder: Path) -> None:
    for cluster in OTHERS:
        text = job_text(cluster, folder)
        for word in ("-q ", "-A ", "-P ", "-pe ", "accounting_group", "place="):
            assert f" {word}" not in text.partition("dask_worker")[0], (cluster, word)
    assert "select=1:ncpus=1:mem=4096mb" in job_text("pbs", folder)
    assert "#BSUB -W 0:05" in job_text("lsf", folder, time="4:30")
    assert "walltime=0:04:30" in job_text("pbs", folder, time="4:30")


def test_every_option_that_a_queue_lacks_is_named(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, with problems of the data, before anything is written."""
    data = save(atlas(), tmp_path / "a.h5ad")
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", "/nope")
    words = ["export", data, "-o", "out", "--cluster", "htcondor", "--queue", "q", "--time", "1:00"]
    words += ["--memory-resource", "h_vmem", "--parallel-environment", "smp", "--directive", "x"]
    outcome = here(capfd, *words, "--job-disk", "much", "--latent-key", "X_nope")
    told = ["--partition: HTCondor has no such setting", "--time: HTCondor has no such setting"]
    told += ["--memory-resource: is a setting of SGE", "--parallel-environment: is a setting of"]
    told += ["--directive: 'x' is not a line for condor_submit", "--job-disk: 'much' is not a size"]
    told += ["--cluster htcondor: does not say how many workers", "X_nope"]
    assert_refused(outcome, place, *told, "there is no condor_submit on the PATH")
    outcome = here(capfd, "export", data, "-o", "out", "--cluster", "pbs", "--slurm")
    assert_refused(outcome, place, "--slurm and --cluster pbs cannot both be given")
    outcome = here(capfd, "export", data, "-o", "out", "--cluster", "pbz", "--workers", 2)
    assert_refused(outcome, place, "--cluster: 'pbz' is no batch queue", "pbs")
    with pytest.raises(OptionError, match="is a setting of HTCondor"):
        JobOptions(job_disk="1GB")


@pytest.mark.parametrize(
    ("cluster", "line", "fix"),
    [
        ("pbs", "-N mine", "leave it out"),
        ("pbs", "-q long", "use --partition"),
        ("lsf", "-W 10", "use --time"),
        ("sge", "-pe smp 2", "use --parallel-environment"),
        ("htcondor", "RequestMemory = 5", "use --job-memory"),
        ("htcondor", "batch_name=x", "leave it out"),
    ],
)
def test_lines_that_this_package_writes_are_refused(
    tmp_path: Path, cluster: str, line: str, fix: str
) -> None:
    with pytest.raises(Exception, match="is set by this call") as told:
        export(atlas(), tmp_path / "out", cluster=cluster, workers=2, directives=[line], quiet=True)
    assert fix.replace("--", "").replace("-", "_") in str(told.value).replace("-", "_")


# ------------------------------------------------------------------- a run of each queue

# What each says when it takes a job; a job is a session of its own, and its number is that.
COPY = "script=$(mktemp); cat ${1-} >$script;"  # as a queue does: the file is removed soon
START = 'setsid bash "$script" >/dev/null 2>&1 & '
TAKES = {
    "pbs": {"qsub": f"{COPY} {START} echo $!.pbs", "qdel": "", "qselect": ""},
    "lsf": {
        "bsub": f"{COPY} {START} echo Job '<'$!'>' is submitted",
        "bkill": "",
    },
    "sge": {"qsub": f"{COPY} {START} echo Your job $! has been submitted", "qdel": ""},
    "htcondor": {
        "condor_submit": f"""{COPY}
            sed -n 's/^Arguments = "\\(.*\\)"$/\\1/p' $script >$script.words
            python3 - $script.words >$script <<'END'
import shlex, sys
text = open(sys.argv[1]).read().strip().replace('""', '"')
words = text.removeprefix("-c '").removesuffix("'").replace("''", "'")
print(words)
END
            {START} echo "1 job(s) submitted to cluster $!." """,
        "condor_rm": "",
    },
}
KILL = 'for job; do [[ $job =~ ^[1-9] ]] && kill -- -"${job%%.*}"; done 2>/dev/null'


def install(cluster: str, place: Path, patch: pytest.MonkeyPatch) -> None:
    """Put the programs of a queue into the PATH, and make `place` the current folder."""
    place.mkdir()
    texts = {name: text or KILL for name, text in TAKES[cluster].items()}
    for name, text in texts.items():
        program(place / "programs" / name, text)
    patch.setenv("PATH", f"{place}/programs:{os.environ['PATH']}")
    patch.setenv("TMPDIR", str(place))
    patch.chdir(place)


def run(data: Path, cluster: str, capfd: Any, *more: object) -> Outcome:
    words = ["export", data, "-o", "out", "--cluster", cluster, "--workers", 2, *FACTS]
    return here(capfd, *words, "--job-memory", "1GiB", "--interface", "lo", *more)


@pytest.mark.parametrize(
    "cluster", ["pbs"] if "CELLUCID_TEST_EVERY_QUEUE" not in os.environ else OTHERS
)
def test_an_export_by_jobs_makes_the_same_bytes(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch, cluster: str
) -> None:
    data = save(atlas(), tmp_path / "a.h5ad")
    export(data, tmp_path / "plain/out", quiet=True, workers=1, **NAMES)
    place = tmp_path / "place"
    install(cluster, place, monkeypatch)
    outcome = run(data, cluster, capfd, "--report", "report.json")
    assert outcome.code == 0, outcome.err
    assert f"2 workers in 2 {QUEUES[cluster].title} jobs" in outcome.err
    assert tree(place / "out") == tree(tmp_path / "plain/out")
    # Each worker that did something told its memory; jobs of the size that it suggests make the
    # same plan.
    report = json.loads((place / "report.json").read_text())
    peaks, advice = report["worker_peaks"], report["memory_advice"]
    assert {name.rpartition("-")[2] for name in peaks} <= {"0", "1"}
    assert all(10**8 < peak < 10**9 for peak in peaks.values()), peaks
    assert f"; next time {advice} is enough\n" in outcome.out
    again = run(data, cluster, capfd, "--force", "--dry-run", *advice.split())
    parts = ("row chunks", "gene blocks", "tasks")
    assert all(
        f"{part}  {report['plan'][part]}" in again.out for part in parts if part in report["plan"]
    )
    until(lambda: not find_processes(str(place)), "all workers have ended")


def test_a_job_that_the_queue_refuses_ends_the_run(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = save(atlas(), tmp_path / "a.h5ad")
    monkeypatch.setitem(TAKES["lsf"], "bsub", "echo 'bsub: queue <q> is closed' >&2; exit 255")
    place = tmp_path / "place"
    install("lsf", place, monkeypatch)
    outcome = run(data, "lsf", capfd, "--queue", "q")
    assert outcome.code == 2, outcome.err
    assert "--cluster lsf: bsub refused the job (queue <q> is closed)" in outcome.err
    assert "bjobs lists those that wait" in outcome.err
    assert not (place / "out").exists()


# What each says when 12 and 34 have not ended, and when none is left.
LISTS = {
    "pbs": ("[ $2 = n ] && printf '12.pbs\n34.pbs\n'", "true"),
    "lsf": (
        "printf 'JOBID USER STAT\n12    me   RUN\n34    me   PEND\n'",
        "echo 'Job <n> is not found' >&2; exit 255",
    ),
    "sge": ("printf 'job-ID prior\n-----\n     12 0.5 n\n     34 0.5 n\n'", "true"),
    "htcondor": ("printf '12\n34\n'", "true"),
}


@pytest.mark.parametrize("cluster", OTHERS)
def test_the_list_of_a_queue_is_read(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, (some, none) = QUEUES[cluster], LISTS[cluster]
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def listed(text: str) -> set[str]:
        program(tmp_path / queue.unfinished[0], text)
        return asyncio.run(job_watch.list_jobs(queue, "n", Programs(os.environ)))

    assert listed(some) == {"12", "34"}
    assert listed(none) == set()
    with pytest.raises(ProgramError, match="no answer"):
        listed("echo 'no answer' >&2; exit 1")


def test_jobs_that_die_before_their_workers_come_end_the_run(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node lacks the Python; dask alone would wait for ever."""
    data = save(atlas(), tmp_path / "a.h5ad")
    log = "$(sed -n 's/^#PBS -o //p' $1)cellu.o$$"
    says = f"echo 'bash: /env/python: No such file or directory' >{log}; echo $$.pbs"
    for name, text in {"qsub": says, "qselect": "true"}.items():
        monkeypatch.setitem(TAKES["pbs"], name, text)
    for name in ("LIST_SECONDS", "GONE_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(job_watch, name, 0.1)
    place = tmp_path / "place"
    install("pbs", place, monkeypatch)
    outcome = run(data, "pbs", capfd)
    assert outcome.code == 2, outcome.err
    assert "has ended before its worker came; the last line of its output: bash: " in outcome.err
    assert "--cluster pbs: 3 jobs ended before their workers came; the last line" in outcome.err
    assert "/env/python: No such file" in outcome.err
    assert not (place / "out").exists()


def test_refused_and_lost_jobs_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue refuses the second job once."""
    monkeypatch.setattr(workers, "LOST_WORKER_TIMEOUT", "1s")
    monkeypatch.setattr(job_watch, "RETRY_SECONDS", 1)
    once = "mkdir $0-1 2>/dev/null || { mkdir $0-2 2>/dev/null && { echo full >&2; exit 1; }; };"
    monkeypatch.setitem(TAKES["sge"], "qsub", f"{once} {TAKES['sge']['qsub']}")
    place = tmp_path / "place"
    install("sge", place, monkeypatch)
    options = JobOptions(cluster="sge", job_memory="1GiB", interface="lo")
    jobs = plan_jobs(RunOptions(workers=2, jobs=options))
    with ExitStack() as stack:
        context = StartContext(place, Reporter(quiet=True), stack, Future())
        client = workers.submit_workers(jobs, context)
        client.wait_for_workers(2, timeout=240)
        first = client.run(os.getpid)
        os.killpg(os.getpgid(next(iter(first.values()))), signal.SIGKILL)
        until(lambda: client.nthreads().keys() - first.keys(), "another worker comes")
    assert (place / "programs/qsub-2").exists()
    until(lambda: not find_processes(str(place)), "all workers have ended")
