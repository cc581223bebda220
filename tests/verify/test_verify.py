"""`verify` on exports of the reference exporter, whole and damaged."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from atlas import save
from scipy import sparse
from verifying import N_CELLS, N_GENES, make_adata, reference, seal

from cellucid_dask import format as fmt
from cellucid_dask.errors import InputError, OptionError, ReadError
from cellucid_dask.verify import VerifyReport, verify
from cellucid_dask.verify.source_data.anndata_file import open_source_data
from cellucid_dask.verify.source_data.derive import column_to_float32, is_continuous
from cellucid_dask.verify.source_data.gene_columns import read_gene_columns


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "atlas.h5ad"
    make_adata().write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int | None, int | None], Path]:
    root, adata = tmp_path_factory.mktemp("exports"), make_adata()
    return {
        (bits, level): reference(adata, root / f"{bits}-{level}", bits, level)
        for bits in (8, 16, None)
        for level in (6, None)
    }


@pytest.fixture
def plain(exports: dict[Any, Path], tmp_path: Path) -> Path:
    """A copy of the 8-bit export without compression, to be damaged."""
    return Path(shutil.copytree(exports[8, None], tmp_path / "plain"))


@pytest.fixture
def packed(exports: dict[Any, Path], tmp_path: Path) -> Path:
    """A copy of the 8-bit export with compression."""
    return Path(shutil.copytree(exports[8, 6], tmp_path / "packed"))


def flip(path: Path, at: int = 0, mask: int = 0xFF) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    payload = json.loads(path.read_text())
    change(payload)
    path.write_text(json.dumps(payload))


def adopt(folder: Path) -> Path:
    """Make a reference export one that this package could have written."""

    def claim(identity: Any) -> None:
        identity["cellucid_data_version"] = "cellucid-dask 0.1.0"

    edit(folder / fmt.IDENTITY, claim)
    edit(folder / fmt.OBS_MANIFEST, lambda obs: obs.update(latent_key="X_pca"))
    for path in folder.rglob("*.gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=0))
    return seal(folder)


def about(report: VerifyReport, text: str) -> bool:
    return any(text in problem for problem in report.problems)


# ------------------------------------------------------------------------------- whole exports


@pytest.mark.parametrize("level", [6, None])
@pytest.mark.parametrize("bits", [8, 16, None])
def test_reference_export_is_ok(
    exports: dict[Any, Path], atlas: Path, bits: int | None, level: int | None
) -> None:
    alone = verify(exports[bits, level])
    assert alone.problems == ()
    assert alone.ok
    assert alone.files == len([p for p in exports[bits, level].rglob("*") if p.is_file()])
    assert alone.bytes == sum(
        p.stat().st_size for p in exports[bits, level].rglob("*") if p.is_file()
    )
    assert (alone.genes_compared, alone.largest_error) == (0, 0.0)
    compared = verify(exports[bits, level], atlas, latent_key="X_pca")
    assert compared.problems == compared.not_compared == ()
    assert compared.genes_compared == N_GENES
    if bits is None:
        assert compared.largest_error == 0
    else:
        assert 0.5 < compared.largest_error <= 1.02


@pytest.mark.parametrize("level", [6, None])
def test_stricter_rules_hold_for_our_exports(
    exports: dict[Any, Path], atlas: Path, tmp_path: Path, level: int | None
) -> None:
    for bits in (8, 16, None):
        folder = adopt(Path(shutil.copytree(exports[bits, level], tmp_path / str(bits))))
        assert verify(folder, atlas).problems == ()


def test_quantiles_of_the_reference_in_a_large_category(tmp_path: Path) -> None:
    """It adds up float32 one by one, which is a little off far from 0."""
    n, rng = 60_000, np.random.default_rng(0)
    adata = anndata.AnnData(
        sparse.csr_matrix((n, 1), dtype=np.float32),
        obs=pd.DataFrame({"one": pd.Categorical(["a"] * n)}, index=[f"cell{i}" for i in range(n)]),
        obsm={
            "X_pca": (rng.normal(size=(n, 4)) + 100).astype(np.float32),
            "X_umap": rng.normal(size=(n, 2)),
            "X_umap_3d": rng.normal(size=(n, 3)),
            "velocity_umap": rng.normal(size=(n, 2)).astype(np.float32),
        },
        obsp={"connectivities": sparse.csr_matrix((n, n))},
    )
    adata.write_h5ad(tmp_path / "a.h5ad")
    folder = reference(adata, tmp_path / "out", None, None)
    (line,) = verify(folder, tmp_path / "a.h5ad").not_compared
    assert line.startswith("outlier quantiles of 1 column: obsm has no 'latent_space'")
    found = verify(folder, tmp_path / "a.h5ad", latent_key="X_pca")
    assert found.not_compared == ()
    assert not about(found, "quantiles are not those of")


def test_ranges_beyond_float32_are_told(tmp_path: Path) -> None:
    adata = make_adata()
    adata.obs["tiny"] = np.where(np.arange(N_CELLS) % 2, 1e-35, 0)
    adata.write_h5ad(tmp_path / "a.h5ad")
    folder = reference(adata, tmp_path / "out", 8, None)
    found = verify(folder, tmp_path / "a.h5ad", latent_key="X_pca")
    text = "codes of 1 file: float32 has no steps for their range"
    assert found.not_compared == (text,)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_layouts_layers_and_raw(tmp_path: Path, layout: str, suffix: str) -> None:
    adata = make_adata(layout)
    adata.raw = adata
    data = save(adata, tmp_path / f"a.{suffix}")
    folder = reference(adata, tmp_path / "out", 8, 6)
    assert verify(folder, data).problems == ()
    assert verify(folder, data, raw=True).problems == ()
    assert len(verify(folder, data, layer="twice").problems) == N_GENES - 1  # one is all 0
    twice = reference(adata, tmp_path / "twice", 8, 6, gene_expression=adata.layers["twice"])
    assert verify(twice, data, layer="twice").problems == ()


def test_zip_of_zarr(tmp_path: Path) -> None:
    adata = make_adata()
    data = save(adata, tmp_path / "a.zarr.zip")
    assert verify(reference(adata, tmp_path / "out", 8, 6), data).ok


@pytest.mark.parametrize("bands", [100, 1000])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_columns_in_pieces(
    tmp_path: Path, suffix: str, layout: str, bands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    adata = make_adata(layout)[:30].copy()
    data = save(adata, tmp_path / f"a.{suffix}")
    monkeypatch.setattr("cellucid_dask.verify.source_data.gene_columns._BAND_BYTES", bands)
    monkeypatch.setattr("cellucid_dask.verify.source_data.gene_columns._RUN_BYTES", 2 * bands)
    wanted = adata.layers["twice"]
    wanted = wanted if layout == "dense" else wanted.toarray()
    with open_source_data(data) as found:
        matrix = found.matrices["layers/twice"]
        assert not isinstance(matrix, np.ndarray | sparse.spmatrix | sparse.sparray)
        for chosen in (range(N_GENES), [7, 2, 3, 4, 15], [5], []):
            several = list(read_gene_columns(matrix, chosen))
            assert all(column.dtype == np.float32 for column in several)
            assert len(several) == len(chosen)
            for gene, column in zip(chosen, several, strict=True):
                np.testing.assert_array_equal(column, wanted[:, gene])


def test_entries_stored_twice_are_added(tmp_path: Path) -> None:
    twice = sparse.csr_matrix(([1, 2, 3], [0, 0, 1], [0, 2, 3]), shape=(2, 2), dtype="f4")
    found = [column.tolist() for column in read_gene_columns(twice, [0, 1])]
    assert found == [[3, 0], [0, 3]]


def test_files_of_old_releases(exports: dict[Any, Path], atlas: Path, tmp_path: Path) -> None:
    data = Path(shutil.copy(atlas, tmp_path / "old.h5ad"))
    with h5py.File(data, "r+") as file:
        del file.attrs["encoding-type"], file.attrs["encoding-version"]
    assert verify(exports[8, 6], data).problems == ()
    assert len(verify(exports[8, 6], data, layer="twice").problems) == N_GENES - 1


def test_gene_column_subset_and_sample(atlas: Path, tmp_path: Path) -> None:
    folder = reference(
        make_adata(),
        tmp_path / "out",
        8,
        6,
        var_gene_id_column="symbol",
        gene_identifiers=["SYM/7", "SYM/2", "SYM/11"],
    )
    report = verify(folder, atlas, sample=2)
    assert (report.problems, report.genes_compared) == ((), 2)
    assert verify(folder, atlas, sample=100).genes_compared == 3
    assert verify(folder, atlas, sample=0).genes_compared == 0
    assert about(verify(adopt(folder)), "n_genes")  # here it must count what is exported


def test_repeated_genes_are_looked_up_as_anndata_renames_them(tmp_path: Path) -> None:
    adata = make_adata()
    names = [f"g{i // 2}" for i in range(N_GENES)]
    adata.var["name"] = names
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.var["name"] = list(anndata.utils.make_index_unique(pd.Index(names)))
    folder = reference(adata, tmp_path / "out", 8, 6, var_gene_id_column="name")
    assert verify(folder, tmp_path / "a.h5ad").problems == ()


def test_other_embedding_and_graph(tmp_path: Path) -> None:
    adata = make_adata()
    adata.obsm["X_tsne"] = pd.DataFrame(
        adata.obsm["X_umap"][::-1] * 2, index=adata.obs_names, columns=["x", "y"]
    )
    adata.obsp["other"] = adata.obsp["connectivities"].copy()
    del adata.obsp["connectivities"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    folder = reference(
        make_adata(),
        tmp_path / "out",
        8,
        6,
        X_umap_2d=np.asarray(adata.obsm["X_tsne"]),
        vector_fields=None,
    )
    report = verify(folder, tmp_path / "a.h5ad")
    assert len(report.problems) == 2
    assert about(report, "points_2d.bin.gz")
    assert about(report, "obsp['connectivities']")
    right = verify(folder, tmp_path / "a.h5ad", embeddings={2: "X_tsne"}, graph="other")
    assert right.problems == ()
    with pytest.raises(InputError, match="X_umap_3d"):
        verify(folder, tmp_path / "a.h5ad", embeddings={2: "X_nothing"})


def test_no_genes_no_graph_no_obs(tmp_path: Path) -> None:
    adata = make_adata()
    adata.write_h5ad(tmp_path / "a.h5ad")
    folder = reference(
        adata, tmp_path / "out", None, None, gene_expression=None, connectivities=None, obs_keys=[]
    )
    report = verify(folder, tmp_path / "a.h5ad")
    assert (report.problems, report.genes_compared) == ((), 0)


def test_graph_without_edges_and_with_loops(tmp_path: Path) -> None:
    adata = make_adata()
    for name, graph in (
        ("none", sparse.csr_matrix((N_CELLS, N_CELLS))),
        ("loops", sparse.eye(N_CELLS).tocsr()),
    ):
        adata.obsp["connectivities"] = graph
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
        folder = reference(adata, tmp_path / name, 8, 6)
        assert verify(folder, tmp_path / f"{name}.h5ad").problems == ()


# ------------------------------------------------------------------------------------- damage


def test_a_byte_flipped_in_any_compressed_file_is_noticed(packed: Path) -> None:
    for path in sorted(packed.rglob("*.gz")):
        good = path.read_bytes()
        body = 10 + len(path.name.removesuffix(".gz")) + 1  # header and name
        for at in (0, (body + len(good)) // 2, len(good) - 6):
            flip(path, at)
            assert about(verify(packed), path.relative_to(packed).as_posix()), (path, at)
            path.write_bytes(good)


def test_a_byte_flipped_in_any_plain_file_is_noticed_against_the_data(
    plain: Path, atlas: Path
) -> None:
    adopt(plain)  # so that outlier quantiles are compared as well
    seen = set()
    for path in sorted(plain.rglob("*")):
        if not path.is_file() or path.suffix == ".json":
            continue
        good = path.read_bytes()
        seen.add(fmt.parse(path.relative_to(plain).as_posix()).kind)
        flip(path, len(good) // 2, 0x40)
        assert not verify(seal(plain), atlas).ok, path
        path.write_bytes(good)
    assert seen == {"points", "vectors", "values", "codes", "outliers", "gene", "src", "dst"}
    assert verify(seal(plain), atlas).ok


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points_2d.bin", "points_2d.bin"),
        ("obs/cluster.codes.u8", "has code"),
        ("obs/size.outliers.u8", "no quantile"),
        ("connectivity/edges.src.bin", "an edge ends at cell"),
        ("connectivity/edges.dst.bin", "an edge ends at cell"),
    ],
)
def test_what_a_plain_file_tells_alone(plain: Path, name: str, text: str) -> None:
    (plain / name).write_bytes((plain / name).read_bytes()[:-4] + b"\xf0\xff\xff\x7f")
    if name.startswith("obs/size"):
        (plain / name).write_bytes(b"\xff" + (plain / name).read_bytes()[1:-4] + b"\xff" * 4)
    assert about(verify(plain), text)


def test_a_plain_gene_needs_the_data(plain: Path, atlas: Path) -> None:
    gene = plain / "var/ENSG00005.values.u8"
    codes = np.frombuffer(gene.read_bytes(), np.uint8).copy()
    codes[np.flatnonzero((codes > 0) & (codes < 200))[0]] += 2
    gene.write_bytes(codes.tobytes())
    assert verify(plain).ok
    report = verify(plain, atlas)
    assert report.problems[0].startswith("var/ENSG00005.values.u8: 1 values differ")
    assert report.largest_error > 1.02


def test_codes_must_span_their_range(plain: Path) -> None:
    gene = plain / "var/ENSG00005.values.u8"
    codes = np.frombuffer(gene.read_bytes(), np.uint8)
    gene.write_bytes((codes // 2).tobytes())
    assert about(verify(plain), "not from 0 to 254")


@pytest.mark.parametrize("folder", ["plain", "packed"])
def test_cut_short_long_or_gone(folder: str, request: pytest.FixtureRequest) -> None:
    export: Path = request.getfixturevalue(folder)
    for path in sorted(p for p in export.rglob("*") if p.is_file()):
        name, good = path.relative_to(export).as_posix(), path.read_bytes()
        for bad in (good[:-1], good + b"\0"):
            path.write_bytes(bad)
            assert about(verify(export), name), (name, len(bad))
        path.unlink()
        assert about(verify(export), name), name
        path.write_bytes(good)
    assert verify(export).ok


@pytest.mark.parametrize(
    ("stray", "text"),
    [
        ("notes.txt", "is not a file of an export"),
        (".DS_Store", "is not a file of an export"),
        ("var/OTHER.values.u8", "is not named in any manifest"),
        ("var/ENSG00005.values.u16", "is not named in any manifest"),
        ("points_1d.bin", "is not named in any manifest"),
        ("obs/a b.values.u8", "is not a file of an export"),
        ("datasets.json", "is not a file of an export"),
    ],
)
def test_stray_files(plain: Path, stray: str, text: str) -> None:
    (plain / stray).write_bytes(b"x")
    assert verify(plain).problems == (f"{stray}: {text}",)


def test_checksums_belong_to_an_export(plain: Path) -> None:
    assert verify(seal(plain)).ok
    (plain / fmt.CHECKSUMS).write_text("{}")
    (problem,) = verify(plain).problems
    assert problem.startswith("checksums.json: is not strict JSON of the right shape")


def test_swapped_files(plain: Path, atlas: Path) -> None:
    one, other = plain / "var/ENSG00005.values.u8", plain / "var/ENSG00006.values.u8"
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    report = verify(plain, atlas)
    assert about(report, one.name)
    assert about(report, other.name)
    src, dst = plain / "connectivity/edges.src.bin", plain / "connectivity/edges.dst.bin"
    first = src.read_bytes()
    src.write_bytes(dst.read_bytes())
    dst.write_bytes(first)
    assert about(verify(plain), "from a lower to a higher cell")


def test_edges_must_be_sorted_and_unique(plain: Path) -> None:
    for name in ("src", "dst"):
        path = plain / f"connectivity/edges.{name}.bin"
        values = np.frombuffer(path.read_bytes(), np.uint16).copy()
        values[1] = values[0]
        path.write_bytes(values.tobytes())
    assert about(verify(plain), "sorted and unique")


@pytest.mark.parametrize("sealed", [False, True])
def test_damaged_edges_are_told_alike_in_pieces_and_whole(
    exports: dict[Any, Path], atlas: Path, tmp_path: Path, sealed: bool
) -> None:
    """Without the data, edges are never in memory whole; the lines are the same."""
    folder = Path(shutil.copytree(exports[8, 6], tmp_path / "bad"))
    if sealed:
        adopt(folder)
    paths = [folder / f"connectivity/edges.{name}.bin.gz" for name in ("src", "dst")]
    good = [path.read_bytes() for path in paths]
    inner = gzip.decompress(good[0])
    for change, text in (
        (lambda raw: raw[:-1], "the gzip member is cut off"),
        (lambda raw: raw[: len(raw) // 2], "the gzip member is cut off"),
        (lambda raw: raw + b"x", "has bytes after the gzip member"),
        (lambda raw: raw[:-6] + b"????" + raw[-2:], "cannot be inflated"),
        (lambda raw: raw[:30] + b"????" + raw[34:], "edges."),
        (lambda _: b"", "gzip member"),
        (lambda _: gzip.compress(inner[:-2], mtime=0), f"holds {len(inner) - 2} bytes, not"),
        (lambda _: gzip.compress(inner + b"xx", mtime=0), f"holds more than {len(inner)} bytes"),
        (lambda _: gzip.compress(inner, mtime=1), "without a name" if sealed else ""),
    ):
        for chosen in ([0], [1], [0, 1]):
            for whole in (True, False):  # with and without checksums that are right
                for i in (0, 1):
                    paths[i].write_bytes(change(good[i]) if i in chosen else good[i])
                if sealed and whole:
                    seal(folder)
                alone, compared = verify(folder, workers=1), verify(folder, atlas, workers=1)
                if text or (sealed and not whole):
                    assert alone.problems
                    assert set(alone.problems) <= set(compared.problems)
                    lines = [line for line in compared.problems if "of the data" not in line]
                    assert list(alone.problems) == lines
                if text and whole and 0 in chosen:
                    assert about(alone, text)
                paths[0].write_bytes(good[0])
                paths[1].write_bytes(good[1])
                if sealed:
                    seal(folder)


@pytest.mark.parametrize("packed_edges", [False, True])
def test_edges_are_not_held_whole(
    exports: dict[Any, Path], tmp_path: Path, packed_edges: bool
) -> None:
    folder = Path(shutil.copytree(exports[8, 6 if packed_edges else None], tmp_path / "big"))
    n = 30_000_000
    for name, cell in (("src", 0), ("dst", 1)):
        (path,) = folder.glob(f"connectivity/edges.{name}.bin*")
        raw = np.full(n, cell, np.uint16).tobytes()
        path.write_bytes(gzip.compress(raw, 1) if packed_edges else raw)
    edit(folder / fmt.CONNECTIVITY_MANIFEST, lambda graph: graph.update(n_edges=n))
    edit(folder / fmt.IDENTITY, lambda identity: identity["stats"].update(n_edges=n))
    del raw
    tracemalloc.start()
    try:
        report = verify(folder, workers=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.problems[0] == "connectivity: edges are not sorted and unique"
    assert len(report.problems) == 2  # and the largest number of neighbours
    assert peak < 2 * n / 2, "half of one of the arrays"


@pytest.mark.parametrize("action", ["used_as", "ignored"])
@pytest.mark.parametrize("dim", [[], {}, [2], "2", 2.0, True])
def test_resolution_of_odd_dimensions(plain: Path, dim: Any, action: str) -> None:
    def change(identity: Any) -> None:
        entry = {"action": action, "dim": dim, "alias_key": f"X_umap_{dim}d"}
        identity["embeddings"]["umap_resolution"] = entry

    edit(plain / fmt.IDENTITY, change)
    assert about(verify(plain), "is not a number of dimensions")


def numbers_of(payload: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Path of every number in a manifest."""
    if isinstance(payload, dict):
        return [p for key, value in payload.items() for p in numbers_of(value, (*path, key))]
    if isinstance(payload, list):
        return [p for i, value in enumerate(payload) for p in numbers_of(value, (*path, i))]
    return [path] if isinstance(payload, int | float) and not isinstance(payload, bool) else []


