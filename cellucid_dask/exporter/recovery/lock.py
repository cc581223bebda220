"""The lock of a staging folder, across all machines that see the disk.

The kernel's lock excludes other runs on this machine and ends with the process. Shared file
systems may keep such locks separately for each machine, or have none. The owner of a folder
therefore also writes a record there and updates its time every few seconds. A record whose time
does not change belongs to a dead run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from cellucid_dask.errors import OutputError
from cellucid_dask.files import write_atomically

MARK = "cellucid-dask.staging"
OWNER = "owner.json"
HEARTBEAT = 2.0  # seconds between signs of life
SILENCE = 12.0  # seconds without one after which a run on another machine is dead
LONG_AGO = 90.0  # seconds, by the clock of the file system, after which nobody needs to watch


@dataclass(frozen=True, slots=True)
class Owner:
    """The run that works in a staging folder.

    Parameters
    ----------
    machine
        Identifies this boot of this machine.
    host, pid
        For the user.
    token
        Identifies this run.
    """

    machine: str
    host: str
    pid: int
    token: str


def _machine() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return platform.node()


class RunLock:
    """The lock of a staging folder; `acquire` returns it.

    Parameters
    ----------
    folder
        The staging folder.
    file
        Its mark, held open and locked where the file system can.
    """

    def __init__(self, folder: Path, file: IO[str]) -> None:
        self.file = file
        self._path = folder / OWNER
        self._owner = Owner(_machine(), platform.node(), os.getpid(), secrets.token_hex(8))
        self._ended = threading.Event()
        self._heartbeat = threading.Thread(target=self._keep_alive, daemon=True)

    def start_heartbeat(self) -> None:
        """Write the record of the owner, and update its time until `release`."""
        write_atomically(self._path, [json.dumps(asdict(self._owner)).encode()])
        self._heartbeat.start()

    def _keep_alive(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with contextlib.suppress(OSError):
                os.utime(self._path)

    def is_held(self) -> bool:
        """Whether no other run has taken over the folder because this one gave no sign of life."""
        return _owner(self._path) in (self._owner, None)

    def release(self) -> None:
        """Release the lock."""
        self._ended.set()
        if self._heartbeat.is_alive():
            self._heartbeat.join()
        if _owner(self._path) == self._owner:
            self._path.unlink(missing_ok=True)
        self.file.close()


@contextlib.contextmanager
def acquire(folder: Path, out: Path) -> Iterator[RunLock]:
    """Lock `folder`, which is created if it does not exist.

    Raises
    ------
    OutputError
        When a live run has locked it.
    """
    lock = RunLock(folder, _open(folder, out))
    try:
        lock.start_heartbeat()
        yield lock
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a run on this machine works in `folder`; changes nothing."""
    try:
        with (folder / MARK).open() as file:
            return _flock(file) is False
    except OSError:
        return False


def _open(folder: Path, out: Path) -> IO[str]:
    """Open and lock the mark, once no other run lives."""
    while True:
        folder.mkdir(exist_ok=True)
        if folder.is_symlink() or (any(folder.iterdir()) and not (folder / MARK).exists()):
            raise OutputError(
                "is no staging folder of this package", where=str(folder), fix="move it away"
            )
        try:
            file = (folder / MARK).open("a+")
        except FileNotFoundError:  # who had it has just removed the folder
            continue
        try:
            locked = _flock(file)
            if locked is not False and not same_file(file, folder / MARK):
                file.close()
                continue
            _refuse_living(folder / OWNER, file, locked, out)
        except BaseException:
            file.close()
            raise
        return file


def _refuse_living(path: Path, file: IO[str], locked: bool | None, out: Path) -> None:
    """Raise when the owner lives; `locked` is None where the file system has no locks."""
    owner = _owner(path)
    if owner is None and locked is not False:
        return
    here = owner is None or owner.machine == _machine()
    if here and locked:
        return  # the kernel has released the lock of a dead run
    silent = not (here and locked is False) and owner is not None and _silent(path, file)
    if silent and locked is not False:
        return
    who = f" (process {owner.pid} on {owner.host})" if owner is not None else ""
    if silent:
        raise OutputError(
            f"the file server still keeps the lock of a run that is dead{who}",
            where=str(out),
            fix="try again in a minute or two",
        )
    raise OutputError(
        f"another run is making this export{who}", where=str(out), fix="wait until it has ended"
    )


def _silent(path: Path, file: IO[str]) -> bool:
    """Whether the owner gives no sign of life; watches it for a while unless its last is old."""
    os.utime(file.fileno())  # the clock of the file system, which may be another than ours
    last = _changed(path)
    if os.fstat(file.fileno()).st_mtime - last > LONG_AGO:
        return True
    end = time.monotonic() + SILENCE
    while time.monotonic() < end:
        time.sleep(HEARTBEAT / 4)
        if _changed(path) != last:
            return False
    return True


def _changed(path: Path) -> float:
    """Time of the record; by opening it, since a file server may keep the times of names."""
    try:
        with path.open() as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return 0.0


def _owner(path: Path) -> Owner | None:
    """Read the record; None where there is none, or none that was written whole."""
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _flock(file: IO[str]) -> bool | None:
    """Whether the lock was free and is ours now; None where there are no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def same_file(file: IO[Any], path: Path) -> bool:
    """Whether an open file is still what `path` names; its folder may have been removed."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
