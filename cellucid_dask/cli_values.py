"""Values of the command line as the functions take them, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cellucid_dask.errors import Problem


def named(given: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Command line values as keyword arguments, and what is wrong with how they are written."""
    problems: list[Problem] = []
    values = {key: value for key, value in given.items() if value is not None}
    for switch, option in (
        ("no_graph", "connectivity"),
        ("no_vectors", "vectors"),
        ("no_genes", "expression"),
    ):
        values[option] = not values.pop(switch)
    if values.get("graph") and not values["connectivity"]:
        what = "--graph and --no-graph cannot both be given"
        problems.append(Problem(what, fix="leave one of them out"))
    for name in ("var_quantization", "obs_quantization"):
        bits = values.get(name)
        if bits is not None:
            values[name] = None if bits == "none" else int(bits) if bits.isdecimal() else bits
    values["embeddings"] = read_embeddings(values.pop("embeddings"), problems)
    listed = _genes(values.pop("genes_file", None), problems)
    values["genes"] = (*values["genes"], *listed) or None
    values["obs_keys"] = values["obs_keys"] or None
    return values, problems


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
