"""`verify` finds nothing wrong in good ready files, and says what is wrong in others."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from atlas import here
from packs import CONTAINERS, write_container
from ready_damage import N, make_ready_data, make_stored

from cellucid_dask import format as fmt
from cellucid_dask.errors import InputError
from cellucid_dask.verify import verify

Values = dict[str, Any]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ready file of each container, and ``data.h5ad``."""
    folder = tmp_path_factory.mktemp("good")
    layout, values = make_stored()
    for container in CONTAINERS:
        write_container(container, layout.nodes(), values, folder)
    make_ready_data().write_h5ad(folder / "data.h5ad")
    return folder


def _write(folder: Path, change: Callable[[Values], None]) -> Path:
    layout, values = make_stored()
    change(values)
    return write_container("v2.zarr", layout.nodes(), values, folder)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_good_file_has_no_problem(good: Path, container: str) -> None:
    report = verify(good / f"a.{container}", good / "data.h5ad", workers=2)
    assert (report.problems, report.not_compared, report.genes_compared) == ((), (), 8)
    assert report.format == container.removeprefix("v2.").removeprefix("v3.").removeprefix(
        "shards."
    )


# -------------------------------------------------------------------------- values


def _put(path: str, where: Any, value: Any) -> Callable[[Values], None]:
    def change(values: Values) -> None:
        values[path][where] = value

    return change


def _set(path: str, value: Any) -> Callable[[Values], None]:
    def change(values: Values) -> None:
        values[path] = value

    return change


def _swap(path: str, i: int, j: int) -> Callable[[Values], None]:
    def change(values: Values) -> None:
        values[path][[i, j]] = values[path][[j, i]]

    return change


QUANTILES = "uns/cellucid/outlierQuantiles/fields/group"
DAMAGE = [
    (_put("X/data", 3, np.nan), "X/data: 1 values are not finite, the first is entry 3"),
    (_put("X/data", 4, 0), "X/data: 1 values are zero, the first is entry 4"),
    (_swap("X/indices", 0, 1), "X/indices: does not rise within gene 0"),
    (_put("X/indices", 0, -1), "X/indices: has the index -1 of 60"),
    (_put("X/indptr", 1, 999), "X/indptr: falls at gene 1"),
    (_put("X/indptr", 0, 1), "X/indptr: goes from 1 to"),
    (_put("var/_index", 2, "g1"), "var/_index: 'g1' is there twice"),
    (_put("obs/_index", 2, ""), "obs/_index: has an empty name"),
    (_put("obs/group/codes", 5, 3), "obs/group/codes: has code 3 of 3 categories, in row 5"),
    (_put("obs/group/codes", 5, -2), "obs/group/codes: has code -2 of 3 categories, in row 5"),
    (_put("obs/group/categories", 1, "a"), "obs/group/categories: 'a' is there twice"),
    (_put("obs/score", 7, np.inf), "obs/score: is infinite in row 7"),
    (_put("obs/maybe/mask", slice(None), False), "obs/maybe/mask: masks nothing"),
    (_put("obsm/X_umap", (9, 1), np.nan), "obsm/X_umap: is not finite in row 9"),
    (_put("obsp/connectivities/data", 0, 9), "obsp/connectivities: is not symmetric"),
    (_put("obsp/connectivities/data", 0, -1), "obsp/connectivities/data: has the weight -1.0"),
    (_put(QUANTILES, 1, 2), f"{QUANTILES}:"),
    (_swap(QUANTILES, 1, 2), f"{QUANTILES}:"),
    (_set("uns/cellucid/schema", 2), "uns/cellucid/schema: is 2, not 1"),
    (_set("uns/cellucid/id", "a/b"), "uns/cellucid/id: 'a/b' is not an id"),
    (_set("uns/cellucid/name", "x "), "uns/cellucid/name: 'x ' is not shown as it is stored"),
    (_set("uns/title", "other"), "uns/title: is 'other'"),
    (_set("uns/cellucid/description", "a\u200bb"), "uns/cellucid/description: is not shown"),
    (_set("uns/cellucid/citation/url", "ftp://x"), "uns/cellucid/citation/url: 'ftp://x' is not"),
    (_set("uns/cellucid/defaults/latentKey", "X"), "uns/cellucid/defaults/latentKey: obsm has no"),
    (_set("uns/cellucid/defaults/geneIdColumn", "X"), "uns/cellucid/defaults/geneIdColumn: var"),
    (_set("uns/cellucid/defaults/vectorFieldDefault", "velocity_umap"), "obsm has no 'velocity_u"),
    (_put("uns/cellucid/defaults/obsKeys", 0, "X"), "uns/cellucid/defaults/obsKeys: obs has no"),
    (_put("uns/cellucid/defaults/embedding2d/columns", 0, 2), "the columns [2, 0] are not 2 of"),
]


@pytest.mark.parametrize(("change", "problem"), DAMAGE, ids=[text for _, text in DAMAGE])
def test_wrong_values_are_named(
    tmp_path: Path, change: Callable[[Values], None], problem: str
) -> None:
    problems = verify(_write(tmp_path, change)).problems
    assert any(problem in line for line in problems), problems


