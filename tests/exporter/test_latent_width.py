"""The latent space: which array is taken for it, and memory that its width does not exceed."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
from anndata import AnnData
from atlas import atlas, here, run, save
from scipy import sparse
from serving import Served, ask, serving

from cellucid_dask import export
from cellucid_dask.errors import InputError
from cellucid_dask.exporter.planning.obs_memory import summed_cells
from cellucid_dask.exporter.stages.obs.columns import CodedColumn
from cellucid_dask.exporter.stages.obs.means import sum_by_category
from cellucid_dask.exporter.stages.obs.spaces import Space
from cellucid_dask.files import read_array, write_arrays
from cellucid_dask.format import U8
from cellucid_dask.source.arrays.obsm import wrap_obsm_array
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.row_blocks import RowBlocks
from cellucid_dask.source.discover import named_latent_key
from cellucid_dask.source.open import open_source

Capture = pytest.CaptureFixture[str]
RNG = np.random.default_rng(0)


def with_latent(cells: int = 60, **arrays: Any) -> AnnData:
    """An AnnData of 2D points whose only other arrays of obsm are `arrays`."""
    made = atlas(cells, 3)
    del made.obsp["connectivities"], made.obsm["X_pca"], made.obsm["X_umap_3d"]
    for key, value in arrays.items():
        made.obsm[key] = value
    return made


def dense(width: int, cells: int = 60) -> np.ndarray:
    return RNG.normal(size=(cells, width)).astype("f4")


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "obs_manifest.json").read_text())
    return found


# ---------------------------------------------------------------------- which array it is


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        (("X_emb", "X_harmony", "X_pca"), "X_pca"),
        (("X_emb", "X_PCA"), "X_PCA"),  # forms of the first names before any of the others
        (("a", "X_emb", "X_mnn", "X_spectral_harmony", "X_spectral"), "X_spectral"),
        (("a", "X_emb", "X_mnn"), "X_mnn"),
        (("X_scanorama", "X_totalVI"), "X_totalVI"),
        (("X_bbknn_pca", "X_scanorama"), "X_scanorama"),
        (("x_totalvi", "X_bbknn_pca"), "X_bbknn_pca"),
        (("a", "x_totalvi"), "x_totalvi"),
        (("a", "b"), None),
    ],
)
def test_known_names_in_their_order(keys: Iterable[str], taken: str | None) -> None:
    assert named_latent_key(keys) == taken


def test_what_is_shown_is_no_latent_space_by_a_later_name() -> None:
    assert named_latent_key(["X_emb", "b"], shown=["X_emb"]) is None


def test_export_check_and_serve_say_which_was_taken(tmp_path: Path, capfd: Capture) -> None:
    data = save(with_latent(a=dense(4), X_scanorama=dense(5)), tmp_path / "a.h5ad")
    done = here(capfd, "export", data, "-o", tmp_path / "out", "--workers", 1)
    assert "latent space: obsm/X_scanorama\n" in done.out
    assert manifest(tmp_path / "out")["latent_key"] == "X_scanorama"
    assert "latent    obsm/X_scanorama\n" in here(capfd, "check", data).out
    guessed = save(with_latent(a=dense(4)), tmp_path / "b.h5ad")
    told = "obsm/a, a guess: the first array that is no embedding (--latent-key)"
    assert f"latent    {told}\n" in here(capfd, "check", guessed).out
    done = here(capfd, "export", guessed, "-o", tmp_path / "two", "--workers", 1)
    assert f"latent space: {told}\n" in done.out
    with serving(guessed, quiet=False):  # from Python, which has no options
        in_python = told.replace("--latent-key", "latent_key")
        assert f"latent    {in_python}\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    "array",
    [
        sparse.random(60, 40, 0.1, "csr", np.float32),
        sparse.random(60, 40, 0.1, "csc", np.float32),
        dense(1001),
        da.from_array(sparse.random(60, 40, 0.1, "csr", np.float32), chunks=(30, 40)),
    ],
    ids=["csr", "csc", "wide", "dask"],
)
@pytest.mark.parametrize("ending", ["", ".h5ad", ".zarr"])
def test_sparse_and_very_wide_arrays_are_not_guessed(
    array: Any, ending: str, tmp_path: Path
) -> None:
    data: Any = with_latent(tiles=array)
    if ending and not isinstance(array, RowArray):
        data = save(data, tmp_path / f"a{ending}")
    done = export(data, tmp_path / "out", workers=1, quiet=True)
    assert manifest(tmp_path / "out")["latent_key"] == "X_umap_2d"
    assert (
        "no latent space in obsm: outlier quantiles are computed on X_umap_2d; "
        "sparse and very wide arrays are not guessed: tiles" in done.warnings
    )


def test_sparse_arrays_of_some_cells_are_not_guessed(tmp_path: Path) -> None:
    data = with_latent(tiles=sparse.random(60, 40, 0.1, "csr", np.float32))
    data.obsm["X_umap_2d"][7] = np.nan
    path = save(data, tmp_path / "a.h5ad")
    options: dict[str, Any] = {"drop_cells_without_embedding": True, "workers": 1, "quiet": True}
    export(path, tmp_path / "out", **options)
    assert manifest(tmp_path / "out")["latent_key"] == "X_umap_2d"


def test_a_thousand_columns_may_be_guessed(tmp_path: Path) -> None:
    export(with_latent(mine=dense(1000)), tmp_path / "out", workers=1, quiet=True)
    assert manifest(tmp_path / "out")["latent_key"] == "mine"


# ------------------------------------------------------------------------------- memory


def fragments(path: Path) -> Path:
    """An obsm of fragments: 3 billion columns, sparse."""
    width = 3_088_269_832
    with h5py.File(save(with_latent(), path), "r+") as file:
        group = file["obsm"].create_group("fragments")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = np.array([60, width])
        group["indptr"] = np.arange(61) * 5
        group["indices"] = np.sort(RNG.integers(0, width, (60, 5)), axis=1).ravel()
        group["data"] = RNG.integers(50, 300, 300).astype("i4")
    return path


def test_a_plan_that_cannot_fit_is_refused(tmp_path: Path, capfd: Capture) -> None:
    data = fragments(tmp_path / "fragments.h5ad")
    words = ("--latent-key", "fragments", "--memory", "800MB", "--workers", 1)
    done = here(capfd, "export", data, "-o", tmp_path / "out", *words)
    assert done.code == 2
    assert re.search(r"800\.0 MB is too little .* a task needs \d+\.\d GB", done.err), done.err
    assert "or choose others with --latent-key or --obs-key: obsm/fragments has" in done.err
    assert "3,088,269,832 columns, obs['cell_type'] 3 categories" in done.err
    assert not (tmp_path / "out").exists()
    assert here(capfd, "export", data, "-o", tmp_path / "out", "--workers", 1).code == 0


def test_a_server_refuses_what_cannot_fit(tmp_path: Path) -> None:
    data = fragments(tmp_path / "fragments.h5ad")
    told = r"outlier quantiles need \d+\.\d GB of memory, and there are .*3,088,269,832 columns"
    with pytest.raises(InputError, match=told), serving(data, latent_key="fragments"):
        pass
    with serving(data) as server:
        assert ask(server, "/obs_manifest.json").status == 200


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 cells with an embedding of 1,280 columns: 102 MB, and 205 MB as float64."""
    made = with_latent(20_000)
    row = dense(1280, 4000)
    path = save(made, tmp_path_factory.mktemp("wide") / "wide.h5ad")
    with h5py.File(path, "r+") as file:
        array = file["obsm"].create_dataset("X_uce", (20_000, 1280), "f4")
        for start in range(0, 20_000, 4000):
            array[start : start + 4000] = row
        array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return path


