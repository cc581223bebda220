"""Workers as jobs of SLURM: submitted, watched, replaced, and cancelled on any exit.

dask-jobqueue submits the jobs and dask's cluster keeps the list of them. What neither sees is a
job that dies before its worker has come, and one that ``sbatch`` refuses: `Watch` compares the
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
from cellucid_dask.compute.slurm.jobs import WorkerJobs, jobqueue, log_pattern, settings, site
from cellucid_dask.compute.slurm.queue_watch import Watch
from cellucid_dask.compute.slurm.sbatch import (
    ProgramError,
    Programs,
    ask_now,
    environment,
    said,
)
from cellucid_dask.errors import EngineError

LOST_SECONDS = "120s"  # after which a worker that is gone is not waited for, though its job runs
DEATHS = 10  # of workers at one task: their jobs may end at any moment, so more than usual


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
    configured = {
        "distributed.deploy.lost-worker-timeout": LOST_SECONDS,
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.comm.timeouts.connect": "30s",
    }
    stack.enter_context(dask.config.set(configured))
    log, variables = log_pattern(folder), environment(jobs.options)
    programs = Programs(variables)
    stack.enter_context(_cancelled(name, variables))
    _more_files()
    cluster = _cluster(jobs, folder, name, log, programs)
    stack.enter_context(closing_cluster(cluster))
    client = stack.enter_context(Client(cluster, set_as_default=False))
    shown = (site("scheduler-options") or {}).get("dashboard", True)
    link = f"; dashboard: {cluster.dashboard_link}" if shown else ""
    reporter.say(f"asks for {jobs}{link}")
    _ask_for_jobs(cluster, jobs)
    watch = Watch(
        cluster, jobs, name, log, programs=programs, reporter=reporter, failure=context.failure
    )
    stack.callback(watch.stop)
    cluster.loop.add_callback(watch.run)
    _wait_for_first(client, context.failure)
    return client


def _cluster(jobs: WorkerJobs, folder: Path, name: str, log: str, programs: Programs) -> Any:
    """Start the scheduler, with no jobs yet; parameters as of `settings`."""
    try:
        return jobqueue().SLURMCluster(
            job_cls=_job_class(str(folder), programs),
            scheduler_options={"dashboard_address": ":0", **(site("scheduler-options") or {})},
            security=_security(folder),
            silence_logs=logging.CRITICAL,
            name=name,
            **settings(jobs, name, log),
        )
    except (RuntimeError, ValueError, OSError) as error:
        fix = "see --interface, and scheduler-options in dask's configuration"
        raise EngineError(
            f"the scheduler cannot be started here ({error})", where="--slurm", fix=fix
        ) from error


def _ask_for_jobs(cluster: Any, jobs: WorkerJobs) -> None:
    if jobs.options.adaptive:
        cluster.adapt(
            minimum_jobs=1,
            maximum_jobs=jobs.number,
            interval="2s",
            worker_key=jobs.job_of if jobs.workers > 1 else None,
        )
    else:
        cluster.scale(jobs=jobs.number)


def _more_files() -> None:
    """Let this process have as many connections and programs as the machine allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _wait_for_first(client: Any, failure: Failure) -> None:
    while not client.nthreads():
        with suppress(TimeoutError):
            failure.result(timeout=0.2)


def _security(folder: Path) -> Any:
    """Certificates for this run alone, in files that only this user reads.

    Without them, whoever is on the network of the cluster could run programs as this user.
    """
    from distributed.security import Security

    made = Security.temporary()
    parts = {"ca_file": made.tls_ca_file, "cert": made.tls_worker_cert, "key": made.tls_worker_key}
    paths = {}
    for name, text in parts.items():
        paths[name] = str(folder / f"{name}.pem")
        with open(paths[name], "w", opener=_private) as file:
            file.write(text)
    roles = ("scheduler", "worker", "client")
    pairs = {f"tls_{role}_{name}": paths[name] for role in roles for name in ("cert", "key")}
    return Security(require_encryption=True, tls_ca_file=paths["ca_file"], **pairs)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _job_class(folder: str, programs: Programs) -> type[Any]:
    """Class of the jobs; their command names files in `folder`."""
    from dask_jobqueue.slurm import SLURMJob
    from distributed.core import Status

    class Job(SLURMJob):  # type: ignore[misc]
        """A job that keeps what sbatch said against it, where its base only logs it."""

        refused = ""
        job_id_regexp = r"Submitted batch job (?P<job_id>\d+)"
        _command_template: str

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._command_template = self._command_template.replace(folder, shlex.quote(folder))

        @property
        def worker_process_memory(self) -> str:
            """Memory limit of a worker; its base rounds it, by gigabytes where it is a terabyte."""
            return f"{self.worker_memory // self.worker_processes // MiB}MiB"

        async def start(self) -> None:
            try:
                await super().start()
            except (ProgramError, ValueError, OSError) as error:
                self.refused = said(str(error))
                self.status = Status.running  # as far as the cluster is concerned

        async def close(self) -> None:
            with suppress(ProgramError):
                await super().close()
            self.status = Status.closed

        @staticmethod
        async def _call(cmd: list[str], **_: Any) -> str:
            return await programs.ask(*cmd)

    return Job


# --------------------------------------------------------------------------- the end of all jobs


@contextmanager
def _cancelled(name: str, variables: dict[str, str]) -> Iterator[None]:
    """Cancel the jobs of this name when the block ends, and also when this process is killed.

    Parameters
    ----------
    variables
        Environment of scancel.
    """
    cancel = ["scancel", "--quiet", f"--name={name}", f"--user={os.getuid()}"]
    # A shell that waits for the end of this process, by the end of its input. It cancels again and
    # again: a job may just be on its way, or SLURM not answer.
    again = f"for i in 0 1 2 5 10 20 30 60; do sleep $i; {' '.join(cancel)}; done"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", f'trap "" INT TERM HUP; read -r line || {{ {again}; }}'],
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
        with suppress(ProgramError, OSError):  # then the shell goes on trying
            ask_now(*cancel, env=variables)
            shell.stdin.write(b"done\n")
        shell.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            shell.wait(1)
