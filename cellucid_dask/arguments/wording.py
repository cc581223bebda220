"""Translation of messages for callers from Python: options become arguments.

A message is written once, with options (``--rename-duplicates``, ``--embedding 2d=X_tsne``). The
caller of a Python function reads ``rename_duplicates=True`` and ``embeddings={2: "X_tsne"}``.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import NoneType
from typing import Any, Final

from cellucid_dask.arguments.boundary import CallerNames
from cellucid_dask.options.argument_names import NEGATIVE, option_of
from cellucid_dask.options.argument_types import hints_of, kinds_of
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.serve import ServeOptions

# Options that are not fields of an options class: the argument, and its type.
OTHER_ARGUMENTS: Final[Mapping[str, tuple[str, Any]]] = {
    "--against": ("against", str),
    "--color": ("color", tuple[str, ...]),
    "--columns": ("columns", int),
    "--default": ("default", str),
    "--dimension": ("dimension", int),
    "--dry-run": ("dry_run", bool),
    "--genes-file": ("genes", tuple[str, ...]),
    "--out": ("out_dir", str),
    "--quantize": ("quantize", int | None),
    "--sample": ("sample", int | None),
    "--slurm": ("slurm", bool),
}
# CallerNames that follow an option in a sentence; any other word there is its value.
_SENTENCE: Final = (
    *(
        "again",
        "allows",
        "and",
        "as",
        "at",
        "cannot",
        "for",
        "go",
        "has",
        "if",
        "in",
        "is",
        "needs",
        "of",
        "on",
    ),
    *("once", "or", "than", "to", "was", "with"),
)
_OPTION: Final = re.compile(r"(?<![\w'\"/=-])--[a-z][a-z-]*[a-z](?![\w'\"/-])")
_VALUE: Final = re.compile(r"[ =]('[^']*'(?:\"'\"'[^']*')*|[^\s,;:()'\"]+)")
_COMMAND: Final = re.compile(r"'cellucid-dask (clean|verify)(?: (.+?))?'(?=[ ;,.]|$)")
_PHRASES: Final = (
    ("run the same command", "make the same call"),
    ("the same command", "the same call"),
    ("this command", "this call"),
)


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a Python function, for which the command line has an option.

    Parameters
    ----------
    name
        Name of the argument.
    kinds
        Types of its value; they decide how a value is written.
    negative
        Whether the option turns the argument off.
    """

    name: str
    kinds: tuple[Any, ...]
    negative: bool = False

    @property
    def is_switch(self) -> bool:
        """Whether the option takes no value."""
        return bool in self.kinds

    @property
    def is_repeatable(self) -> bool:
        """Whether the option may be repeated."""
        return tuple in self.kinds or Mapping in self.kinds

    def spell(self, values: Sequence[str], *, more: str = "", place: bool = False) -> str:
        """Return the argument as text, with the values of the option in the message.

        Parameters
        ----------
        more
            Text after the last value of a list.
        place
            Whether the message names the argument as the place of a problem.
        """
        if place and not values:
            return self.name.partition("=")[0]
        if self.is_switch:
            return f"{self.name}={not self.negative}"
        if not values:
            return self.name
        if Mapping in self.kinds:
            return self._spell_dict(values)
        written = [self._literal(value) for value in values]
        return (
            f"{self.name}=[{', '.join(written)}{more}]"
            if self.is_repeatable
            else (f"{self.name}={written[0]}")
        )

    def _spell_dict(self, values: Sequence[str]) -> str:
        pairs = [value.partition("=") for value in values]
        if not pairs[0][1]:  # a place, such as --embedding 2d
            return f"{self.name}[{pairs[0][0].removesuffix('d')}]"
        items = (f"{key.removesuffix('d')}: {_quoted(value)}" for key, _, value in pairs)
        return f"{self.name}={{{', '.join(items)}}}"

    def _literal(self, value: str) -> str:
        numeric = {int, float}.intersection(self.kinds)
        if not {str, tuple}.intersection(self.kinds):
            return "None" if value == "none" and NoneType in self.kinds else value
        return value if numeric and value.isdecimal() else _quoted(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@lru_cache(maxsize=1)
def arguments_by_option() -> Mapping[str, Argument]:
    """Return the arguments of the Python functions, by option."""
    arguments = {
        option: Argument(name, kinds_of(hint)) for option, (name, hint) in OTHER_ARGUMENTS.items()
    }
    for cls in (ExportOptions, RunOptions, JobOptions, ServeOptions):
        for name, hint in hints_of(cls).items():
            arguments[option_of(name)] = Argument(name, kinds_of(hint), name in NEGATIVE)
    return arguments


def translate(text: str, names: CallerNames, *, place: bool = False) -> str:
    """Translate a message, or a part of one, for a caller from Python.

    Parameters
    ----------
    place
        Whether the text is the place of a problem: arguments then have no value.
    """
    for phrase, replacement in _PHRASES:
        text = text.replace(phrase, replacement)
    text = _COMMAND.sub(_write_call, text)
    written: list[str] = []
    known, end = arguments_by_option(), 0
    for option in _OPTION.finditer(text):
        argument = known.get(option[0])
        if argument is not None and option.start() >= end:
            gap = text[end : option.start()]
            written.append(", " if written and gap == " " else gap)
            values, end = _find_values(text, option, argument)
            more = ", ..." if argument.is_repeatable and text.startswith(" ...", end) else ""
            end += 4 * bool(more)
            written.append(
                _rename_for_caller(argument, names).spell(values, more=more, place=place)
            )
    return "".join([*written, text[end:]])


def _rename_for_caller(argument: Argument, names: CallerNames) -> Argument:
    """Return the argument with its name in the called function."""
    name = names.arguments.get(argument.name, argument.name)
    if not argument.is_switch or name == argument.name:
        return replace(argument, name=name)
    return Argument(name, ())  # it has another type there, such as an array


def _find_values(text: str, option: re.Match[str], argument: Argument) -> tuple[list[str], int]:
    """Find the values that follow an option, also a repeated one; return them, and their end."""
    values: list[str] = []
    end = option.end()
    while not argument.is_switch:
        found = _VALUE.match(text, end)
        if found is None or found[1] in _SENTENCE or found[1].startswith("--"):
            break
        values.append(" ".join(shlex.split(found[1])) if found[1][0] == "'" else found[1])
        end = found.end()
        if not argument.is_repeatable or not text.startswith(f" {option[0]} ", end):
            break
        end += 1 + len(option[0])
    return values, end


def _write_call(command: re.Match[str]) -> str:
    """Write a command as a call of a function."""
    function = {"clean": "cellucid_dask.clean", "verify": "cellucid_dask.verify.verify"}[command[1]]
    return f"{function}({_quoted(shlex.split(command[2])[0]) if command[2] else ''})"
