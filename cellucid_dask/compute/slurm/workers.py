"""Workers as SLURM jobs: submitted, watched, replaced, and cancelled on any exit.

dask-jobqueue submits the jobs, and the cluster of dask keeps a list of them. Neither sees a job
that dies before its worker connects, or a job that ``sbatch`` refuses: `QueueWatch` compares the
list with the queue.
"""

from __future__ import annotations

import logging
import os
import resource
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cellucid_dask.compute.cluster import Failure, StartContext
from cellucid_dask.compute.local_cluster import closing_cluster
from cellucid_dask.compute.machine import MiB
from cellucid_dask.compute.slurm.jobs import (
    WorkerJobs,
    import_jobqueue,
    job_settings,
    log_pattern,
    site_setting,
)
from cellucid_dask.compute.slurm.queue_watch import QueueWatch
from cellucid_dask.compute.slurm.sbatch import (
    ProgramError,
    Programs,
    join_lines,
    run_program,
    slurm_environment,
)
from cellucid_dask.errors import EngineError

LOST_WORKER_TIMEOUT = "120s"  # to wait for a lost worker whose job still runs
ALLOWED_DEATHS = 10  # of workers for one task; jobs may end at any moment, so more than usual


def submit_workers(jobs: WorkerJobs, context: StartContext) -> Any:
    """Submit the jobs of the workers, and wait for the first worker.

    Parameters
    ----------
    context
        Its folder names the jobs, and holds their logs.

    Returns
    -------
    Client of their scheduler, which is in this process.

    Raises
    ------
    EngineError
        When no worker can come.
    """
    import dask
    from distributed import Client

    folder, stack, reporter = context.folder, context.stack, context.reporter
    name = f"cellucid-dask-{folder.name.rpartition('-')[2]}"
    dask_settings = {
        "distributed.deploy.lost-worker-timeout": LOST_WORKER_TIMEOUT,
        "distributed.scheduler.allowed-failures": ALLOWED_DEATHS,
        "distributed.comm.timeouts.connect": "30s",
    }
    stack.enter_context(dask.config.set(dask_settings))
    log, variables = log_pattern(folder), slurm_environment(jobs.options)
    programs = Programs(variables)
    stack.enter_context(_cancel_jobs(name, variables))
    _raise_file_limit()
    cluster = _start_scheduler(jobs, folder, name, log, programs)
    stack.enter_context(closing_cluster(cluster))
    client = stack.enter_context(Client(cluster, set_as_default=False))
    has_dashboard = (site_setting("scheduler-options") or {}).get("dashboard", True)
    link = f"; dashboard: {cluster.dashboard_link}" if has_dashboard else ""
    reporter.say(f"asks for {jobs}{link}")
    _submit_jobs(cluster, jobs)
    watch = QueueWatch(
        cluster, jobs, name, log, programs=programs, reporter=reporter, failure=context.failure
    )
    stack.callback(watch.stop)
    cluster.loop.add_callback(watch.run)
    _wait_for_first(client, context.failure)
    return client


def _start_scheduler(
    jobs: WorkerJobs, folder: Path, name: str, log: str, programs: Programs
) -> Any:
    """Start the scheduler without jobs; parameters as of `job_settings`."""
    try:
        return import_jobqueue().SLURMCluster(
            job_cls=_job_class(str(folder), programs),
            scheduler_options={
                "dashboard_address": ":0",
                **(site_setting("scheduler-options") or {}),
            },
            security=_make_certificates(folder),
            silence_logs=logging.CRITICAL,
            name=name,
            **job_settings(jobs, name, log),
        )
    except (RuntimeError, ValueError, OSError) as error:
        fix = "see --interface, and scheduler-options in dask's configuration"
        raise EngineError(
            f"the scheduler cannot be started here ({error})", where="--slurm", fix=fix
        ) from error


def _submit_jobs(cluster: Any, jobs: WorkerJobs) -> None:
    if jobs.options.adaptive:
        cluster.adapt(
            minimum_jobs=1,
            maximum_jobs=jobs.number,
            interval="2s",
            worker_key=jobs.job_of if jobs.workers > 1 else None,
        )
    else:
        cluster.scale(jobs=jobs.number)


def _raise_file_limit() -> None:
    """Allow this process as many open files as the machine does: connections and programs."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _wait_for_first(client: Any, failure: Failure) -> None:
    while not client.nthreads():
        with suppress(TimeoutError):
            failure.result(timeout=0.2)


def _make_certificates(folder: Path) -> Any:
    """Write certificates for this run alone, in files that only this user can read.

    Without them, everybody on the network of the cluster could run programs as this user.
    """
    from distributed.security import Security

    temporary = Security.temporary()
    parts = {
        "ca_file": temporary.tls_ca_file,
        "cert": temporary.tls_worker_cert,
        "key": temporary.tls_worker_key,
    }
    paths = {}
    for name, text in parts.items():
        paths[name] = str(folder / f"{name}.pem")
        with open(paths[name], "w", opener=_open_private) as file:
            file.write(text)
    roles = ("scheduler", "worker", "client")
    pairs = {f"tls_{role}_{name}": paths[name] for role in roles for name in ("cert", "key")}
    return Security(require_encryption=True, tls_ca_file=paths["ca_file"], **pairs)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _job_class(folder: str, programs: Programs) -> type[Any]:
    """Return the class of the jobs; their command contains paths in `folder`."""
    from dask_jobqueue.slurm import SLURMJob
    from distributed.core import Status

    class Job(SLURMJob):  # type: ignore[misc]
        """A job that keeps the message with which sbatch refused it; its base only logs it."""

        refused = ""
        job_id_regexp = r"Submitted batch job (?P<job_id>\d+)"
        _command_template: str

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._command_template = self._command_template.replace(folder, shlex.quote(folder))

        @property
        def worker_process_memory(self) -> str:
            """Memory limit of a worker; its base rounds it, a terabyte to gigabytes."""
            return f"{self.worker_memory // self.worker_processes // MiB}MiB"

        async def start(self) -> None:
            try:
                await super().start()
            except (ProgramError, ValueError, OSError) as error:
                self.refused = join_lines(str(error))
                self.status = Status.running  # else the cluster would raise

        async def close(self) -> None:
            with suppress(ProgramError):
                await super().close()
            self.status = Status.closed

        @staticmethod
        async def _call(cmd: list[str], **_: Any) -> str:
            return await programs.ask(*cmd)

    return Job


# --------------------------------------------------------------------------- cancel all jobs


@contextmanager
def _cancel_jobs(name: str, variables: dict[str, str]) -> Iterator[None]:
    """Cancel the jobs of this name when the block ends, also when this process is killed.

    Parameters
    ----------
    variables
        Environment of scancel.
    """
    cancel = ["scancel", "--quiet", f"--name={name}", f"--user={os.getuid()}"]
    # A shell waits for the end of this process, which closes its input. It cancels several times:
    # a submission may be on its way, or SLURM may not answer.
    retries = f"for i in 0 1 2 5 10 20 30 60; do sleep $i; {' '.join(cancel)}; done"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", f'trap "" INT TERM HUP; read -r line || {{ {retries}; }}'],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        bufsize=0,
        env=variables,
    )
    assert shell.stdin is not None
    try:
        yield
    finally:
        with suppress(ProgramError, OSError):  # then the shell retries
            run_program(*cancel, env=variables)
            shell.stdin.write(b"done\n")
        shell.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            shell.wait(1)
