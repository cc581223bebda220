"""Which process may build an index, and what becomes of it when that fails."""

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
    others,
    remove_if_empty,
    remove_index,
    remove_unfinished,
)
from cellucid_dask.server.gene_index.store import IndexStore

OTHER_FOLDER = "make room, or name another folder with --cache-dir"
POLL = 0.25  # seconds between looks at what another process builds


class NoIndexError(OutputError):
    """No index can be built; what it says names no path of the machine but in its `where`."""


class Stopped(Exception):  # noqa: N818  it is no error
    """The build was told to stop."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The right to build in a folder; the kernel releases it when the process dies.

    Parameters
    ----------
    file
        Held open.
    alone
        Whether nobody else can have it: not where the file system has no locks.
    """

    file: IO[bytes]
    alone: bool

    def release(self) -> None:
        """Let another process build."""
        self.file.close()


def try_lock(folder: Path) -> Lock | None:
    """Take the lock of a folder that exists; None while another process has it.

    Where locks are not supported everyone gets it: builders then write the same files under names
    of their own, and the first to rename one wins.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    while True:
        file = (folder / LOCK).open("ab")
        alone = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError:
            alone = False
        if same_file(file, folder / LOCK):
            return Lock(file, alone)
        file.close()  # it was removed, with its folder, between the two calls


@contextmanager
def building(
    store: IndexStore, stopped: threading.Event, say: Callable[[], None] = lambda: None
) -> Iterator[bool]:
    """Have the right to build; gives False when the index is complete, maybe by another process.

    What was made is removed again when the block fails. Finished blocks stay when it is only told
    to stop: the next build goes on with them.

    Parameters
    ----------
    stopped
        Set to end the wait for another process.
    say
        Called when there is one to wait for.

    Raises
    ------
    Stopped
        When it was told to stop while it waited.
    NoIndexError
        When the folder cannot be written.
    """
    try:
        lock = _wait_for_lock(store, stopped, say)
        if lock is None:
            yield False
            return
        try:
            remove_unfinished(store.folder, alone=lock.alone)
            yield True
            remove_older(store.folder)
        except Exception as error:
            if not isinstance(error, Stopped):
                remove_index(store.folder)
                store.refresh()
            raise
        finally:
            lock.release()
    except OSError as error:
        remove_if_empty(store.folder)
        what = f"the cache folder cannot be written ({os.strerror(error.errno or errno.EIO)})"
        raise NoIndexError(what, where=str(store.folder), fix=OTHER_FOLDER) from error


def _wait_for_lock(
    store: IndexStore, stopped: threading.Event, say: Callable[[], None]
) -> Lock | None:
    """Take the lock; None when the index is complete, which needs none."""
    store.refresh()
    said = False
    while not store.complete:
        store.folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # who failed has removed the folder meanwhile
            lock = try_lock(store.folder)
            store.refresh()
            if lock is not None and not store.complete:
                return lock
            if lock is not None:
                lock.release()
                return None
        if not said:
            say()
        said = True
        if stopped.wait(POLL):
            raise Stopped
    return None


def remove_older(folder: Path) -> None:
    """Remove the indexes of other versions of the same matrix, but one that is being built."""
    with suppress(OSError):  # the new one is complete, whatever becomes of the others
        for other in others(folder):
            lock = try_lock(other)
            if lock is not None:
                remove_index(other)
                lock.release()
