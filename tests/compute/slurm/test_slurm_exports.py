"""Exports by SLURM jobs: what is submitted, what fails, and that nothing is left."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import stat
import urllib.request
from pathlib import Path

import dask
import pytest
from atlas import Outcome, tree
from forks import can_mount
from scenes import FACTS, PIECES, Launcher
from slurm_jobs import (
    PYTHON,
    Gate,
    assert_refused,
    begin,
    find_processes,
    job_script,
    live_jobs,
    make_folder,
    option,
    program,
    setup_lines,
    until,
    wait_for_jobs,
)
from slurm_local import PATIENCE, Slurm, call

from cellucid_dask.compute.queues.jobs import NANNY_BYTES

GiB = 1 << 30


def shake_hands(address: str, folder: Path, *, known: bool) -> None:
    """Speak to a scheduler; fails when it does not answer."""
    host, _, port = address.removeprefix("tls://").rpartition(":")
    context = ssl.create_default_context(cafile=folder / "ca_file.pem")
    context.check_hostname = False
    if known:
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with (
        socket.create_connection((host, int(port)), timeout=240) as raw,
        context.wrap_socket(raw) as connection,
    ):
        if not connection.recv(1):
            raise ConnectionResetError("closed")


def test_an_export_by_jobs_gives_the_same_bytes_and_leaves_nothing(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path, whole: dict[str, str]
) -> None:
    """What is asked for, what comes, who may speak to it, and what is left: nothing."""
    gate = Gate(tmp_path / "gate")
    place = make_folder(tmp_path / "it's a place of 100%d")
    scratch, node = make_folder(place / "scratch %j"), make_folder(tmp_path / "disk of the node")
    words = ["export", data, "-o", place / "out %x", *FACTS, "--slurm", "--workers", 3]
    words += ["--job-cores", 2, "--job-memory", "1GB", "--scratch", scratch, "--interface", "lo"]
    words += ["--performance-report", "report of %s.html", "--slurm-directive=--comment=test"]
    lines = setup_lines(PYTHONPATH=gate.folder, TMPDIR=node)
    started = launcher.start(*words, cwd=place, first=lines)
    assert started.until(gate.reached), started.said

    jobs = live_jobs(place)
    assert len(jobs) == 2
    script, details = job_script(jobs[0]), slurm.details(jobs[0])
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
    with urllib.request.urlopen(link[1], timeout=240) as answer:
        assert answer.status == 200

    gate.open()
    assert started.wait() == 0, started.said
    assert live_jobs(place) == []
    assert tree(place / "out %x") == whole
    assert {path.name for path in place.iterdir()} == {"out %x", scratch.name, "report of %s.html"}
    assert tree(scratch) == {}
    report = (place / "report of %s.html").read_text()
    assert "bokeh" in report.lower()
    assert "asks for 4 workers in 2 SLURM jobs of 1.0 GB" in started.said


def test_ready_files_by_jobs_have_the_same_bytes(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path
) -> None:
    trees = []
    for name, more in (("jobs", ("--slurm", "--interface", "lo")), ("threads", ())):
        place = make_folder(tmp_path / name)
        words = ["export", data, "-o", place / "out", "--format", "zarr,h5ad", "--workers", 2]
        started = launcher.start(*words, *more, cwd=place, first=setup_lines())
        assert started.wait() == 0, started.said
        trees.append(tree(place))
    assert trees[0] == trees[1]
    assert {path.split("/")[0] for path in trees[0]} >= {"out.zarr", "out.h5ad"}


def check_workers(address: str, folder: Path, node: Path) -> None:
    """Workers of one thread each, with a limit, on the disk of their node."""
    from distributed import Client
    from distributed.security import Security

    own = {"tls_client_cert": str(folder / "cert.pem"), "tls_client_key": str(folder / "key.pem")}
    security = Security(tls_ca_file=str(folder / "ca_file.pem"), require_encryption=True, **own)
    with Client(address, security=security, set_as_default=False) as client:
        client.wait_for_workers(4, timeout=PATIENCE)
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


def test_jobs_follow_the_site_and_the_options_and_are_cancelled(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path
) -> None:
    """Its jobs are held, so they are pending when it is stopped: none is left."""
    logs, config = tmp_path / "logs of jobs", make_folder(tmp_path / "config")
    (config / "jobqueue.yaml").write_text(SITE.format(logs=logs, node=tmp_path / "node"))
    site = f"import dask\ndask.config.refresh(paths=[{str(config)!r}])\n"
    places = [make_folder(tmp_path / name) for name in ("site", "options", "killed")]
    options = ["--partition", "main", "--account", "other", "--time", "1-2", "--job-cores", 1]
    options += ["--slurm-directive=--comment=hello", "--max-jobs", 2]
    more = ((), None), (options, "1GB"), (["--job-cores", 4], "16GB")
    began = [
        begin(launcher, place, data, *words, workers=4, first=site, memory=memory)
        for place, (words, memory) in zip(places, more, strict=True)
    ]
    held = [wait_for_jobs(place, count) for place, count in zip(places, (2, 2, 1), strict=True)]

    of_site, of_options, of_large = (slurm.details(jobs[0]) for jobs in held)
    assert (of_site["Partition"], of_site["TimeLimit"]) == ("preempt", "00:07:00")
    assert (of_site["Account"], of_site["NumCPUs"]) == ("lab", "2")
    assert of_site["MinMemoryNode"] == "1.50G"
    text = job_script(held[0][0])
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
        text = job_script(jobs[0])
        workers = int(option(text, "--nworkers")) if "--nworkers" in text else 1
        limit = dask.utils.parse_bytes(option(text, "--memory-limit"))
        assert limit * workers + NANNY_BYTES <= memory

    for one in began:
        assert one.until(lambda one=one: "pending (JobHeldUser)" in one.said), one.said
    for one, number in zip(began, (signal.SIGINT, signal.SIGTERM, signal.SIGKILL), strict=True):
        one.signal(number)
    assert [one.wait() for one in began] == [130, 143, -signal.SIGKILL]
    until(lambda: not live_jobs(tmp_path), "all jobs are cancelled")
    for one in began:
        assert "Traceback" not in one.said


SILENT = """
mkdir "$0-once" 2>/dev/null || exec {squeue} "$@"
echo "slurm_load_jobs error: Unable to contact slurm controller" >&2
exit 1
"""


def test_a_pending_job_is_reported_and_a_killed_command_leaves_no_job(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path
) -> None:
    gate, place = Gate(tmp_path / "gate"), make_folder(tmp_path / "place")
    most = int(call("sinfo", "-h", "-p", "main", "-o", "%m")) * 6 // 10
    held = ["--parsable", f"--mem={most}M", "--time=20", "--output=/dev/null", "--wrap=sleep 600"]
    holder = call("sbatch", *held).strip()
    try:
        slurm.wait(holder, ["RUNNING"])
        program(tmp_path / "bin" / "squeue", SILENT.format(squeue=shutil.which("squeue")))
        path = f"{tmp_path}/bin:{os.environ['PATH']}"
        never = {"death-timeout": 3600}  # workers do not end by themselves while the test waits
        lines = setup_lines(never, PYTHONPATH=gate.folder, PATH=path)
        started = begin(launcher, place, data, first=lines, memory=f"{most}MiB")
        # Other jobs may wait as well, before this one.
        told = r"0 of 1 workers are there; jobs: 1 pending \((Resources|Priority)\)"
        assert started.until(lambda: bool(re.search(told, started.said))), started.said
        assert "squeue does not answer (slurm_load_jobs error: Unable" in started.said
        assert not gate.reached()
    finally:
        slurm.cancel(holder)
    assert started.until(gate.reached), started.said
    (nanny,) = find_processes(f"{place}/.out")
    workers = [nanny, *nanny.children(recursive=True)]
    assert len(workers) >= 2

    started.signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    until(lambda: not live_jobs(place), "its jobs are cancelled")
    until(lambda: not any(worker.is_running() for worker in workers), "its workers end")


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


def test_jobs_that_sbatch_refuses(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path, whole: dict[str, str]
) -> None:
    """Before anything is written; the jobs themselves; all but the first, which does the work.

    That one dies when it is looked at, and is started again.
    """
    places = [make_folder(tmp_path / name) for name in ("check", "all", "all but one", "small")]
    none = setup_lines(PATH=refusing(tmp_path / "none"))
    path, dies = refusing(tmp_path / "one", "1"), make_folder(tmp_path / "dies")
    (dies / "sitecustomize.py").write_text(DIES.format(once=str(dies / "once")))
    one = setup_lines(PATH=path, PYTHONPATH=dies)
    more = (("--partition", "nope", "--memory", "3GB"), (), (), ("--job-memory", "100MB"))
    check, alone, working, small = (
        begin(launcher, place, data, *words, workers=3, first=lines)
        for place, words, lines in zip(places, more, ("", none, one, ""), strict=True)
    )
    assert_refused(
        Outcome(check.wait(), "", check.said), places[0], "sbatch refuses such a job", "nope"
    )
    assert_refused(Outcome(small.wait(), "", small.said), places[3], "--job-memory: is too little")

    assert alone.wait() == 2
    assert "sbatch refused the job (Batch job submission failed: Job violates" in alone.said
    assert "Traceback" not in alone.said
    assert live_jobs(places[1]) == []

    assert working.wait() == 0, working.said
    assert (dies / "once").exists()
    assert tree(places[2] / "out") == whole
    assert live_jobs(places[2]) == []


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


def test_unexpected_answers_of_slurm_do_not_stop_the_export(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path, whole: dict[str, str]
) -> None:
    """More words than expected; an answer that is lost; an empty one; none. The work is done."""
    kinds = {"banner": "sbatch", "lossy": "sbatch", "stale": "squeue", "hangs": "scancel"}
    texts = {"banner": BANNER, "lossy": LOSSY, "stale": STALE, "hangs": HANGS}
    began = {}
    for kind, name in kinds.items():
        text = texts[kind].format(real=shutil.which(name), once=tmp_path / f"once-{kind}")
        folder = program(tmp_path / "programs" / kind / name, text).parent
        lines = setup_lines(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
        lines += "from cellucid_dask.compute.queues import programs\nprograms.ANSWER_SECONDS = 3\n"
        delay = ("--slurm-directive", "--begin=now+4") if kind == "stale" else ()
        began[kind] = begin(launcher, make_folder(tmp_path / kind), data, *delay, first=lines)
    for kind, started in began.items():
        assert started.wait() == 0, (kind, started.said)
        assert tree(tmp_path / kind / "out") == whole, kind
        assert "asks for another in its place" not in started.said, kind
        assert live_jobs(tmp_path / kind) == [], kind
    assert "sbatch refuses more jobs for now (Batch job submission" in began["lossy"].said


def test_unsuitable_workers_end_the_run_with_the_reason(
    slurm: Slurm, launcher: Launcher, tmp_path: Path, data: Path
) -> None:
    """All at once, since they mostly wait."""
    other = make_folder(tmp_path / "other" / "cellucid_dask-9.9.dist-info")
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
        places[kind] = make_folder(tmp_path / f"{kind} 100%j")
        python = program(tmp_path / "programs" / kind.replace(" ", "-"), text)
        config = {"python": str(python), "death-timeout": 5 if kind == "no network" else 60}
        workers = 2 if kind == "later another version" else 1
        lines = setup_lines(config) + PIECES.format(nnz=60, block=256)  # tasks for both
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
        code = started.wait()
        print(kind, started.said, sep="\n")
        assert code == 2, kind
        assert told[kind] in started.said, kind
        assert "Traceback" not in started.said, kind
        assert live_jobs(places[kind]) == [], kind
