"""Ready files of the oracle: the comparison sees what differs, and `verify` finds nothing wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from ready_inputs import IDENTITY, INPUTS
from ready_oracle import ReadyOracle
from ready_sides import FORMATS, formats_of, save, write_theirs
from ready_trees import find_differences, read_tree

from cellucid_dask.verify import verify


@pytest.fixture(scope="module")
def written(ready_oracle: ReadyOracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``latent.h5ad`` and its ready files in ``theirs``."""
    folder = tmp_path_factory.mktemp("oracle")
    data = save(INPUTS["latent"].make(), folder / "latent.h5ad")
    options = {**IDENTITY, **INPUTS["latent"].options}
    write_theirs(ready_oracle, data, folder / "theirs", options)
    return folder


@pytest.mark.parametrize("name", INPUTS)
def test_files_of_the_oracle_have_no_problem(
    name: str,
    ready_oracle: ReadyOracle,
    tmp_path: Path,
) -> None:
    data = save(INPUTS[name].make(), tmp_path / "data.h5ad")
    options = {**IDENTITY, **INPUTS[name].options}
    theirs = write_theirs(ready_oracle, data, tmp_path / "theirs", options, formats_of(name))
    for path in theirs.values():
        report = verify(path, data, workers=1, accept_missing_chunks=True)
        assert report.problems == (), path.name
        n_genes = len(options.get("gene_identifiers", INPUTS[name].make().var_names))
        assert report.genes_compared == n_genes


@pytest.mark.parametrize("name", [name for name, _, _ in FORMATS])
def test_a_tree_equals_itself(written: Path, name: str) -> None:
    tree = read_tree(written / "theirs" / name)
    assert len(tree) > 50
    assert find_differences(tree, read_tree(written / "theirs" / name)) == []


def _change_hdf5(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return changed


def _swap(file: h5py.File) -> None:
    file["X/data"][3:5] = file["X/data"][3:5][::-1]


def _rechunk(file: h5py.File) -> None:
    values, attributes = file["obs/score"][...], dict(file["obs/score"].attrs)
    del file["obs/score"]
    made = file.create_dataset("obs/score", data=values, chunks=(7,))
    made.attrs.update(attributes)


def _retype(file: h5py.File) -> None:
    file["obs/group"].attrs["ordered"] = 0


def _lose(file: h5py.File) -> None:
    del file["varm"]


def _nudge(file: h5py.File) -> None:
    quantiles = file["uns/cellucid/outlierQuantiles/fields/group"]
    quantiles[...] = quantiles[...] + np.float32(1e-4)


@pytest.mark.parametrize("change", [_swap, _rechunk, _retype, _lose, _nudge])
def test_a_changed_h5ad_differs(
    written: Path, tmp_path: Path, change: Callable[[h5py.File], None]
) -> None:
    theirs = written / "theirs" / "atlas.h5ad"
    copy = Path(shutil.copy(theirs, tmp_path / "copy.h5ad"))
    _change_hdf5(change)(copy)
    assert len(find_differences(read_tree(copy), read_tree(theirs))) == 1


@pytest.mark.parametrize("name", ["two.zarr", "three.zarr"])
def test_a_changed_zarr_differs(written: Path, tmp_path: Path, name: str) -> None:
    theirs = read_tree(written / "theirs" / name)
    copy = Path(shutil.copytree(written / "theirs" / name, tmp_path / name))
    zarr.open_array(copy, path="obs/score", mode="r+")[2] = 7
    assert [line.split(":")[0] for line in find_differences(read_tree(copy), theirs)] == [
        "obs/score"
    ]
    document = copy / "obs/score" / (".zarray" if name == "two.zarr" else "zarr.json")
    text = document.read_text().replace('"level": 6', '"level": 5')
    document.write_text(text.replace('"clevel": 6', '"clevel": 5'))
    assert json.loads(text) != json.loads(document.read_text()) or '"level": 5' in text
    assert len(find_differences(read_tree(copy), theirs)) == 2
