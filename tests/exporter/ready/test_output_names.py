"""Where the formats of a run are written, and names that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellucid_dask.exporter.output_names import find_name_problems, name_outputs

EVERY = ("folder", "zarr", "zarr.zip", "h5ad")


def names(out: str | None, *formats: str) -> list[str]:
    path = None if out is None else Path(out)
    assert not [*find_name_problems(path, formats)]
    return [str(path) for path in name_outputs(path, formats, "atlas").values()]


@pytest.mark.parametrize(
    ("out", "formats", "expected"),
    [
        (None, ("folder",), ["exports/atlas"]),
        (None, ("zarr",), ["exports/atlas.zarr"]),
        (None, EVERY, [f"exports/atlas{end}" for end in ("", ".zarr", ".zarr.zip", ".h5ad")]),
        ("a/b.v2", ("folder",), ["a/b.v2"]),
        ("a/b", ("h5ad",), ["a/b.h5ad"]),
        ("b.v2", ("zarr.zip",), ["b.v2.zarr.zip"]),
        ("b.H5AD", ("h5ad",), ["b.H5AD"]),
        ("/a/b.zarr.zip", ("zarr.zip",), ["/a/b.zarr.zip"]),
        ("a/b", ("folder", "zarr"), ["a/b", "a/b.zarr"]),
        ("a/b.zarr", ("folder", "zarr"), ["a/b", "a/b.zarr"]),
        ("b.zarr", ("zarr", "h5ad"), ["b.zarr", "b.h5ad"]),
        ("b.h5ad", ("zarr", "h5ad"), ["b.zarr", "b.h5ad"]),
    ],
)
def test_names(out: str | None, formats: tuple[str, ...], expected: list[str]) -> None:
    assert names(out, *formats) == expected


@pytest.mark.parametrize(
    ("out", "formats", "parts"),
    [
        ("a/b.zarr", ("zarr.zip",), ("ends in .zarr", "name it 'a/b.zarr.zip'")),
        ("a/b.zarr.zip", ("zarr",), ("ends in .zarr.zip", "name it 'a/b.zarr'")),
        ("b.h5ad", ("folder", "zarr"), ("ends in .h5ad", "name it 'b'")),
        ("a/b.h5ad", ("folder",), ("ends in .h5ad", "add --format h5ad, or name it 'a/b'")),
        ("b.zarr.zip", ("folder",), ("ends in .zarr.zip", "add --format zarr.zip, or name it 'b'")),
        ("a/.zarr", ("zarr",), ("no name besides", "exports/NAME")),
        (".", ("h5ad",), ("no name besides", "exports/NAME")),
        ("a/..", ("h5ad",), ("no name besides", "exports/NAME")),
    ],
)
def test_names_that_are_refused(out: str, formats: tuple[str, ...], parts: tuple[str, ...]) -> None:
    (problem,) = find_name_problems(Path(out), formats)
    assert problem.where == str(Path(out))
    assert all(part in str(problem) for part in parts), str(problem)