def test_float64_needs_large_whole_numbers(tmp_path: Path) -> None:
    layout, values = make_stored()
    assert layout.x is not None
    wide = replace(layout, x=replace(layout.x, dtype="<f8"))
    values["X/data"] = values["X/data"].astype("f8")
    path = write_container("h5ad", wide.nodes(), values, tmp_path)
    text = "X/data: is float64, and its values are not whole numbers above 2^24"
    assert verify(path).problems == (text,)
    values["X/data"][0] = 2**24 + 1
    (tmp_path / "large").mkdir()
    assert verify(write_container("h5ad", wide.nodes(), values, tmp_path / "large")).ok


# --------------------------------------------------------------- differences from the data


AGAINST = [
    (_put("X/data", 3, 7.5), "X: gene 'g0' differs from the data in 1 cell"),
    (_put("obs/score", 3, 7.5), "obs/score: the values are not those of the data"),
    (_put("obs/maybe/values", 1, 99), "obs/maybe: the values are not those of the data"),
    (_put("obs/group/categories", 1, "bb"), "obs/group: the categories are not those of the data"),
    (_put("obs/_index", 4, "cc"), "obs/_index: 1 names are not those of the data; row 4 is 'cc'"),
    (_put("var/_index", 4, "gg"), "var/_index: 1 genes are not in the data, the first is 'gg'"),
    (_put("var/symbol", 4, "SS"), "var/symbol: the values are not those of the data"),
    (_put("obsm/X_umap", (4, 0), 1), "obsm/X_umap: the values are not those of the data"),
]


@pytest.mark.parametrize(("change", "problem"), AGAINST, ids=[text for _, text in AGAINST])
def test_differences_from_the_data_are_named(
    good: Path, tmp_path: Path, change: Callable[[Values], None], problem: str
) -> None:
    path = _write(tmp_path, change)
    assert verify(path).ok
    problems = verify(path, good / "data.h5ad").problems
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_graph_is_compared_after_it_is_made_symmetric(good: Path, tmp_path: Path) -> None:
    adata = make_ready_data()
    graph = adata.obsp["connectivities"].tolil()
    first, second = (int(i[0]) for i in graph.nonzero())
    graph[first, second] /= 2
    graph[5, 5] = 1
    adata.obsp["connectivities"] = graph.tocsr()
    adata.write_h5ad(tmp_path / "data.h5ad")
    assert verify(good / "a.h5ad", tmp_path / "data.h5ad").ok
    graph[first, second] *= 4
    adata.obsp["connectivities"] = graph.tocsr()
    adata.write_h5ad(tmp_path / "data.h5ad")
    (problem,) = verify(good / "a.h5ad", tmp_path / "data.h5ad").problems
    assert problem == "obsp/connectivities/data: is not that of obsp['connectivities']"


# ---------------------------------------------------------------------- containers


