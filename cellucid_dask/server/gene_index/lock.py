"""The lock of a gene index: which process may build it, and the cleanup after a failed build."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cellucid_dask.errors import OutputError
from cellucid_dask.exporter.recovery.lock import same_file
from cellucid_dask.server.cache_folder import (
    LOCK,
    find_other_versions,
    remove_if_empty,
    remove_index,
    remove_unfinished,
)
from cellucid_dask.server.gene_index.store import IndexStore

OTHER_CACHE_DIR = "make room, or name another folder with --cache-dir"
POLL_SECONDS = 0.25  # between two checks whether another process has finished


class GeneIndexError(OutputError):
    """No index can be built. Only `where` of this error has a path of the machine."""


class BuildStopped(Exception):  # noqa: N818  not an error
    """The build was stopped."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock of an index folder; the kernel releases it when the process dies.

    Parameters
    ----------
    file
        The open lock file.
    exclusive
        Whether no other process can have the lock; False when the file system has no locks.
    """

    file: IO[bytes]
    exclusive: bool

    def release(self) -> None:
        """Let another process build."""
        self.file.close()


def try_lock(folder: Path) -> Lock | None:
    """Take the lock of a folder that exists; None while another process has it.

    On a file system without locks every process gets it: each then writes the same files under
    temporary names of its own, and the first to rename one wins.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    while True:
        file = (folder / LOCK).open("ab")
        exclusive = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError:
            exclusive = False
        if same_file(file, folder / LOCK):
            return Lock(file, exclusive)
        file.close()  # another process removed the file between the two calls


@contextmanager
def lock_build(
    store: IndexStore, stopped: threading.Event, report_waiting: Callable[[], None] = lambda: None
) -> Iterator[bool]:
    """Hold the lock for a build; give False when the index is complete, maybe by another process.

    When the build fails, all its files are removed. When it is stopped, finished blocks stay: the
    next build resumes with them.

    Parameters
    ----------
    stopped
        Set it to end the wait for another process.
    report_waiting
        Called once when another process has the lock.

    Raises
    ------
    BuildStopped
        When `stopped` is set during the wait.
    GeneIndexError
        When the folder cannot be written.
    """
    try:
        lock = _wait_for_lock(store, stopped, report_waiting)
        if lock is None:
            yield False
            return
        try:
            remove_unfinished(store.folder, exclusive=lock.exclusive)
            yield True
            remove_other_versions(store.folder)
        except Exception as error:
            if not isinstance(error, BuildStopped):
                remove_index(store.folder)
                store.refresh()
            raise
        finally:
            lock.release()
    except OSError as error:
        remove_if_empty(store.folder)
        what = f"the cache folder cannot be written ({os.strerror(error.errno or errno.EIO)})"
        raise GeneIndexError(what, where=str(store.folder), fix=OTHER_CACHE_DIR) from error


def _wait_for_lock(
    store: IndexStore, stopped: threading.Event, report_waiting: Callable[[], None]
) -> Lock | None:
    """Take the lock; None when the index is complete and needs none."""
    store.refresh()
    reported = False
    while not store.complete:
        store.folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # a failed build of another process removed the folder
            lock = try_lock(store.folder)
            store.refresh()
            if lock is not None and not store.complete:
                return lock
            if lock is not None:
                lock.release()
                return None
        if not reported:
            report_waiting()
        reported = True
        if stopped.wait(POLL_SECONDS):
            raise BuildStopped
    return None


def remove_other_versions(folder: Path) -> None:
    """Remove the indexes of other versions of the same matrix, except one that is being built."""
    with suppress(OSError):  # the new index is complete in any case
        for other in find_other_versions(folder):
            lock = try_lock(other)
            if lock is not None:
                remove_index(other)
                lock.release()
