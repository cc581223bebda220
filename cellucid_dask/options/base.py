"""The base class of all options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Self

from cellucid_dask.errors import OptionError, Problem
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.argument_types import convert, hints_of, type_problem


class Options:
    """Options that are checked when an object is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        if problems := [*self._convert_values(), *self.find_problems()]:
            raise OptionError.of(problems)

    @classmethod
    def from_keywords(cls, given: Mapping[str, Any]) -> tuple[Self, list[Problem]]:
        """Make options from values that may be wrong; return them, and every problem.

        The default replaces a value of a wrong type.
        """
        options = object.__new__(cls)
        for f in fields(cls):  # type: ignore[arg-type]
            object.__setattr__(options, f.name, given.get(f.name, default_of(f)))
        return options, [*options._convert_values(), *options.find_problems()]

    def find_problems(self) -> Iterator[Problem]:
        """Find every problem of the values, all of which have the right type."""
        raise NotImplementedError

    def _convert_values(self) -> list[Problem]:
        """Convert values to the types of their annotations; return those that cannot be."""
        problems: list[Problem] = []
        cls: Any = type(self)
        hints = hints_of(cls)
        for f in fields(self):  # type: ignore[arg-type]
            given = getattr(self, f.name)
            try:
                value = convert(given, hints[f.name])
            except TypeError:
                where, secret = option_of(f.name), not f.repr
                problems.append(type_problem(given, hints[f.name], where, secret=secret))
                value = default_of(f)
            object.__setattr__(self, f.name, value)
        self._normalize()
        return problems

    def _normalize(self) -> None:
        """Convert values that have several spellings to one."""


def default_of(option: Field[Any]) -> Any:
    """Return the default of a field."""
    return option.default if option.default_factory is MISSING else option.default_factory()
