"""What can go wrong, said so that a user can act: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


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


class VerifyError(CellucidDaskError):
    """An export is not what it should be."""

    exit_code = 1
