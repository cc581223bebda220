"""Commands in processes of their own that need not import anything.

Importing the libraries takes a second of a processor. Few of the tests that need a process are of
how one starts: the others fork theirs from one that has imported everything (`fork_server`).
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("fork_server.py")


@cache
def can_mount() -> bool:
    """Whether this user may mount file systems, for disks of a chosen size."""
    return (
        os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0
    )


class Forks:
    """The process from which commands are forked, with mounted disks of its own if it may."""

    def __init__(self) -> None:
        own = ("unshare", "-m") if can_mount() else ()
        self._lock = threading.Lock()
        self._server = subprocess.Popen(
            [*own, sys.executable, str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        atexit.register(self._server.communicate)

    @property
    def pid(self) -> int:
        """Its pid, by which its disks can be looked at."""
        return self._server.pid

    def ask(self, kind: str, **what: Any) -> int:
        """Answer to a question."""
        with self._lock:
            assert self._server.stdin is not None
            assert self._server.stdout is not None
            self._server.stdin.write(json.dumps({"kind": kind, **what}) + "\n")
            self._server.stdin.flush()
            return int(self._server.stdout.readline())

    def shell(self, line: str) -> None:
        """Run a line of shell, as to mount a disk for commands that are forked."""
        assert self.ask("shell", line=line) == 0, line

    def load(self, *modules: str) -> None:
        """Have more modules imported, for commands that need them."""
        assert self.ask("load", modules=modules) == len(modules), modules

    def seen(self, path: Path) -> Path:
        """Where this process sees what those commands see at `path`."""
        return Path(f"/proc/{self.pid}/root{path}")


@cache
def forks() -> Forks:
    """The one of this process."""
    return Forks()


class Forked:
    """A forked process, as one of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def _ended(self, seconds: float | None) -> bool:
        handle = os.pidfd_open(self.pid)
        try:
            waiting = select.poll()
            waiting.register(handle, select.POLLIN)
            return bool(waiting.poll(None if seconds is None else max(seconds, 0) * 1000))
        finally:
            os.close(handle)

    def poll(self) -> int | None:
        """Exit code, negative of a signal; None while it runs."""
        if self.returncode is None and self._ended(0):
            self.returncode = forks().ask("code", pid=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, once it has ended."""
        if self.returncode is None and not self._ended(timeout):
            raise subprocess.TimeoutExpired(f"forked process {self.pid}", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it still runs."""
        self.send_signal(signal.SIGKILL)


def fork(
    *words: object,
    cwd: Path,
    out: Path | str = os.devnull,
    err: Path | str = os.devnull,
    environment: Mapping[str, str] | None = None,
    first: str = "",
    script: str = "",
) -> Forked:
    """Start a command; what it prints is added to files.

    Parameters
    ----------
    environment
        All of it; that of this process by default. What libraries read when they are imported has
        been read.
    first
        Lines of Python that it runs first.
    script
        File of Python to run in place of the command.
    """
    pid = forks().ask(
        "start",
        words=[str(word) for word in words],
        cwd=str(cwd),
        files=[os.devnull, str(out), str(err)],
        environment=dict(os.environ if environment is None else environment),
        first=first,
        script=script,
    )
    return Forked(pid)


def fork_dask(kind: str, *words: object, cwd: Path, log: Path | str = os.devnull) -> Forked:
    """Start ``dask scheduler`` or ``dask worker``."""
    given = [str(word) for word in words]
    first = f"from distributed.cli.dask_{kind} import main\nmain({given!r})\n"
    return fork(cwd=cwd, out=log, err=log, first=first)


@contextmanager
def _memory() -> Iterator[tuple[int, str]]:
    """A file that is nowhere, and a path by which another process opens it."""
    file = os.memfd_create("printed")
    try:
        yield file, f"/proc/{os.getpid()}/fd/{file}"
    finally:
        os.close(file)


def run_forked(*words: object, seconds: float = 120, **how: Any) -> tuple[int, str, str]:
    """Run a command to its end: its exit code, and what it printed; arguments as of `fork`."""
    with _memory() as (out, out_path), _memory() as (err, err_path):
        process = fork(*words, out=out_path, err=err_path, **how)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        out_text, err_text = (os.pread(f, os.fstat(f).st_size, 0).decode() for f in (out, err))
        return code, out_text, err_text
