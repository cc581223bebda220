"""Conversion of arguments to the types of their annotations."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from functools import lru_cache
from numbers import Integral, Real
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from cellucid_dask.errors import Problem

_WORDS: Final[Mapping[Any, str]] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    os.PathLike: "a path",
    NoneType: "None",
    tuple: "a list of text",
    Sequence: "a list of text",
    Mapping: "a dict",
}


@lru_cache(maxsize=64)
def hints_of(owner: Any) -> Mapping[str, Any]:
    """Return the annotations of a class or function that can be evaluated.

    An annotation may use names that are imported for the type checker only. The argument is then
    checked where it is used.
    """
    namespace = vars(sys.modules[owner.__module__])
    hints: dict[str, Any] = {}
    for name, annotation in owner.__annotations__.items():
        holder: Any = SimpleNamespace(__annotations__={name: annotation})
        with suppress(NameError):
            hints |= get_type_hints(holder, globalns=namespace)
    return hints


def convert(value: Any, hint: Any) -> Any:
    """Convert `value` to the type of an annotation.

    Scalars of numpy become those of Python, paths become text if the type is text, lists become
    tuples. True and False are not accepted as numbers, nor a set as a list: it has no order.

    Raises
    ------
    TypeError
        When `value` cannot be converted.
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # a scalar of numpy, which JSON cannot hold
    kinds = _kinds(hint)
    if any(_is_of(value, kind) for kind in kinds):
        return value
    for kind in kinds:
        converter = _CONVERTERS.get(get_origin(kind) or kind)
        if converter is not None:
            try:
                return converter(value, kind)
            except TypeError:
                continue
    raise TypeError(f"not {describe_type(hint)}")


def type_problem(value: Any, hint: Any, where: str, *, secret: bool = False) -> Problem:
    """Describe an argument of a wrong type; the text does not show a `secret` value."""
    kind = type(value).__name__
    short = isinstance(value, str | int | float) and not secret
    shown = f"{value!r:.60} is " if short else "is "
    article = "an" if kind[0].lower() in "aeiou" else "a"
    what = f"{shown}{article} {kind}, not {describe_type(hint)}"
    if isinstance(value, Mapping):
        what = next((_wrong_item(value, kind) for kind in _kinds(hint) if _is_dict(kind)), what)
    return Problem(what, where)


def _wrong_item(value: Mapping[Any, Any], kind: Any) -> str:
    """Describe the first key or value of a dict that has a wrong type."""
    for wanted, noun, items in zip(
        get_args(kind), ("key", "value"), (value, value.values()), strict=True
    ):
        for item in items:
            try:
                convert(item, wanted)
            except TypeError:
                return f"has the {noun} {item!r:.60}, not {describe_type(wanted)}"
    raise AssertionError("all items have the right type")


def describe_type(hint: Any) -> str:
    """Describe in words the type of an annotation."""
    kinds = [kind for kind in _kinds(hint) if kind is not str or os.PathLike not in kinds_of(hint)]
    words = list(dict.fromkeys(word for kind in kinds for word in _type_words(kind)))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Return the types that an annotation allows, ``tuple`` for ``tuple[str, ...]``."""
    return tuple(get_origin(kind) or kind for kind in _kinds(hint))


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _type_words(kind: Any) -> Iterable[str]:
    origin = get_origin(kind) or kind
    if origin is Literal:
        return map(repr, get_args(kind))
    return [_WORDS.get(origin) or f"a {getattr(origin, '__name__', origin)}"]


def _is_dict(kind: Any) -> bool:
    return get_origin(kind) is Mapping


def _is_of(value: Any, kind: Any) -> bool:
    """Whether `value` already has this type."""
    origin = get_origin(kind) or kind
    if origin is Literal:
        return value in get_args(kind)
    if origin in (tuple, Sequence, Mapping):
        return False  # its items must be checked
    if origin is Any or not isinstance(origin, type) or getattr(origin, "_is_protocol", False):
        return True  # Any, or a callable, which is checked when it is used
    if origin in (int, float):
        return type(value) is origin
    return isinstance(value, origin)


def _number_converter(kind: type, wanted: type) -> Callable[[Any, Any], Any]:
    def converter(value: Any, _: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, kind):
            raise TypeError
        return value if isinstance(value, int) else wanted(value)

    return converter


def _convert_text(value: Any, _: Any) -> str:
    path = os.fspath(value)  # raises TypeError
    if not isinstance(path, str):
        raise TypeError
    return path


def _convert_texts(value: Any, _: Any) -> tuple[str, ...]:
    """Convert each item of a list to text, as the names in an AnnData; None is refused."""
    if isinstance(value, str | bytes | Mapping | Set) or not isinstance(value, Iterable):
        raise TypeError
    items = tuple(value)
    if any(item is None for item in items):
        raise TypeError
    return tuple(map(str, items))


def _convert_text_or_texts(value: Any, kind: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else _convert_texts(value, kind)


def _convert_mapping(value: Any, kind: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    key, item = get_args(kind)
    return {convert(k, key): convert(v, item) for k, v in value.items()}


_CONVERTERS: Final[Mapping[Any, Callable[[Any, Any], Any]]] = {
    int: _number_converter(Integral, int),
    float: _number_converter(Real, float),
    str: _convert_text,
    tuple: _convert_text_or_texts,
    Sequence: _convert_texts,
    Mapping: _convert_mapping,
}
