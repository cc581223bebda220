"""Values of the command line as arguments of the Python functions, and their problems."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cellucid_dask.errors import Problem
from cellucid_dask.options.argument_names import NEGATIVE, option_of


def keep_given(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what the user gave: an option that a format has no use for is refused only then."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return {
        name: value
        for name, value in given.items()
        if context.get_parameter_source(name) is not default
    }


def parse_arguments(given: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Turn values of the command line into keyword arguments; return them and their problems."""
    problems: list[Problem] = []
    values = {key: value for key, value in given.items() if value is not None}
    for argument, option in NEGATIVE.items():
        switch = option.removeprefix("--").replace("-", "_")
        if switch in values:
            values[argument] = not values.pop(switch)
    if values.get("graph") and not values.get("connectivity", True):
        what = "--graph and --no-graph cannot both be given"
        problems.append(Problem(what, fix="leave one of them out"))
    for name in ("var_quantization", "obs_quantization"):
        if name in values:
            values |= _parse_bits(name, values.pop(name), problems)
    values["embeddings"] = parse_embeddings(values.pop("embeddings", ()), problems)
    listed = _read_genes_file(values.pop("genes_file", None), problems)
    values["genes"] = (*values.get("genes", ()), *listed) or None
    values["obs_keys"] = values.get("obs_keys") or None
    return values, problems


def _parse_bits(name: str, text: str, problems: list[Problem]) -> dict[str, int | None]:
    """Parse a number of bits into an argument; empty where it cannot be parsed."""
    if text != "none" and not text.isdecimal():
        option = option_of(name)
        problems.append(Problem(f"{text!r} bits", option, f"use 8, 16 or {option} none"))
        return {}
    return {name: None if text == "none" else int(text)}


def parse_embeddings(texts: tuple[str, ...], problems: list[Problem]) -> dict[int, tuple[str, ...]]:
    """Parse ``2d=KEY`` texts into obsm keys by dimension; append what is wrong to `problems`."""
    keys: dict[int, tuple[str, ...]] = {}
    for text in texts:
        dim, _, key = text.partition("=")
        if dim not in ("1d", "2d", "3d") or not key:
            problems.append(Problem(f"{text!r} cannot be read", "--embedding", "write 2d=KEY"))
        else:
            keys[int(dim[0])] = (*keys.get(int(dim[0]), ()), key)
    return keys


def _read_genes_file(path: str | None, problems: list[Problem]) -> list[str]:
    if path is None:
        return []
    if Path(path).exists() and not Path(path).is_file():
        problems.append(
            Problem(f"{path!r} is not a regular file", "--genes-file", "name another file")
        )
        return []
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"{path!r} cannot be read ({error})", "--genes-file"))
        return []
    genes = [line.strip() for line in lines if line.strip()]
    if not genes:
        problems.append(
            Problem(f"{path!r} holds no gene id", "--genes-file", "write one gene id on each line")
        )
    return genes