def test_a_wide_latent_space_stays_within_the_memory(wide: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("-o", tmp_path / "out", "--latent-key", "X_uce", "--workers", 1, "--report", report)
    done = run("export", wide, *words, "--memory", "400MB", "--quiet", cwd=tmp_path)
    assert done.code == 0, done.err
    assert json.loads(report.read_text())["peak_memory_bytes"] < 400_000_000


def test_a_server_of_a_wide_latent_space_obeys_as_well(wide: Path, tmp_path: Path) -> None:
    """It answers what the export holds."""
    options: dict[str, Any] = {"compression": 0, "obs_quantization": None, "workers": 1}
    export(wide, tmp_path / "out", latent_key="X_uce", quiet=True, **options)
    words = (wide, "--latent-key", "X_uce", "--cache-size", "64MB", "--port", 0)
    with Served(*words, folder=tmp_path) as server:
        answer = ask(server, "/obs/cell_type.outliers.f32", seconds=60)
        said = Path(f"/proc/{server.process.pid}/status").read_text()
    assert answer.body == (tmp_path / "out/obs/cell_type.outliers.f32").read_bytes()
    peak = re.search(r"VmHWM:\s+(\d+) kB", said)
    assert peak
    assert int(peak[1]) < 400_000


def test_cells_are_added_one_after_the_other(tmp_path: Path) -> None:
    """However many are read at a time, so that no bit of a sum hangs on it."""
    cells, width, k = 3000, 1400, 3
    array, codes = dense(width, cells) * 1000, RNG.integers(0, k, cells).astype("u1")
    assert summed_cells(width + 1, k) < cells, "the cells come in several pieces"
    write_arrays(tmp_path / "codes", [codes])
    column = CodedColumn("kind", k, U8, str(tmp_path / "codes"))
    space = Space("latent", width, RowArray.of(array, 997))
    sum_by_category([column], [space], (0, cells), str(tmp_path / "sums"))
    found = read_array(str(tmp_path / "sums"), "float64").reshape(k, width + 1)
    for kind in range(k):
        inside = array[codes == kind].astype("f8")
        assert np.array_equal(found[kind, :-1], np.cumsum(inside, axis=0)[-1])
        assert found[kind, -1] == len(inside)


# ------------------------------------------------------------------------------- blocks


def obsm_blocks(path: Path, key: str = "x") -> tuple[RowArray, RowBlocks]:
    array = open_source(path).obsm[key]
    assert isinstance(array, RowArray)
    return array, RowBlocks.of(array)


def put(path: Path, shape: tuple[int, int], chunks: tuple[int, int] | None) -> Path:
    """Add an array of zeros to obsm, of which nothing but a chunk is stored."""
    with h5py.File(path, "r+") as file:
        del file["obsm/x"]
        storage: dict[str, Any] = {"chunks": chunks, "compression": "gzip"} if chunks else {}
        array = file["obsm"].create_dataset("x", shape, "f4", **storage)
        array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return path


@pytest.mark.parametrize(
    ("width", "chunk_rows", "rows", "n_bytes"),
    [
        (2, None, 1 << 17, 8 << 17),  # an embedding: blocks as ever
        (50, None, (8 << 20) // 200, 8 << 20),
        (1280, 100, 1600, 1600 * 5120 + 2 * 100 * 5120),  # whole chunks
        (1280, 3000, 3000, 3 * 3000 * 5120),  # a chunk that is larger is a block
        (1280, 60_000, 6553, 6553 * 5120 + 2 * 60_000 * 5120),  # or several blocks
    ],
)
def test_chunks_on_disk_are_counted(
    tmp_path: Path, width: int, chunk_rows: int | None, rows: int, n_bytes: int
) -> None:
    cells = 200_000 if width < 1000 else 60_000
    path = put(save(with_latent(x=dense(1)), tmp_path / "a.h5ad"), (cells, width), None)
    if chunk_rows:
        path = put(path, (cells, width), (chunk_rows, width))
    array, blocks = obsm_blocks(path)
    assert array.ends[0] == blocks.rows == rows
    assert n_bytes * 0.999 <= blocks.n_bytes <= n_bytes


def test_zarr_decodes_several_chunks_at_a_time(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    path = save(with_latent(x=dense(400)), tmp_path / "a.zarr")
    group = zarr.open_group(path, mode="r+")
    attributes = dict(group["obsm/x"].attrs)
    del group["obsm/x"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = group.create_array("obsm/x", shape=(60, 400), chunks=(30, 20), dtype="f4")
    made.attrs.update(attributes)
    _, blocks = obsm_blocks(path)
    assert blocks.n_bytes == 60 * 400 * 4 + 2 * 10 * 30 * 20 * 4


def test_a_csc_array_is_read_when_it_is_used(tmp_path: Path) -> None:
    """Opening reads none of it; in the end it is what CSR is."""
    values = sparse.random(60, 5, 0.5, "csr", np.float32)
    one, two = (
        save(with_latent(X_pca=values.asformat(kind)), tmp_path / f"{kind}.h5ad")
        for kind in ("csr", "csc")
    )
    trees = []
    for path in (one, two):
        export(path, tmp_path / f"{path.stem}.out", workers=1, quiet=True)
        trees.append((tmp_path / f"{path.stem}.out/obs/cell_type.outliers.u8.gz").read_bytes())
    assert trees[0] == trees[1]
    with h5py.File(two, "r+") as file:
        file["obsm/X_pca/indices"][...] = 1000
    array, blocks = obsm_blocks(two, "X_pca")
    assert blocks.sparse
    assert array.shape == (60, 5)


def test_a_block_of_a_dask_array_is_computed_once(tmp_path: Path) -> None:
    computed: list[int] = []

    def make(block_id: tuple[int, int]) -> np.ndarray:
        computed.append(block_id[0])
        return np.full((30_000, 300), block_id[0], "f4")

    array = da.map_blocks(
        make, chunks=((30_000, 30_000), (300,)), dtype="f4", meta=np.empty((0, 0), "f4")
    )
    assert RowBlocks.of(wrap_obsm_array(array, "obsm/x")).n_bytes == 2 * 30_000 * 300 * 4
    write_arrays(tmp_path / "codes", [np.zeros(60_000, "u1")])
    column = CodedColumn("kind", 1, U8, str(tmp_path / "codes"))
    space = Space("latent", 300, wrap_obsm_array(array, "obsm/x"))
    sum_by_category([column], [space], (0, 60_000), str(tmp_path / "sums"))
    assert computed == [0, 1]