@pytest.mark.parametrize("name", ["indptr", "data", "indices"])
def test_damaged_expression_is_not_compared(good: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.zarr"
    shutil.copytree(good / "a.v2.zarr", path)
    chunk = path / "X" / name / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    report = verify(path, good / "data.h5ad")
    (problem,) = [line for line in report.problems if line.startswith(f"X/{name}: cannot be read")]
    assert report.not_compared == (f"X: {problem}",)
    assert report.genes_compared == 0


@pytest.mark.parametrize("where", [0, 3])
def test_pointers_that_fall_are_not_followed(good: Path, tmp_path: Path, where: int) -> None:
    path = _write(tmp_path, _put("X/indptr", where, 999))
    report = verify(path, good / "data.h5ad")
    assert any(line.startswith("X/indptr: ") for line in report.problems)
    assert report.not_compared == ("X: X/indptr: does not rise from 0 to the number of values",)


@pytest.mark.parametrize("container", ["v2.zarr", "v3.zarr", "shards.zarr"])
def test_a_lost_chunk_is_not_zeros(good: Path, tmp_path: Path, container: str) -> None:
    path = Path(shutil.copytree(good / f"a.{container}", tmp_path / "a.zarr"))
    chunk = "obs/score/0" if container == "v2.zarr" else "obs/score/c/0"
    (path / chunk).unlink()
    problems = verify(path).problems
    fix = "if its writer left them out, use accept_missing_chunks=True"
    assert f"{chunk}: is missing; {fix}" in problems
    report = verify(path, accept_missing_chunks=True)
    assert f"{chunk}: is missing" in report.not_compared


@pytest.mark.parametrize("container", ["v2.zarr", "v3.zarr"])
def test_documents_and_their_copies_agree(good: Path, tmp_path: Path, container: str) -> None:
    path = Path(shutil.copytree(good / f"a.{container}", tmp_path / "a.zarr"))
    name = "obs/group/.zattrs" if container == "v2.zarr" else "obs/group/zarr.json"
    document = path / name
    document.write_text(document.read_text().replace("false", "true"))
    assert f"{name}: differs from the consolidated metadata" in verify(path).problems
    document.unlink()
    assert f"{name}: is missing, the consolidated metadata has it" in verify(path).problems
    root = path / (".zmetadata" if container == "v2.zarr" else "zarr.json")
    text = json.loads(root.read_text())
    if container == "v2.zarr":
        root.unlink()
    else:
        del text["consolidated_metadata"]
        root.write_text(json.dumps(text))
    assert any("a browser cannot list the store" in line for line in verify(path).problems)


def test_other_files_are_named(good: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(good / "a.v2.zarr", tmp_path / "a.zarr"))
    (path / "notes.txt").touch()
    (path / "empty").mkdir()
    (path / "obs" / "link").symlink_to("nowhere")
    assert set(verify(path).problems) == {
        "notes.txt: is not a file of a ready file",
        "empty: is an empty folder",
        "obs/link: is not a regular file",
    }


def test_other_elements_and_storage_are_named(good: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(good / "a.h5ad", tmp_path / "a.h5ad"))
    with h5py.File(path, "r+") as file:
        file["layers/counts"] = np.zeros((N, 8), "f4")
        values = file["obs/score"][...]
        del file["obs/score"]
        made = file.create_dataset("obs/score", data=values, chunks=(7,), compression="lzf")
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        del file["obsm/velocity_umap"]
        file["obsm/velocity_umap"] = h5py.SoftLink("/obsm/X_umap")
        file["var"].attrs["column-order"] = np.array(["symbol", "gone"], h5py.string_dtype())
    problems = verify(path).problems
    for text in (
        "layers/counts: is not an element of a ready file",
        "obs/score: has chunks of 7, not 60",
        "obs/score: filters is [[32000,",
        "obsm/velocity_umap: is a link",
        "var/gone: is missing",
    ):
        assert any(text in line for line in problems), (text, problems)


@pytest.mark.parametrize("container", ["v2.zarr", "v3.zarr.zip", "h5ad"])
def test_checksums_find_any_changed_byte(good: Path, tmp_path: Path, container: str) -> None:
    path = tmp_path / f"a.{container}"
    source = good / f"a.{container}"
    copy = shutil.copytree if source.is_dir() else shutil.copy
    copy(source, path)
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    listed = {}
    for file in files:
        raw = file.read_bytes()
        name = file.relative_to(path).as_posix() if path.is_dir() else path.name
        listed[name] = (len(raw), zlib.crc32(raw))
    beside = tmp_path / f"{path.name}.checksums.json"
    beside.write_text(fmt.dumps(fmt.checksums(listed)))
    assert verify(path).ok
    rng = np.random.default_rng(1)
    for file in (file for file in rng.permutation(np.array(files, object))[:10]):
        raw = file.read_bytes()
        for place in rng.integers(0, len(raw), 3).tolist():
            changed = bytearray(raw)
            changed[place] ^= 1 << int(rng.integers(8))
            file.write_bytes(changed)
            assert not verify(path).ok, (file, place)
        file.write_bytes(raw)
    beside.write_text(fmt.dumps(fmt.checksums({**listed, "gone": (1, 1)})))
    assert verify(path).problems == ("gone: is missing",)


@pytest.mark.parametrize("container", CONTAINERS)
def test_any_damage_is_told_without_a_traceback(good: Path, tmp_path: Path, container: str) -> None:
    """Bytes of metadata and values change at random; a file may still be good then."""
    path, source = tmp_path / f"a.{container}", good / f"a.{container}"
    (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    rng, found = np.random.default_rng(2), 0
    for _ in range(25):
        file = files[int(rng.integers(len(files)))]
        raw = file.read_bytes()
        changed = bytearray(raw)
        changed[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
        file.write_bytes(changed)
        try:
            found += not verify(path, workers=1).ok
        except InputError as error:
            found += "ready" in str(error)
        file.write_bytes(raw)
    assert found > 0


# ------------------------------------------------------------------------- command


def test_the_command_tells_what_it_reads(capfd: Any, good: Path, tmp_path: Path) -> None:
    path, data = good / "a.v2.zarr.zip", good / "data.h5ad"
    done = here(capfd, "verify", path, "--against", data, "--sample", 3, "-q")
    size = f"1 file, {path.stat().st_size / 1000:.1f} kB"
    assert done.code == 0
    assert done.out == f"{path} is intact: {size}; 3 genes compared with {data}\n"
    bad = _write(tmp_path, _put("X/data", 3, np.nan))
    done = here(capfd, "verify", bad, "-q")
    assert (done.code, done.out.splitlines()[-1]) == (1, f"{bad} is damaged: 1 problem")


def test_other_files_are_refused(good: Path, tmp_path: Path) -> None:
    adata = make_ready_data()
    del adata.uns["cellucid"]
    adata.write_h5ad(tmp_path / "plain.h5ad")
    with pytest.raises(InputError, match=r"not a ready file: it has no uns\['cellucid'\]"):
        verify(tmp_path / "plain.h5ad")
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match="neither the folder of an export nor a ready file"):
        verify(tmp_path / "notes.txt")
    (tmp_path / "cut.h5ad").write_bytes((good / "a.h5ad").read_bytes()[:3000])
    (problem,) = verify(tmp_path / "cut.h5ad").problems
    assert problem.startswith("cut.h5ad: cannot be read")
