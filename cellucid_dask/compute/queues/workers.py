"""Workers as jobs of a batch queue: submitted, watched, replaced, and cancelled on any exit.

dask-jobqueue submits the jobs, and the cluster of dask keeps a list of them. Neither sees a job
that dies before its worker connects, or a job that the queue refuses. For SLURM, `QueueWatch`
compares the list with the queue; for the others, `JobWatch` does.
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
from cellucid_dask.compute.queues.job_watch import JobWatch
from cellucid_dask.compute.queues.jobs import WorkerJobs, import_jobqueue, site_setting
from cellucid_dask.compute.queues.programs import ProgramError, Programs, join_lines, run_program
from cellucid_dask.compute.queues.settings import job_settings, log_pattern
from cellucid_dask.compute.slurm.queue_watch import QueueWatch
from cellucid_dask.compute.slurm.sbatch import slurm_environment
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
    name = name_jobs(jobs, folder)
    dask_settings = {
        "distributed.deploy.lost-worker-timeout": LOST_WORKER_TIMEOUT,
        "distributed.scheduler.allowed-failures": ALLOWED_DEATHS,
        "distributed.comm.timeouts.connect": "30s",
    }
    stack.enter_context(dask.config.set(dask_settings))
    variables = slurm_environment(jobs.options)
    programs = Programs(variables)
    stack.enter_context(_cancel_jobs(jobs.options.queue.cancel.format(name=name), variables))
    _raise_file_limit()
    cluster = _start_scheduler(jobs, folder, name, programs)
    stack.enter_context(closing_cluster(cluster))
    client = stack.enter_context(Client(cluster, set_as_default=False))
    has_dashboard = _scheduler_options(jobs).get("dashboard", True)
    link = f"; dashboard: {cluster.dashboard_link}" if has_dashboard else ""
    reporter.say(f"asks for {jobs}{link}")
    _submit_jobs(cluster, jobs)
    given: dict[str, Any] = {"reporter": reporter, "failure": context.failure}
    watch = (
        QueueWatch(cluster, jobs, name, log_pattern(folder), programs=programs, **given)
        if jobs.options.cluster == "slurm"
        else JobWatch(cluster, jobs, name, _log_folder(jobs, folder), programs=programs, **given)
    )
    stack.callback(watch.stop)
    cluster.loop.add_callback(watch.run)
    _wait_for_first(client, context.failure)
    return client


def name_jobs(jobs: WorkerJobs, folder: Path) -> str:
    """Return the name of all jobs of a run; those of PBS may be 15 characters long."""
    start = "cellu" if jobs.options.cluster == "pbs" else "cellucid-dask"
    return f"{start}-{folder.name.rpartition('-')[2]}"


def _log_folder(jobs: WorkerJobs, folder: Path) -> Path:
    """Folder of the output of the jobs; `folder` unless the site has another."""
    return Path(site_setting(jobs.options.cluster, "log-directory") or folder)


def _scheduler_options(jobs: WorkerJobs) -> dict[str, Any]:
    return site_setting(jobs.options.cluster, "scheduler-options") or {}


def _start_scheduler(jobs: WorkerJobs, folder: Path, name: str, programs: Programs) -> Any:
    """Start the scheduler without jobs; parameters as of `job_settings`."""
    try:
        return import_jobqueue().JobQueueCluster(
            job_cls=job_class(jobs, str(folder), programs),
            scheduler_options={"dashboard_address": ":0", **_scheduler_options(jobs)},
            security=_make_certificates(folder),
            silence_logs=logging.CRITICAL,
            name=name,
            **job_settings(jobs, name, folder),
        )
    except (RuntimeError, ValueError, OSError) as error:
        fix = "see --interface, and scheduler-options in dask's configuration"
        raise EngineError(
            f"the scheduler cannot be started here ({error})", where=jobs.options.option, fix=fix
        ) from error


def _submit_jobs(cluster: Any, jobs: WorkerJobs) -> None:
    # Without a watch that compares the list with the queue, dask's own replaces lost jobs.
    if jobs.options.adaptive or jobs.options.cluster != "slurm":
        cluster.adapt(
            minimum_jobs=1 if jobs.options.adaptive else jobs.number,
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


def job_class(jobs: WorkerJobs, folder: str, programs: Programs) -> type[Any]:
    """Return the class of the jobs; their command contains paths in `folder`."""
    from distributed.core import Status

    cluster = jobs.options.cluster
    base = getattr(import_jobqueue(), f"{jobs.options.queue.title}Cluster").job_cls

    class Job(base):  # type: ignore[misc, valid-type]
        """A job that keeps the message with which the queue refused it; its base only logs it."""

        refused = ""
        job_id_regexp = (
            r"Submitted batch job (?P<job_id>\d+)" if cluster == "slurm" else base.job_id_regexp
        )
        _command_template: str
        # Of HTCondor, where it runs --setup: /bin/sh has no `source`, and often no `module`.
        executable = "/bin/bash"

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

        async def _submit_job(self, script_filename: str) -> str:
            if getattr(self, "use_stdin", False):  # of LSF; its base hides the messages of bsub
                shell = ("/bin/sh", "-c", 'exec "$0" <"$1"', self.submit_command, script_filename)
                return await programs.ask(*shell)
            return await super()._submit_job(script_filename)

        @staticmethod
        async def _call(cmd: list[str], **_: Any) -> str:
            return await programs.ask(*cmd)

    return Job


# --------------------------------------------------------------------------- cancel all jobs


@contextmanager
def _cancel_jobs(cancel: str, variables: dict[str, str]) -> Iterator[None]:
    """Cancel the jobs of a run when the block ends, also when this process is killed.

    Parameters
    ----------
    cancel
        Shell command that cancels them.
    variables
        Its environment.
    """
    # A shell waits for the end of this process, which closes its input. It cancels several times:
    # a submission may be on its way, or the queue may not answer.
    retries = f"for i in 0 1 2 5 10 20 30 60; do sleep $i; {cancel}; done"
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
            run_program("/bin/sh", "-c", cancel, env=variables)
            shell.stdin.write(b"done\n")
        shell.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            shell.wait(1)
