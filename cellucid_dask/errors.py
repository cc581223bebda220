"""What can go wrong, said so that a user can act: what is wrong, where, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input, an option or the machine.

    Parameters
    ----------
    what
        What is wrong, in one sentence.
    where
        The file, key or option it is wrong in; may be empty.
    fix
        What the user can do about it; may be empty.
    """

    what: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n    {self.fix}" if self.fix else text


class DataWarning(UserWarning):
    """Something about the data that a user should know, and that stops nothing."""


def suggest(word: object, known: Sequence[str], *, noun: str = "there are") -> str:
    """Say which of `known` names is nearest to `word`, or list them when none is near."""
    from difflib import get_close_matches  # takes a while to import, and is seldom needed

    known = list(dict.fromkeys(known))
    near = get_close_matches(str(word), known, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(name) for name in near) + "?"
    if not known:
        return f"{noun} none"
    rest = f", and {len(known) - 12} more" if len(known) > 12 else ""
    return f"{noun}: " + ", ".join(repr(name) for name in known[:12]) + rest


class CellucidDaskError(Exception):
    """Base of every error this package raises on purpose; the command line exits with 2.

    Parameters
    ----------
    what, where, fix
        As in `Problem`.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(what, where, fix),)
        super().__init__(what, where, fix)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Make one error that reports all of `problems`, in their order."""
        error = cls("")
        error.problems = tuple(problems)
        return error

    def __reduce__(self) -> tuple[object, ...]:
        # Workers raise these: the default would lose all problems but the first.
        return (type(self).of, (self.problems,))

    def _render_traceback_(self) -> list[str]:
        """Lines that IPython shows in place of a page of traceback; notes are part of them."""
        return [f"error: {self}", *getattr(self, "__notes__", ())]

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        numbered = (f"{i}. {p}" for i, p in enumerate(self.problems, 1))
        return f"{len(self.problems)} problems\n" + "\n".join(numbered)


class InputError(CellucidDaskError):
    """The data cannot be exported as it is: a missing key, a wrong shape, NaN in an embedding."""


class TextError(InputError):
    """Text of the data is not UTF-8; the file may be whole all the same."""


class ValuesError(InputError):
    """Values that ready files do not hold; `what` has no path, so that clients may read it."""


class EmbeddingError(InputError):
    """An embedding that cannot be shown; `where` and `what` have no path: clients may read them."""


class OptionError(CellucidDaskError):
    """An option has a value that cannot be used."""


class PlanError(CellucidDaskError):
    """No plan fits the memory or the disk that is there."""


class OutputError(CellucidDaskError):
    """The output folder cannot be written, or must not be replaced."""


class EngineError(CellucidDaskError):
    """A dask scheduler does not answer, or its workers cannot do the work."""


class ReadError(CellucidDaskError):
    """A file is truncated or corrupt; names the file and the element being read."""


class MachineError(CellucidDaskError):
    """The machine lacks something: open files, threads, memory, room; or a disk fails."""


class VerifyError(CellucidDaskError):
    """An export is not what it should be."""

    exit_code = 1


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise all of `problems` together, each once, if there are any.

    Raises
    ------
    InputError
        With all of them.
    """
    if distinct := dict.fromkeys(problems):
        raise InputError.of(distinct)


FULL: Final = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full for this user: the quota is used up",
}
_SIGNALS: Final = (KeyboardInterrupt, SystemExit)
_ASK_LESS: Final = "give less --memory or fewer --workers, or a larger machine"
_MORE_FILES: Final = "allow more with ulimit -n, or give fewer --workers"
_MORE_THREADS: Final = "allow more with ulimit -u, or give fewer --workers"
_ROOM: Final = "make room, or name another disk with --out, --scratch or TMPDIR"
_DISK: Final = "see whether the disk, or the network to it, is well"
_PERMISSIONS: Final = "check the permissions"
_NO_ANSWER: Final = "the file system does not answer"
# What an error of the system says of the machine, and what to do; never that a file is damaged.
_FAULTS: Final = {
    errno.EMFILE: ("too many files are open in this process", _MORE_FILES),
    errno.ENFILE: ("too many files are open on this machine", "try again when fewer are"),
    errno.ENOMEM: ("there is no more memory", _ASK_LESS),
    errno.EAGAIN: ("no more processes or threads can be started", _MORE_THREADS),
    **{number: (f"the disk {full}", _ROOM) for number, full in FULL.items()},
    errno.EIO: ("the disk cannot be read or written", _DISK),
    errno.EACCES: ("the permissions do not allow it", _PERMISSIONS),
    errno.EPERM: ("the permissions do not allow it", _PERMISSIONS),
    errno.EROFS: ("the file system is for reading only", _PERMISSIONS),
    **dict.fromkeys(
        (errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.EREMOTEIO),
        (_NO_ANSWER, _DISK),
    ),
}


def machine_error(error: BaseException, where: str = "") -> MachineError | None:
    """Return what an error, or one that it came from, says of the machine; None for any other.

    Parameters
    ----------
    where
        What was read or written; the file that the system names, where this is empty.
    """
    for cause in _chain(error):
        fault = _fault(cause)
        if fault is not None:
            what, fix = fault
            place = where or _file_of(cause)
            return MachineError(f"{what} ({_said_by(cause)})", where=place, fix=fix)
    return None


def refuse_fault(error: BaseException, where: str = "", *, of_memory: bool = False) -> None:
    """Raise what `machine_error` returns, if it returns anything: such an error is no damage.

    Parameters
    ----------
    of_memory
        Whether memory is short. Otherwise a MemoryError is none of the machine: a damaged header
        may ask for any amount.

    Raises
    ------
    MachineError
        When the machine is at fault.
    KeyboardInterrupt, SystemExit
        When Python hides that of a signal behind the error.
    """
    if isinstance(error, SystemError) and isinstance(error.__cause__, _SIGNALS):
        raise error.__cause__  # of a signal in a C function that does not look at exceptions
    if not of_memory and any(isinstance(cause, MemoryError) for cause in _chain(error)):
        return
    fault = machine_error(error, where)
    if fault is not None:
        raise fault from error


def _fault(error: BaseException) -> tuple[str, str] | None:
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "no more threads can be started", _MORE_THREADS
    if isinstance(error, MemoryError):
        return _FAULTS[errno.ENOMEM]
    if not isinstance(error, OSError):
        return None
    if "No usable temporary directory" in str(error):
        return "no folder for temporary files can be written", _ROOM
    if error.errno == errno.ENOENT and error.filename is None and not _has_folder():
        return "the current folder was removed", "go to another folder, then try again"
    return _FAULTS.get(error.errno or 0)


def _has_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  pathlib would import nothing less
    except OSError:
        return False
    return True


def _said_by(error: BaseException) -> str:
    """What the system says; HDF5 says much more."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error) or type(error).__name__


def _file_of(error: BaseException) -> str:
    return os.fsdecode(getattr(error, "filename", None) or "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Errors that led to `error`, which is the first."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__
