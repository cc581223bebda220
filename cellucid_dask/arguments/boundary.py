"""Decorators of the functions that users call: they check types, and translate messages.

Inside the package, all messages name options of the command line. For callers from Python, the
decorators replace options by arguments; the command line turns that off.
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
class CallerNames:
    """Names that a function uses for what a message names.

    Parameters
    ----------
    arguments
        Argument of the function, by the field of the options.
    places
        Patterns of places in an AnnData that a problem may name, and their names in the function.
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    places: tuple[tuple[str, str], ...] = ()


SAME_NAMES: Final = CallerNames()
_names: ContextVar[CallerNames] = ContextVar("names", default=SAME_NAMES)
_SEVERAL: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_commands: Final[list[None]] = []  # one for each running command; all threads see it


@contextmanager
def keep_option_names() -> Iterator[None]:
    """Leave the names of options in messages while the command line runs."""
    _commands.append(None)
    try:
        yield
    finally:
        _commands.pop()


def is_command() -> bool:
    """Whether the command line runs, and not a function that a user called from Python."""
    return bool(_commands)


def reword(text: str, *, place: bool = False) -> str:
    """Return a text of a message, or the `place` of a problem, in the words of the caller."""
    if _commands or not text:
        return text
    # It imports the fields of all options, which only a message needs.
    from cellucid_dask.arguments.wording import translate

    return translate(text, _names.get(), place=place)


def reword_problem(problem: Problem) -> Problem:
    """Return a problem in the words of the caller."""
    if _commands:
        return problem
    where = problem.where
    for pattern, name in _names.get().places:
        if match := re.fullmatch(pattern, where):
            where = match.expand(name)
            break
    return Problem(reword(problem.what), reword(where, place=True), reword(problem.fix))


def reword_all(texts: Iterable[str]) -> list[str]:
    """Return texts of messages in the words of the caller."""
    return [reword(text) for text in texts]


def with_argument_names(
    names: CallerNames = SAME_NAMES,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let the errors of a function name its arguments, not options of the command line."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            token = _names.set(names)
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                _reword_error(error)
                if not isinstance(error, CellucidDaskError) and isinstance(error, Exception):
                    _raise_machine_error(error)
                raise
            finally:
                _names.reset(token)

        return call

    return decorate


def _raise_machine_error(error: Exception) -> None:
    """Raise an error of the machine as one of this package, with the same notes."""
    fault = machine_error(error)
    if fault is not None:
        for note in getattr(error, "__notes__", ()):
            fault.add_note(note)
        _reword_error(fault)
        raise fault from error


def _reword_error(error: BaseException | None) -> None:
    """Reword an error, and the errors that caused it, for the caller."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, CellucidDaskError):
            error.problems = tuple(map(reword_problem, error.problems))
        if notes := getattr(error, "__notes__", None):
            notes[:] = reword_all(notes)
        error = error.__cause__ or error.__context__


def convert_arguments(function: Callable[..., Any], given: dict[str, Any]) -> list[Problem]:
    """Convert arguments to the types of their annotations in `function`; return the wrong ones.

    Parameters
    ----------
    given
        Arguments by name, changed in place; the default replaces an argument of a wrong type.
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


def check_argument_types(function: Callable[P, R]) -> Callable[P, R]:
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
        if problems := convert_arguments(function, bound.arguments):
            raise OptionError.of(problems)
        return function(*bound.args, **bound.kwargs)

    return call
