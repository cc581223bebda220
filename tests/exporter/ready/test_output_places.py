"""What may lie where ready files are written: every problem of all outputs is told at once."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from atlas import atlas, save

from cellucid_dask import CellucidDaskError, export
from cellucid_dask.exporter.output_checks import output_problems
from cellucid_dask.exporter.output_names import name_outputs
from cellucid_dask.options.run import RunOptions

EVERY = ("folder", "zarr", "zarr.zip", "h5ad")


def problems(
    out: Path, *formats: str, force: bool = False, data: Path | None = None, **run: Path
) -> dict[str, str]:
    outputs = name_outputs(out, formats or EVERY, "")
    options = RunOptions(force=force, **run)  # type: ignore[arg-type]
    found = output_problems(outputs, options, None if data is None else str(data))
    return {problem.where.removeprefix(f"{out.parent}/"): problem.what for problem in found}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def stored(out: Path) -> None:
    """Put all formats where they are written."""
    out.mkdir()
    (out / "dataset_identity.json").write_text("{}")
    save(atlas(20, 3), out.with_name("out.zarr"))
    save(atlas(20, 3), out.with_name("out.zarr.zip"))
    save(atlas(20, 3), out.with_name("out.h5ad"))
    for end in (".zarr", ".zarr.zip", ".h5ad"):
        sums = out.with_name(f"out{end}.checksums.json")
        sums.write_text('{"_format": "checksums_v1", "algorithm": "crc32", "files": {}}')


def test_nothing_is_in_the_way(out: Path) -> None:
    assert problems(out) == {}
    assert problems(out, "zarr", force=True) == {}


def test_what_exists_is_replaced_with_force_only(out: Path) -> None:
    stored(out)
    exists = dict.fromkeys(("out.zarr", "out.zarr.zip", "out.h5ad"), "exists")
    assert problems(out) == {"out": "exists and is not empty", **exists}
    assert problems(out, force=True) == {}


def test_an_empty_folder_and_an_empty_file_are_nothing(out: Path) -> None:
    out.with_name("out.zarr").mkdir()
    out.with_name("out.h5ad").touch()
    assert problems(out) == {"out.h5ad": "exists"}
    assert problems(out, force=True) == {}


def test_checksums_alone_are_in_the_way(out: Path) -> None:
    out.with_name("out.h5ad.checksums.json").write_text('{"_format": "checksums_v1", "files": {}}')
    assert problems(out, "h5ad") == {"out.h5ad.checksums.json": "exists"}
    assert problems(out, "h5ad", force=True) == {}


def other_folder(path: Path) -> None:
    path.mkdir()
    (path / "mine.txt").write_text("mine")


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mine", "mine")


def link(path: Path) -> None:
    path.with_name("target").mkdir()
    path.symlink_to("target")


FOREIGN: list[tuple[str, Callable[[Path], object], str]] = [
    ("out.zarr", other_folder, "is a folder that is no zarr store"),
    ("out.zarr", lambda path: path.write_text("mine"), "is a file, and zarr is a folder"),
    ("out.zarr", link, "is a symbolic link"),
    ("out.h5ad", other_folder, "is a folder, and h5ad is a file"),
    ("out.h5ad", lambda path: path.write_text("mine"), "is a file of another kind than HDF5"),
    ("out.h5ad", other_zip, "is a file of another kind than HDF5"),
    ("out.h5ad", os.mkfifo, "is no regular file"),
    ("out.h5ad", link, "is a symbolic link"),
    ("out.zarr.zip", other_folder, "is a folder, and zarr.zip is a file"),
    ("out.zarr.zip", lambda path: path.write_text("mine"), "is a file of another kind than a zip"),
    ("out.zarr.zip", other_zip, "is a file of another kind than a zip of a zarr store"),
    (
        "out.h5ad.checksums.json",
        lambda path: path.write_text('{"mine": 1}'),
        "is a file of another kind than the checksums that need this name",
    ),
    ("out.zarr.checksums.json", other_folder, "is no regular file, and the checksums need this"),
]


@pytest.mark.parametrize(("name", "make", "what"), FOREIGN)
def test_force_replaces_nothing_else(
    out: Path, name: str, make: Callable[[Path], object], what: str
) -> None:
    make(out.with_name(name))
    for force in (False, True):
        found = problems(out, force=force)
        assert list(found) == [name]
        assert found[name].startswith(what)


def test_the_data_is_never_an_output(tmp_path: Path) -> None:
    data = save(atlas(20, 3), tmp_path / "out.h5ad")
    found = problems(tmp_path / "out", force=True, data=data)
    assert found == {"out.h5ad": "is, holds or lies in the data"}
    store = save(atlas(20, 3), tmp_path / "in.zarr")
    found = problems(store / "out", "zarr", "h5ad", force=True, data=store)
    assert found == dict.fromkeys(("out.zarr", "out.h5ad"), "is, holds or lies in the data")
    with pytest.raises(CellucidDaskError, match="is, holds or lies in the data"):
        export(data, data, format="h5ad", force=True, quiet=True)


def test_a_report_is_no_part_of_an_output(out: Path) -> None:
    sums = out.with_name("out.h5ad.checksums.json")
    assert "checksums of the output" in problems(out, report=sums)["--report"]
    stored(out)
    inside = out.with_name("out.zarr") / "report.json"
    assert "lies in the output" in problems(out, report=inside, force=True)["--report"]


def test_names_leave_room_for_the_files_beside_them(tmp_path: Path) -> None:
    (what,) = problems(tmp_path / ("x" * 220), "h5ad").values()
    assert what.startswith("has a name of more than")
    assert problems(tmp_path / ("x" * 210), "h5ad") == {}


def test_problems_of_data_options_and_names_are_told_together(tmp_path: Path) -> None:
    data = save(atlas(20, 3), tmp_path / "in.h5ad")
    with pytest.raises(CellucidDaskError) as caught:
        export(data, tmp_path / "out.zarr", format="h5ad,zarr.zip", shards=True, genes=["none"])
    assert [p.where for p in caught.value.problems] == ["shards", f"{tmp_path}/out.zarr", "genes"]
