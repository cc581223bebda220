"""Where Python calls this package: types are checked, and messages name arguments.

Within the package all messages name options of the command line. The functions that users call
are decorated here; the command line itself says that it is one, and reads them as they are.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from cellucid_dask.errors import CellucidDaskError, OptionError, Problem, machine_error
from cellucid_dask.options.argument_types import convert, hints_of, type_problem

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Words:
    """What a function calls what messages speak of.

    Parameters
    ----------
    arguments
        Its argument, by the field of the options.
    places
        Patterns of the elements of an AnnData that a problem may be in, and what it calls them.
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    places: tuple[tuple[str, str], ...] = ()


USUAL: Final = Words()
_words: ContextVar[Words] = ContextVar("words", default=USUAL)
_SEVERAL: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_commands: Final[list[None]] = []  # one for each command line that runs; threads see it as well


@contextmanager
def command_line() -> Iterator[None]:
    """Leave messages as they are while the command line runs."""
    _commands.append(None)
    try:
        yield
    finally:
        _commands.pop()


def worded(text: str, *, place: bool = False) -> str:
    """Return a text of a message, or the `place` of a problem, in the words of who called."""
    if _commands or not text:
        return text
    # The fields of all options: only where there is something to say.
    from cellucid_dask.arguments.wording import translate

    return translate(text, _words.get(), place=place)


def worded_problem(problem: Problem) -> Problem:
    """Return a problem in the words of who called."""
    if _commands:
        return problem
    where = problem.where
    for pattern, name in _words.get().places:
        if found := re.fullmatch(pattern, where):
            where = found.expand(name)
            break
    return Problem(worded(problem.what), worded(where, place=True), worded(problem.fix))


def worded_all(texts: Iterable[str]) -> list[str]:
    """Return texts of messages in the words of who called."""
    return [worded(text) for text in texts]


def in_arguments(words: Words = USUAL) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have what a function raises name its arguments, not options of the command line."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            token = _words.set(words)
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                _reword(error)
                if not isinstance(error, CellucidDaskError) and isinstance(error, Exception):
                    _refuse_machine(error)
                raise
            finally:
                _words.reset(token)

        return call

    return decorate


def _refuse_machine(error: Exception) -> None:
    """Raise an error of the machine as one of this package, with the notes it has."""
    fault = machine_error(error)
    if fault is not None:
        for note in getattr(error, "__notes__", ()):
            fault.add_note(note)
        _reword(fault)
        raise fault from error


def _reword(error: BaseException | None) -> None:
    """Write an error, and those it came from, in the words of who called."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, CellucidDaskError):
            error.problems = tuple(map(worded_problem, error.problems))
        if notes := getattr(error, "__notes__", None):
            notes[:] = worded_all(notes)
        error = error.__cause__ or error.__context__


def settle(function: Callable[..., Any], given: dict[str, Any]) -> list[Problem]:
    """Bring arguments to the types of their annotations in `function`, and say which cannot be.

    Parameters
    ----------
    given
        Arguments by name, changed in place; one of a wrong type gives way to its default.
    """
    signature, problems = inspect.signature(function), []
    for name, hint in hints_of(function).items():
        if name in given and signature.parameters[name].kind not in _SEVERAL:
            try:
                given[name] = convert(given[name], hint)
            except TypeError:
                problems.append(type_problem(given[name], hint, name))
                given[name] = signature.parameters[name].default
    return problems


def typed(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a function against its annotations before it is called.

    Raises
    ------
    OptionError
        With every argument of a wrong type.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        if problems := settle(function, bound.arguments):
            raise OptionError.of(problems)
        return function(*bound.args, **bound.kwargs)

    return call
