"""Ready files of `export` beside those of the oracle: everything that is stored is equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import pytest
import zarr
from oracle import silent
from ready_inputs import IDENTITY, INPUTS
from ready_oracle import ReadyOracle
from ready_sides import defaults_of, formats_of, save, write_ours, write_theirs
from ready_trees import find_differences, list_chunks, read_tree

from cellucid_dask.verify import verify

OWN = {  # where a name is there twice, ours is told to make it unique
    "repeated names": {"rename_duplicates": True},
}


@dataclass(frozen=True)
class Made:
    """An input of `INPUTS` by its name, in a file, and our ready files of it."""

    name: str
    data: Path
    options: Mapping[str, Any]
    ours: Mapping[str, Path]


@pytest.fixture(scope="module", params=INPUTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder, name = tmp_path_factory.mktemp("made"), request.param
    data = save(INPUTS[name].make(), folder / "data.h5ad")
    options = {**IDENTITY, **INPUTS[name].options}
    given = {**options, **OWN.get(name, {})}
    return Made(name, data, options, write_ours(data, folder / "ours", given, formats_of(name)))


def test_everything_that_is_stored_is_equal(
    made: Made, ready_oracle: ReadyOracle, tmp_path: Path
) -> None:
    told = defaults_of(made.ours["atlas.h5ad"])  # ours finds what the oracle has to be told
    options, formats = {**made.options, **told}, formats_of(made.name)
    theirs = write_theirs(ready_oracle, made.data, tmp_path / "theirs", options, formats)
    for file, path in made.ours.items():
        assert find_differences(read_tree(path), read_tree(theirs[file])) == [], file
        if not file.endswith(".h5ad"):  # the oracle leaves out chunks of zeros
            chunks, fewer = list_chunks(path), set(list_chunks(theirs[file]))
            assert [key for key in chunks if key in fewer] == list_chunks(theirs[file])


def test_ours_have_no_problem_and_anndata_does_not_warn(made: Made) -> None:
    for path in made.ours.values():
        assert verify(path, made.data, workers=1).problems == (), path.name
        _read(path)  # a warning would be an error


def _read(path: Path) -> Any:
    if path.suffix == ".h5ad":
        return ad.read_h5ad(path)
    if path.suffix != ".zip":
        return ad.read_zarr(path)
    with zarr.storage.ZipStore(path, mode="r") as store:
        return ad.read_zarr(store)


@pytest.mark.parametrize("file", ["cellrank_50.h5ad", "pbmc68k_reduced.h5ad"])
def test_real_files_are_stored_equally(
    file: str, real_file: Callable[[str], Path], ready_oracle: ReadyOracle, tmp_path: Path
) -> None:
    data = save(_as_the_oracle_needs_it(real_file(file)), tmp_path / "data.h5ad")
    options = {**IDENTITY, "latent_key": "X_pca"}
    ours = write_ours(data, tmp_path / "ours", options)
    told = defaults_of(ours["atlas.h5ad"])
    theirs = write_theirs(ready_oracle, data, tmp_path / "theirs", {**options, **told})
    for name, path in ours.items():
        assert find_differences(read_tree(path), read_tree(theirs[name])) == [], name
        assert verify(path, data).ok, name


def _as_the_oracle_needs_it(path: Path) -> ad.AnnData:
    """Read a real file, and make its graph symmetric."""
    adata = silent(ad.read_h5ad, path)
    if "connectivities" in adata.obsp:
        graph = adata.obsp["connectivities"]
        adata.obsp["connectivities"] = graph.maximum(graph.T).tocsr()
        adata.obsp["connectivities"].setdiag(0)
    return adata
