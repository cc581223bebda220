"""`verify --against` data that the exporter reads and anndata does not."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from atlas import STAMP, atlas, here, save
from scipy import sparse

from cellucid_dask import export
from cellucid_dask.verify import verify

ASCII = h5py.string_dtype("ascii")
PARTS = ("data", "indices", "indptr")


def laid_out(folder: Path, layout: str) -> Path:
    """An atlas with matrices in a layout, also sparse ones in obsm and obsp."""
    adata = atlas()
    adata.X = adata.X.toarray() if layout == "dense" else adata.X.asformat(layout)
    adata.obsm["X_pca"] = sparse.csr_matrix(adata.obsm["X_pca"])
    return save(adata, folder / "a.h5ad")


def store_as(path: Path, key: str, dtype: Any) -> None:
    """Store an array of an h5ad file as another type."""
    with h5py.File(path, "r+") as file:
        attributes, values = dict(file[key].attrs), file[key][:]
        del file[key]
        file.create_dataset(key, data=values.astype(dtype)).attrs.update(attributes)


def swap(path: Path, *keys: str) -> None:
    """Store arrays in the other byte order."""
    with h5py.File(path) as file:
        types = {key: file[key].dtype.newbyteorder(">") for key in keys}
    for key, dtype in types.items():
        store_as(path, key, dtype)


def parts(*keys: str) -> list[str]:
    """Arrays of sparse matrices."""
    return [f"{key}/{part}" for key in keys for part in PARTS]


def assert_compared(path: Path, folder: Path) -> None:
    """Everything is compared, and an export of other values is not taken for this one."""
    out = folder / "out"
    export(path, out, quiet=True, workers=1, compression=0, var_quantization=None)
    report = verify(out, path)
    assert (report.problems, report.not_compared, report.genes_compared) == ((), (), 12)
    gene = out / "var" / "Gene3.values.f32"
    gene.write_bytes(np.arange(60, dtype="<f4").tobytes())
    assert any("Gene3" in problem for problem in verify(out, path).problems)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_half_precision_is_compared(tmp_path: Path, layout: str) -> None:
    path = laid_out(tmp_path, layout)
    store_as(path, "X" if layout == "dense" else "X/data", "f2")
    store_as(path, "obsm/X_pca/data", "f2")
    store_as(path, "obsp/connectivities/data", "f2")
    assert_compared(path, tmp_path)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_the_other_byte_order_is_compared(tmp_path: Path, layout: str) -> None:
    path = laid_out(tmp_path, layout)
    swap(path, *(["X"] if layout == "dense" else parts("X")))
    swap(path, *parts("obsm/X_pca", "obsp/connectivities"))
    swap(path, "obsm/X_umap_2d", "obs/n_counts")
    assert_compared(path, tmp_path)


def recode(path: Path, key: str, values: list[bytes]) -> None:
    """Store UTF-8 that claims to be ASCII at `key`."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file[key].attrs)
        del file[key]
        made = file.create_dataset(key, data=np.array(values, object), dtype=ASCII)
        made.attrs.update({k: v for k, v in attributes.items() if "enc" not in k})
        made.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def test_text_that_anndata_cannot_decode_is_no_fault_of_the_export(
    tmp_path: Path, capfd: Any
) -> None:
    path = save(atlas(), tmp_path / "a.h5ad")
    recode(path, "obs/cell_type/categories", ["Z\u00fcrich".encode(), b"NK", b"T"])
    out = tmp_path / "out"
    assert here(capfd, "export", path, "-o", out, *STAMP).code == 0
    ended = here(capfd, "verify", out, "--against", path)
    assert ended.code == 0
    (line,) = [line for line in ended.out.splitlines() if "not compared" in line]
    assert "obs['cell_type'] cannot be read ('ascii' codec" in line
    assert "anndata cannot read the data; the export itself may be correct" in line
    report = verify(out, path)
    assert (report.problems, report.genes_compared) == ((), 12)


def test_gene_ids_that_anndata_cannot_decode(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "a.h5ad")
    recode(path, "var/_index", ["Z\u00fcrich".encode(), *(b"G%d" % i for i in range(11))])
    export(path, tmp_path / "out", quiet=True)
    report = verify(tmp_path / "out", path)
    assert (report.problems, report.genes_compared) == ((), 0)
    assert "var index cannot be read" in report.not_compared[0]


def test_a_column_that_was_left_out_is_not_read(tmp_path: Path) -> None:
    adata = atlas(columns={"site": [f"Bonn{i}" for i in range(60)]})
    path = save(adata, tmp_path / "a.h5ad")
    recode(path, "obs/site", ["K\u00f6ln".encode("latin1")] * 60)
    export(path, tmp_path / "out", quiet=True, obs_keys=["cell_type"])
    report = verify(tmp_path / "out", path)
    assert (report.problems, report.not_compared) == ((), ())


def test_damage_in_a_column_is_of_the_data(tmp_path: Path, capfd: Any) -> None:
    path, out = save(atlas(), tmp_path / "a.h5ad"), tmp_path / "out"
    export(path, out, quiet=True)
    with h5py.File(path, "r+") as file:
        del file["obs/n_counts"]
        file["obs"].create_group("n_counts").attrs["encoding-type"] = "of the future"
    ended = here(capfd, "verify", out, "--against", path)
    assert ended.code == 2
    assert f"{path}, obs['n_counts']: cannot be read (" in ended.err
    assert "anndata cannot read the data; the export itself may be correct" in ended.err


def test_another_category_is_noticed(tmp_path: Path) -> None:
    """What is read when it is asked for is compared as before."""
    path, out = save(atlas(), tmp_path / "a.h5ad"), tmp_path / "out"
    export(path, out, quiet=True)
    codes = out / "obs" / "cell_type.codes.u8.gz"
    plain = bytearray(gzip.decompress(codes.read_bytes()))
    plain[0] = (plain[0] + 1) % 3
    codes.write_bytes(gzip.compress(bytes(plain), mtime=0))
    assert any("cell_type.codes" in problem for problem in verify(out, path).problems)