@pytest.mark.parametrize("name", fmt.MANIFESTS)
def test_every_number_of_a_manifest_matters(plain: Path, atlas: Path, name: str) -> None:
    adopt(plain)
    good = (plain / name).read_text()
    paths = numbers_of(json.loads(good))
    for path in paths[:: max(1, len(paths) // 15)]:
        payload = json.loads(good)
        inner = payload
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = (
            inner[path[-1]] * 1.5 + 0.25
            if isinstance(inner[path[-1]], float)
            else inner[path[-1]] + 1
        )
        (plain / name).write_text(json.dumps(payload))
        assert not verify(seal(plain), atlas).ok, path
    (plain / name).write_text(good)
    assert verify(seal(plain), atlas).ok


@pytest.mark.parametrize("name", fmt.MANIFESTS)
def test_every_key_of_a_manifest_matters(plain: Path, name: str) -> None:
    adopt(plain)
    good = json.loads((plain / name).read_text())
    for key in good:
        other = {k: v for k, v in good.items() if k != key}
        (plain / name).write_text(json.dumps(other))
        assert key == "vector_fields" or about(verify(plain), f"lacks {key!r}"), key
        (plain / name).write_text(json.dumps({**other, key.upper() + "?": good[key]}))
        assert not verify(seal(plain)).ok, key
        for value in (None, -1, "x", [], {}, [[]], {"a": 1}, 1e9, True, [["x", [], 1]]):
            (plain / name).write_text(json.dumps({**good, key: value}))
            verify(plain)  # whatever it says, it says it


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', "[]", "{", "", '{"a": 1, "a": 1}', "\udcff"],
)
def test_manifests_are_strict_json(plain: Path, text: str) -> None:
    (plain / fmt.VAR_MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    report = verify(plain)
    assert len(report.problems) == 1
    assert about(report, f"{fmt.VAR_MANIFEST}: is not strict JSON")


def test_no_byte_of_a_manifest_can_make_it_raise(plain: Path) -> None:
    rng = np.random.default_rng(0)
    for name in fmt.MANIFESTS:
        good = (plain / name).read_bytes()
        for at in rng.integers(0, len(good), 25):
            flip(plain / name, int(at), int(rng.integers(1, 128)))
            verify(plain)
            (plain / name).write_bytes(good)
    assert verify(plain).ok


def test_one_wrong_number_of_cells_is_one_problem(plain: Path) -> None:
    edit(plain / fmt.VAR_MANIFEST, lambda var: var.update(n_points=N_CELLS + 1))
    assert verify(plain).problems == (f"{fmt.VAR_MANIFEST}, n_points: is 241, not 240",)


def test_centroids_are_made_again(plain: Path) -> None:
    def move(obs: Any) -> None:
        obs["_categoricalFields"][0][4]["2"][0]["position"][1] += 0.01

    edit(plain / fmt.OBS_MANIFEST, move)
    assert about(verify(plain), "centroids of 'cluster' in 2d, 'T cells': is off by 0.01")


def test_two_keys_with_one_file(plain: Path) -> None:
    edit(plain / fmt.VAR_MANIFEST, lambda var: var["fields"].append(["ENSG00005!", 0.0, 1.0]))
    assert about(verify(plain), "is the file of 2 keys")


def test_gzip_headers_of_ours_are_bare(packed: Path) -> None:
    adopt(packed)
    path = packed / "points_2d.bin.gz"
    assert verify(packed).ok
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=1))
    assert about(verify(seal(packed)), "mtime 0")
    path.write_bytes(2 * gzip.compress(b"", mtime=0))
    assert about(verify(seal(packed)), "after the gzip member")


