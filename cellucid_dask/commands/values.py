"""Values of the command line as the functions take them, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cellucid_dask.errors import Problem
from cellucid_dask.options.argument_names import NEGATIVE, option_of


def named(given: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Command line values as keyword arguments, and what is wrong with how they are written."""
    problems: list[Problem] = []
    values = {key: value for key, value in given.items() if value is not None}
    for argument, option in NEGATIVE.items():
        switch = option.removeprefix("--").replace("-", "_")
        if switch in values:
            values[argument] = not values.pop(switch)
    if values.get("graph") and not values["connectivity"]:
        what = "--graph and --no-graph cannot both be given"
        problems.append(Problem(what, fix="leave one of them out"))
    for name in ("var_quantization", "obs_quantization"):
        if name in values:
            values |= _bits(name, values.pop(name), problems)
    values["embeddings"] = read_embeddings(values.pop("embeddings"), problems)
    listed = _genes(values.pop("genes_file", None), problems)
    values["genes"] = (*values["genes"], *listed) or None
    values["obs_keys"] = values["obs_keys"] or None
    return values, problems


def _bits(name: str, text: str, problems: list[Problem]) -> dict[str, int | None]:
    """Bits of a value, as an argument; nothing where they cannot be read."""
    if text != "none" and not text.isdecimal():
        option = option_of(name)
        problems.append(Problem(f"{text!r} bits", option, f"use 8, 16 or {option} none"))
        return {}
    return {name: None if text == "none" else int(text)}


def read_embeddings(texts: tuple[str, ...], problems: list[Problem]) -> dict[int, str]:
    """Keys of obsm by dimension; what cannot be read is added to `problems`."""
    found: dict[int, str] = {}
    for text in texts:
        dim, _, key = text.partition("=")
        if dim not in ("1d", "2d", "3d") or not key:
            problems.append(Problem(f"{text!r} cannot be read", "--embedding", "write 2d=KEY"))
        elif int(dim[0]) in found:
            problems.append(Problem(f"{dim} is given twice", "--embedding", "leave one out"))
        else:
            found[int(dim[0])] = key
    return found


def _genes(path: str | None, problems: list[Problem]) -> list[str]:
    if path is None:
        return []
    if Path(path).exists() and not Path(path).is_file():
        problems.append(
            Problem(f"{path!r} is no regular file", "--genes-file", "name another file")
        )
        return []
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"{path!r} cannot be read ({error})", "--genes-file"))
        return []
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        problems.append(Problem(f"{path!r} names no gene", "--genes-file", "one gene id a line"))
    return found
