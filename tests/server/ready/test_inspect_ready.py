"""Which files are served as they lie, and which a virtual store must stand for."""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import hdf5plugin
import numcodecs
import numpy as np
import pandas as pd
import pytest
import zarr
from live_inputs import rich
from multimodal import write_mudata
from oracle import silent
from served_ready import KINDS, N_CELLS, N_GENES, NAMED, READY, dataset
from serving import ask, serving
from zarr.codecs import BloscCodec, BytesCodec

from cellucid_dask.server.ready.inspect import ReadyFacts, inspect_ready
from cellucid_dask.source.storage.store import locate_store

RECORD = {"schema": 1, "id": NAMED["dataset_id"], "name": NAMED["dataset_name"]}


def inspected(path: Path) -> ReadyFacts | None:
    return inspect_ready(locate_store(path))


@pytest.fixture(autouse=True)
def plain_strings() -> Iterator[None]:
    """Texts as the public app reads them, which newer versions of anndata write only when asked."""
    with ad.settings.override(allow_write_nullable_strings=False):
        yield


@pytest.fixture
def h5ad(ready_files: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copy(ready_files["any.h5ad"], tmp_path))


@pytest.fixture(params=["two.zarr", "three.zarr"])
def folder(request: pytest.FixtureRequest, ready_files: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(ready_files[request.param], tmp_path / "a.zarr"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_export_writes_is_ready(kind: str, ready_files: dict[str, Path]) -> None:
    facts = inspected(ready_files[kind])
    assert facts is not None
    assert facts.kind == ("h5ad" if kind == "any.h5ad" else "zarr")
    assert (facts.id, facts.name) == (NAMED["dataset_id"], NAMED["dataset_name"])
    assert facts.shape == (N_CELLS, N_GENES)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense", "none"])
@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
def test_x_must_be_stored_by_gene(layout: str, name: str, tmp_path: Path) -> None:
    """Also in files that neither `export` nor the public package wrote."""
    atlas = rich("csr" if layout == "none" else layout)
    atlas.uns["cellucid"] = RECORD
    if layout == "none":
        atlas = ad.AnnData(obs=atlas.obs, obsm=dict(atlas.obsm), uns=dict(atlas.uns))
    write = atlas.write_h5ad if name == "a.h5ad" else atlas.write_zarr
    silent(write, tmp_path / name)
    assert (inspected(tmp_path / name) is not None) == (layout != "csr")


@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
def test_texts_that_may_be_missing_are_not_as_the_app_reads_them(name: str, tmp_path: Path) -> None:
    atlas = rich("csc")
    atlas.uns["cellucid"] = RECORD
    atlas.obs["note"] = pd.array(["a", None] * (atlas.n_obs // 2), dtype="string")
    write = atlas.write_h5ad if name == "a.h5ad" else atlas.write_zarr
    with ad.settings.override(allow_write_nullable_strings=True):
        silent(write, tmp_path / name, convert_strings_to_categoricals=False)
    assert inspected(tmp_path / name) is None


@pytest.mark.parametrize(
    "record",
    [
        None,
        3,
        {},
        {**RECORD, "schema": 2},
        {**RECORD, "schema": "1"},
        {**RECORD, "id": "no/id"},
        {**RECORD, "id": "con.x"},
        {**RECORD, "name": " spaces "},
        {**RECORD, "name": ""},
        {key: RECORD[key] for key in ("id", "name")},
        {key: RECORD[key] for key in ("schema", "name")},
        {key: RECORD[key] for key in ("schema", "id")},
    ],
)
def test_the_record_must_be_one(record: Any, h5ad: Path) -> None:
    with h5py.File(h5ad, "r+") as file:
        del file["uns/cellucid"]
        if record is not None:
            ad.io.write_elem(file["uns"], "cellucid", record)
    assert inspected(h5ad) is None


# ----------------------------------------------------------------------------------------- codecs


@pytest.mark.parametrize(
    ("filters", "readable"),
    [
        ({}, True),
        ({"compression": "gzip", "shuffle": True, "fletcher32": True}, True),
        ({"compression": "lzf"}, True),
        ({"scaleoffset": 4}, False),
        (dict(hdf5plugin.Blosc()), False),
        (dict(hdf5plugin.Zstd()), False),
        (dict(hdf5plugin.LZ4()), False),
    ],
)
@pytest.mark.parametrize("place", ["X/data", "layers/deep/any"])
def test_filters_of_hdf5(filters: dict[str, Any], readable: bool, place: str, h5ad: Path) -> None:
    with h5py.File(h5ad, "r+") as file:
        values = np.arange(len(file.pop(place, range(N_CELLS))))
        file.create_dataset(place, data=values, chunks=True if filters else None, **filters)
    assert (inspected(h5ad) is not None) == readable


def test_an_h5ad_must_hold_all_of_itself(h5ad: Path, tmp_path: Path) -> None:
    def with_link(change: Callable[[h5py.File], None]) -> bool:
        copy = Path(shutil.copy(h5ad, tmp_path / "copy.h5ad"))
        with h5py.File(copy, "r+") as file:
            change(file)
        return inspected(copy) is not None

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((N_CELLS,), "f4")
        layout[:] = h5py.VirtualSource(str(h5ad), "obs/score", (N_CELLS,))
        file.create_virtual_dataset("obs/far", layout)

    def external(file: h5py.File) -> None:
        values = [(str(tmp_path / "values.bin"), 0, 4 * N_CELLS)]
        file.create_dataset("obs/far", (N_CELLS,), "f4", external=values)

    assert with_link(lambda _: None)
    assert not with_link(virtual)
    assert not with_link(external)
    assert not with_link(lambda file: file.update({"obs/far": h5py.ExternalLink(h5ad, "obs")}))
    assert not with_link(lambda file: file.update({"obs/far": h5py.SoftLink("/obs/score")}))


@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
def test_the_parts_of_x_must_fit(name: str, h5ad: Path) -> None:
    with h5py.File(h5ad, "r+") as file:
        part = file["X"][name][:-1]
        del file["X"][name]
        file["X"][name] = part
    assert inspected(h5ad) is None
    with h5py.File(h5ad, "r+") as file:
        del file["X"][name]
    assert inspected(h5ad) is None


def test_a_user_block_is_no_obstacle(ready_files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "block.h5ad"
    with h5py.File(ready_files["any.h5ad"]) as before:
        with h5py.File(path, "w", userblock_size=1024) as after:
            for name in before:
                before.copy(name, after)
            after.attrs.update(before.attrs)
        with path.open("r+b") as file:
            file.write(b"PK\x03\x04")
    facts = inspected(path)
    assert facts is not None
    assert facts.shape == (N_CELLS, N_GENES)


@pytest.mark.parametrize(
    ("codecs", "readable"),
    [
        ({"compressors": None}, True),
        ({"compressors": numcodecs.Blosc()}, True),
        ({"compressors": numcodecs.Zstd()}, True),
        ({"compressors": numcodecs.LZ4()}, True),
        ({"compressors": numcodecs.GZip(), "filters": [numcodecs.Shuffle(8)]}, True),
        ({"compressors": numcodecs.BZ2()}, False),
        ({"compressors": numcodecs.LZMA()}, False),
        ({"filters": [numcodecs.Delta("i8")]}, False),
    ],
)
def test_codecs_of_zarr_2(
    codecs: dict[str, Any], readable: bool, ready_files: dict[str, Path], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(ready_files["two.zarr"], tmp_path / "a.zarr"))
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    silent(group.create_array, "obsm/any", data=np.arange(N_CELLS), **codecs)
    assert (inspected(path) is not None) == readable


@pytest.mark.parametrize("shards", [None, (110,)])
@pytest.mark.parametrize(
    ("compressor", "readable"),
    [
        (BloscCodec(), True),
        (zarr.codecs.ZstdCodec(), True),
        (zarr.codecs.Crc32cCodec(), True),
        ({"name": "numcodecs.zlib", "configuration": {"level": 1}}, True),
        ({"name": "numcodecs.bz2", "configuration": {"level": 1}}, False),
    ],
)
def test_codecs_of_zarr_3(
    compressor: Any, readable: bool, shards: Any, ready_files: dict[str, Path], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(ready_files["three.zarr"], tmp_path / "a.zarr"))
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    how = {"chunks": (55,), "shards": shards, "serializer": BytesCodec()}
    values = np.arange(N_CELLS)
    silent(group.create_array, "obsm/any", data=values, compressors=compressor, **how)
    assert (inspected(path) is not None) == readable


# ---------------------------------------------------------------------------- folders and archives


def test_both_versions_of_zarr_are_none(folder: Path) -> None:
    name = ".zgroup" if (folder / "zarr.json").exists() else "zarr.json"
    (folder / name).write_text('{"zarr_format": 2}')
    assert inspected(folder) is None


@pytest.mark.parametrize("what", ["document", "folder"])
def test_a_link_is_not_followed(what: str, folder: Path, tmp_path: Path) -> None:
    """Its target may be outside, which the server does not send."""
    (document,) = (folder / "X" / "data").glob("*zarr[a.]*")
    path = document if what == "document" else folder / "obsm"
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    assert inspected(folder) is None


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff", '{"zarr_format": 2}'])
def test_damaged_documents(text: str, folder: Path) -> None:
    (document,) = (folder / "X" / "data").glob("*zarr[a.]*")
    document.write_text(text, "latin-1")
    assert inspected(folder) is None


def rezipped(path: Path, out: Path, change: Callable[[zipfile.ZipFile, str, bytes], None]) -> Path:
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w") as after:
        for name in before.namelist():
            change(after, name, before.read(name))
    return out


@pytest.mark.parametrize("kind", ["two.zarr.zip", "three.zarr.zip"])
def test_an_archive_must_be_plain(kind: str, ready_files: dict[str, Path], tmp_path: Path) -> None:
    def written(change: Callable[[zipfile.ZipFile, str, bytes], None]) -> bool:
        return inspected(rezipped(ready_files[kind], tmp_path / "a.zarr.zip", change)) is not None

    def deflate_one(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
        how = zipfile.ZIP_DEFLATED if name.endswith("X/data/0") else zipfile.ZIP_STORED
        archive.writestr(name, raw, zipfile.ZIP_DEFLATED if name.startswith("X/indices") else how)

    def without_an_element(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
        if not name.startswith("obs/score/"):
            archive.writestr(name, raw)

    def without_a_list(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
        if name == "zarr.json":
            document = json.loads(raw)
            del document["consolidated_metadata"]
            raw = json.dumps(document).encode()
        if name != ".zmetadata":
            archive.writestr(name, raw)

    def twice(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            archive.writestr(name, raw)
            if name.endswith(("X/data/zarr.json", "X/data/.zarray")):
                archive.writestr(name, raw)

    assert written(lambda archive, name, raw: archive.writestr(name, raw))
    assert not written(lambda archive, name, raw: archive.writestr(f"atlas.zarr/{name}", raw))
    assert not written(deflate_one)
    assert not written(without_an_element)
    assert not written(without_a_list)
    assert not written(twice)


# ------------------------------------------------------------------------------------------ MuData


@pytest.fixture
def modalities() -> dict[str, ad.AnnData]:
    atlas = rich("csc")
    plain = ad.AnnData(atlas.X, obs=atlas.obs[["score"]], var=atlas.var)
    return {"atac": plain[:, :5].copy(), "RNA": plain[:, 3:].copy()}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.h5mu", "h5mu"), ("a.zarr", "mudata-zarr"), ("b.zarr.zip", None)],
)
def test_a_mudata_is_ready(
    name: str, kind: str | None, modalities: dict[str, ad.AnnData], tmp_path: Path
) -> None:
    path = mudata_with_record(tmp_path / name, modalities)
    facts = inspected(path)
    if kind is None:  # muon does not list what is in an archive
        assert facts is None
        return
    assert facts is not None
    assert (facts.kind, facts.shape) == (kind, (N_CELLS, N_GENES - 3)), "of RNA"


def test_every_modality_must_be_stored_by_gene(
    modalities: dict[str, ad.AnnData], tmp_path: Path
) -> None:
    modalities["atac"].X = modalities["atac"].X.tocsr()
    assert inspected(mudata_with_record(tmp_path / "a.h5mu", modalities)) is None


def test_a_mudata_of_shared_genes_is_not_ready(
    modalities: dict[str, ad.AnnData], tmp_path: Path
) -> None:
    path = mudata_with_record(tmp_path / "a.h5mu", modalities)
    with h5py.File(path, "r+") as file:
        file.attrs["axis"] = 1
    assert inspected(path) is None


def mudata_with_record(path: Path, parts: dict[str, ad.AnnData]) -> Path:
    obs = pd.DataFrame(index=next(iter(parts.values())).obs_names)
    made = write_mudata(path, parts, obs)
    if path.suffix == ".h5mu":
        with h5py.File(made, "r+") as file:
            ad.io.write_elem(file.require_group("uns"), "cellucid", RECORD)
    elif path.is_dir():
        ad.io.write_elem(zarr.open_group(made, mode="r+").require_group("uns"), "cellucid", RECORD)
    return made


def test_a_mudata_goes_out_as_it_lies(modalities: dict[str, ad.AnnData], tmp_path: Path) -> None:
    path = mudata_with_record(tmp_path / "a.h5mu", modalities)
    with serving(path, **READY) as server:
        url = f"_cellucid/anndata/{NAMED['dataset_id']}.h5mu"
        file = {"url": url, "kind": "h5mu", "layout": "file", "size": path.stat().st_size}
        assert dataset(server)["anndata"]["file"] == file
        assert ask(server, f"/{url}").body == path.read_bytes()