def test_columns_of_every_type() -> None:
    column = pd.Series([3, None, 1], dtype="Int64")
    assert is_continuous(column)
    np.testing.assert_array_equal(column_to_float32(column), np.float32([3, np.nan, 1]))
    np.testing.assert_array_equal(column_to_float32(pd.Series([1, 2])), np.float32([1, 2]))
    np.testing.assert_array_equal(column_to_float32(pd.Series([1e300, 2])), np.float32([np.inf, 2]))
    for dtype in ("boolean", "bool", "category", "string", "object", "datetime64[ns]"):
        assert not is_continuous(pd.Series([], dtype=dtype))


def test_another_dataset(exports: dict[Any, Path], tmp_path: Path) -> None:
    other = make_adata(seed=1)
    other.write_h5ad(tmp_path / "other.h5ad")
    assert len(verify(exports[8, 6], tmp_path / "other.h5ad").problems) > N_GENES
    other[:100].write_h5ad(tmp_path / "fewer.h5ad")
    report = verify(exports[8, 6], tmp_path / "fewer.h5ad")
    assert report.problems == ("the data has 100 cells, the export has 240",)


# ----------------------------------------------------------------------------------- bad calls


def test_bad_calls(exports: dict[Any, Path], atlas: Path, tmp_path: Path) -> None:
    export = exports[8, 6]
    with pytest.raises(InputError, match="is not a folder"):
        verify(tmp_path / "nothing")
    with pytest.raises(InputError, match="does not exist"):
        verify(export, tmp_path / "nothing.h5ad")
    (tmp_path / "text.h5ad").write_text("text")
    with pytest.raises(ReadError, match="as an AnnData"):
        verify(export, tmp_path / "text.h5ad")
    with pytest.raises(ReadError, match="as an AnnData"):
        verify(export, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a regular file"):
        verify(export, tmp_path / "pipe")
    with pytest.raises(OptionError, match="sample"):
        verify(export, atlas, sample=-1)
    with pytest.raises(OptionError, match="layer and raw"):
        verify(export, atlas, layer="x", raw=True)
    with pytest.raises(InputError, match="'twice'"):
        verify(export, atlas, layer="x")
    with pytest.raises(InputError, match="raw"):
        verify(export, atlas, raw=True)
    with pytest.raises(OptionError, match="name the data"):
        verify(export, sample=1)
    with pytest.raises(OptionError, match="0 workers"):
        verify(export, workers=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"is not an export: it has no {fmt.IDENTITY}"):
        verify(tmp_path / "empty")
    with pytest.raises(InputError, match=f"such as {export.parent}"):
        verify(export.parent)


def test_report_is_frozen(exports: dict[Any, Path]) -> None:
    report = verify(exports[8, 6])
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.files = 0  # type: ignore[misc]
