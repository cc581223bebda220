"""The formats of an export, and the options that only some of them have a use for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from cellucid_dask.errors import Problem, suggest
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.ready.facts import FORMATS

FOLDER: Final = "folder"
ALL_FORMATS: Final = (FOLDER, *FORMATS)  # in the order in which they are written
# Why a run that writes no folder has no use for an option.
OF_FOLDER: Final[Mapping[str, str]] = {
    "compression": "ready files are deflated at level 6, as by the public writer",
    "var_quantization": "ready files keep float32",
    "obs_quantization": "ready files keep the numbers of obs as they are",
    "categorical_dtype": "in ready files the number of categories decides on the type",
    "centroid_quantile": "ready files hold no centroids, the viewer makes them",
    "cell_ids": "ready files hold the names of cells in any case",
    "created_at": "ready files hold no time",
    "preview": "the sheet is drawn from a folder",
}
OF_EXPORT: Final = ("format", "zarr_format", "shards")  # fields that a server has no use for
OF_READY: Final = (*OF_EXPORT, "citation_url")  # fields that only ready files have a use for


def split_formats(text: str) -> tuple[str, ...]:
    """Split a list of formats at its commas; sort the known ones, keep the unknown ones last."""
    names = [name.strip() for name in text.split(",")]
    place = {name: i for i, name in enumerate(ALL_FORMATS)}
    return tuple(sorted(names, key=lambda name: place.get(name, len(place))))


def find_format_problems(names: Iterable[str]) -> Iterator[Problem]:
    """Find the names that are no format, or are given twice."""
    seen: set[str] = set()
    for name in names:
        if name not in ALL_FORMATS:
            fix = suggest(name, ALL_FORMATS, noun="formats are")
            yield Problem(f"{name!r} is not a format", "--format", fix)
        elif name in seen:
            yield Problem(f"{name!r} is given twice", "--format", "leave one out")
        seen.add(name)


def find_zarr_problems(
    formats: Iterable[str], zarr_format: int | None, *, shards: bool
) -> Iterator[Problem]:
    """Find what is wrong with the options of zarr stores."""
    zarr = any(name in ("zarr", "zarr.zip") for name in formats)
    if zarr_format is not None and zarr_format not in (2, 3):
        yield Problem(f"{zarr_format} is not a format of zarr", "--zarr-format", "use 2 or 3")
    if zarr_format is not None and not zarr:
        yield _without("no zarr store is written", "--zarr-format", "--format zarr or zarr.zip")
    if shards and not zarr:
        yield _without("no zarr store is written", "--shards", "--format zarr or zarr.zip")
    elif shards and zarr_format != 3:
        yield _without("only zarr format 3 has shards", "--shards", "--zarr-format 3")


def _without(why: str, option: str, other: str) -> Problem:
    return Problem(f"has no use: {why}", option, f"leave it out, or use {other}")


def find_useless_options(given: Mapping[str, Any], formats: Collection[str]) -> Iterator[Problem]:
    """Find the options among the `given` ones that none of the formats has a use for.

    None is no problem: it asks for nothing that is not done.
    """
    if tuple(formats) == (FOLDER,) and given.get("citation_url") is not None:
        fix = "leave it out, or write a ready file with --format"
        yield Problem("has no use: a folder holds no such URL", "--citation-url", fix)
    if FOLDER in formats or not FORMATS.keys() & set(formats):
        return
    for name, value in given.items():
        if name in OF_FOLDER and value is not None:
            what = f"is of the folder format: {OF_FOLDER[name]}"
            yield Problem(what, option_of(name), "leave it out, or add 'folder' to --format")
