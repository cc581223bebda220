"""What a server of live data reads from the disk for each request."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from layouts import spoil_chunks, store_anew
from live_serving import GENES, LAYOUTS, atlas_of, below, expected, in_pieces, written
from serving import ask, serving


@pytest.mark.parametrize("layout", LAYOUTS)
def test_starting_reads_no_large_array(tmp_path: Path, chunks: Counter[str], layout: str) -> None:
    path = in_pieces(tmp_path / "a.zarr", layout)
    large = ("X", "layers", "raw", "obsp", "obsm/X_pca",
             "obs/score", "obs/depth", "obs/group/codes", "obs/_index")  # fmt: skip
    chunks.clear()
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        assert below(chunks, *large) == {}
        for name in ("health", "info", "datasets"):
            assert ask(server, f"/_cellucid/{name}").status == 200
        assert ask(server, "/var_manifest.json").status == 200
        assert ask(server, "/points_2d.bin").status == 200
        assert below(chunks, *large) == {}
        assert ask(server, "/obs/score.values.f32").status == 200
        assert set(below(chunks, *large)) == {"obs/score/0"}
        assert ask(server, "/obs/group.codes.u8").status == 200
        assert set(below(chunks, *large)) == {"obs/score/0", "obs/group/codes/0"}


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_what_is_damaged_is_missed_only_by_who_asks_for_it(tmp_path: Path, ending: str) -> None:
    """No counting: whoever reads these values, in whatever way, fails."""
    path = written(tmp_path / f"a.{ending}", atlas_of("csc"))
    spoilt = ("X/data", "obsp/connectivities/indices", "obs/depth", "obsm/velocity_umap")
    for key in spoilt:
        if ending == "zarr":
            spoil_chunks(path / key)
            continue
        with h5py.File(path, "r+") as file:
            shape, dtype, attributes = file[key].shape, file[key].dtype, dict(file[key].attrs)
            del file[key]
            outside = [("/nowhere/values", 0, int(np.prod(shape)) * dtype.itemsize)]
            file.create_dataset(key, shape, dtype, external=outside).attrs.update(attributes)
    files = expected("csc")
    broken = {GENES[0], "obs/depth.values.f32", "vectors/velocity_umap_2d.bin",
              "dataset_identity.json", "connectivity_manifest.json",
              "connectivity/edges.src.bin"}  # fmt: skip
    whole = {"obs_manifest.json", "var_manifest.json", "points_2d.bin", "points_3d.bin",
             "obs/score.values.f32", "obs/group.codes.u8", "obs/rare.outliers.f32"}  # fmt: skip
    with serving(path, cache_dir=tmp_path / "cache") as server:
        for _ in range(2):  # what failed is tried again, and fails again
            for name in broken:
                answer = ask(server, f"/{name}")
                assert answer.status == 503, name
                assert answer.body.count(b"\n") == 1, "one line of text"
        for name in whole:
            assert ask(server, f"/{name}").body == files[name], name
        assert ask(server, "/_cellucid/health").status == 200


def test_a_gene_of_csc_takes_just_its_chunks(tmp_path: Path, chunks: Counter[str]) -> None:
    path = in_pieces(tmp_path / "a.zarr", "csc")
    x = atlas_of("csc").X
    with serving(path, cache_dir=tmp_path / "cache") as server:
        assert ask(server, f"/{GENES[3]}").status == 200  # now the pointers are known
        for gene in (0, 17, 29):
            chunks.clear()
            assert ask(server, f"/{GENES[gene]}").body == expected("csc")[GENES[gene]]
            first, last = int(x.indptr[gene]), int(x.indptr[gene + 1]) - 1
            numbers = range(first // 64, last // 64 + 1)
            assert below(chunks, "X") == {
                f"X/{part}/{n}": 1 for part in ("data", "indices") for n in numbers
            }
            chunks.clear()
            ask(server, f"/{GENES[gene]}")
            assert chunks == {}, "it is in the cache"


def test_a_gene_of_dense_chunks_takes_just_its_chunks(tmp_path: Path, chunks: Counter[str]) -> None:
    path = in_pieces(tmp_path / "a.zarr", "dense")
    with serving(path, cache_dir=tmp_path / "cache") as server:
        for gene in (0, 17, 29):
            chunks.clear()
            assert ask(server, f"/{GENES[gene]}").body == expected("dense")[GENES[gene]]
            assert chunks == {f"X/{band}.{gene // 7}": 1 for band in range(5)}


@pytest.mark.parametrize("layout", ["csc", "dense"])
def test_a_gene_of_hdf5_takes_just_its_chunks(tmp_path: Path, layout: str) -> None:
    """All chunks but those of two genes are spoilt."""
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    keys = ["X"] if layout == "dense" else ["X/data", "X/indices"]
    store_anew(path, *keys, chunks=(50, 7) if layout == "dense" else (64,), compression="gzip")
    genes = (8, 10)
    pointers = atlas_of("csc").X.indptr
    with h5py.File(path) as file:
        places = []
        for key in keys:
            stored = file[key].id
            for i in range(stored.get_num_chunks()):
                chunk = stored.get_chunk_info(i)
                at = chunk.chunk_offset[-1]
                if layout == "dense":
                    needed = at == 7
                else:
                    needed = pointers[genes[0]] < at + 64 and at < pointers[genes[1] + 1]
                if not needed:
                    places.append(chunk)
    assert len(places) > 10
    with path.open("r+b") as raw:
        for chunk in places:
            raw.seek(chunk.byte_offset)
            raw.write(b"\xff" * chunk.size)
    with serving(path, cache_dir=tmp_path / "cache") as server:
        for gene in genes:
            assert ask(server, f"/{GENES[gene]}").body == expected(layout)[GENES[gene]]
        assert ask(server, f"/{GENES[29]}").status == 503
