"""Answers of live data beside those of the server of the reference."""

from __future__ import annotations

import gzip
import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from live_inputs import rich
from oracle import ADDITIONS, assert_same_bits, assert_same_centroids, make_atlas, silent
from serving import SECONDS, Client, serving
from versions import write_zarr

Save = Callable[..., Path]
Made = tuple[Any, dict[str, Any]]  # what is served, and options of it
GENE = "var/gene0.values.f32"


# ---------------------------------------------------------------- the reference's server

ORACLE = """
import json, sys, threading, warnings
warnings.simplefilter("ignore")
from cellucid.anndata_server import AnnDataServer

ports = []
for path in sys.argv[1:]:
    server = AnnDataServer(path, port=0, quiet=True)
    server.web_proxy = False
    server.start(blocking=False)
    ports.append(server._server.server_address[1])
print(json.dumps(ports), flush=True)
sys.stdin.read()
"""

# What the reference's manifests hold and ours do not, or differently, and why. A path names a
# key; `*` stands for all of a list or of an object.
DIFFERENCES = {
    "dataset_identity.json": {
        "id": "the reference keeps the ending of a zarr folder in the name, ours is that of export",
        "name": "as the id",
        "description": "the reference says that it is live; an export of the file does not",
        "created_at": "the moment of the request, ours is that of the last change of the file",
        "cellucid_data_version": "names the program",
        "source": "a path of the machine, which no answer may hold",
        "_anndata_adapter": "no field of the format",
        "vector_fields/fields/*/obsm_keys": "no field of the format",
    },
    "obs_manifest.json": {
        "_continuousFields": "ranges, which the format has only of quantized columns",
        "_categoricalFields": "ranges of outliers likewise; centroids are compared by themselves",
    },
    "var_manifest.json": {},
    "connectivity_manifest.json": {},
}


class Oracle:
    """Answers of the reference's server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as line:
            line.request("GET", path, headers=headers)
            with line.getresponse() as answer:
                body = answer.read()
                if answer.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                return answer.status, body


FILES = ["csr.h5ad", "dense.h5ad", "csc.zarr", "odd.h5ad", "pbmc68k_reduced.h5ad",
         "cellrank_50.h5ad"]  # fmt: skip


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Oracle]]]:
    """Files, each with the reference's server of it; all in one process of its own."""
    folder = tmp_path_factory.mktemp("reference")
    silent(rich("csr").write_h5ad, folder / "csr.h5ad")
    silent(rich("dense").write_h5ad, folder / "dense.h5ad")
    write_zarr(rich("csc"), folder / "csc.zarr", "v2")  # the reference knows zarr by .zgroup
    silent(odd_names().write_h5ad, folder / "odd.h5ad")
    shared = Path(__file__).parents[3] / "shared" / "data"
    paths = [folder / name if (folder / name).exists() else shared / name for name in FILES]
    paths = [path for path in paths if path.exists()]
    with subprocess.Popen(
        [sys.executable, "-c", ORACLE, *map(str, paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            ports = json.loads(process.stdout.readline())
            made = zip(paths, map(Oracle, ports), strict=True)
            yield {path.name: (path, oracle) for path, oracle in made}
        finally:
            process.kill()


def odd_names() -> AnnData:
    """X_umap for two dimensions, implicit vectors, no latent space, names with odd characters."""
    atlas = make_atlas()
    atlas.obsm["X_umap"] = atlas.obsm["X_umap_2d"]
    atlas.obsm["X_umap_1d"] = atlas.obsm["X_pca"][:, :1]
    del atlas.obsm["X_umap_2d"], atlas.obsm["X_pca"]
    atlas.obs["µm² Zelle"] = atlas.obs["score"] * 2
    atlas.obs["gaps (%)"] = pd.Categorical(np.where(np.arange(220) % 4 == 1, None, "x y"))
    atlas.obs["yes"] = np.arange(220) % 3 == 0
    atlas.obs["many"] = pd.Categorical(np.arange(220) % 9, range(300))
    atlas.var_names = ["HLA-A*01:01", "π", "a.b", *atlas.var_names[3:]]
    return atlas


@pytest.fixture(params=FILES)
def both(
    request: pytest.FixtureRequest, reference: dict[str, tuple[Path, Oracle]], tmp_path: Path
) -> Iterator[tuple[Oracle, Client]]:
    """The reference's server and ours of one file."""
    if request.param not in reference:
        pytest.skip(f"{request.param} is not there")
    path, oracle = reference[request.param]
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as client:
        yield oracle, client


def test_answers_of_the_reference(both: tuple[Oracle, Client]) -> None:
    oracle, client = both
    mine, theirs = {}, {}
    for name in DIFFERENCES:
        (status, body), answer = oracle.get(f"/{name}"), client(f"/{name}")
        assert answer.status == status, name
        if status == 200:
            theirs[name], mine[name] = json.loads(body), json.loads(answer.body)
    assert {"dataset_identity.json", "obs_manifest.json", "var_manifest.json"} <= set(mine)
    ranks, paths = paths_of(theirs)
    assert len(paths) > 20
    step = 1 + len(paths) // 100
    for i, path in enumerate(paths):
        codings = [{}, {"Accept-Encoding": "gzip"}]
        for headers in codings[: 1 if path.startswith("/var/") and i % step else 2]:
            (status, expected), answer = oracle.get(path, **headers), client(path, headers)
            assert (answer.status, status) == (200, 200), path
            body = answer.body
            if answer.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if path in ranks:
                assert_same_ranks(body, expected, path)
            else:
                kind = {"f32": "<u4", "bin": "<u4"}.get(path.rsplit(".", 1)[1], "u1")
                kind = "u1" if "connectivity" in path else kind
                a, b = (np.frombuffer(part, kind) for part in (body, expected))
                assert_same_bits(a, b, path)
    for name in mine:
        compare_manifests(name, mine[name], theirs[name])


def paths_of(manifests: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Paths of outliers, and all paths that the reference's manifests name."""
    identity, obs, var = (
        manifests[name] for name in ("dataset_identity.json", "obs_manifest.json",
                                     "var_manifest.json")
    )  # fmt: skip
    files = list(identity["embeddings"]["files"].values())
    for field in identity.get("vector_fields", {}).get("fields", {}).values():
        files += field["files"].values()
    schema = obs["_obsSchemas"]

    def filled(pattern: str, key: str, ext: str = "") -> str:
        return pattern.replace("{key}", safe(key)).replace("{ext}", ext)

    for entry in obs["_continuousFields"]:
        files.append(filled(schema["continuous"]["pathPattern"], entry[0]))
    ranks = []
    for entry in obs["_categoricalFields"]:
        ext = {"uint8": "u8", "uint16": "u16"}[entry[2]]
        files.append(filled(schema["categorical"]["codesPathPattern"], entry[0], ext))
        ranks.append("/" + filled(schema["categorical"]["outlierPathPattern"], entry[0]))
    files += [filled(var["_varSchema"]["pathPattern"], entry[0]) for entry in var["fields"]]
    graph = manifests.get("connectivity_manifest.json")
    if graph:
        files += [graph["sourcesPath"], graph["destinationsPath"]]
    return ranks, [*("/" + name for name in files), *ranks]


def safe(key: str) -> str:
    """File name of a key, by the reference's rule."""
    from cellucid.prepare_data import _safe_filename_component

    return str(_safe_filename_component(key))


def assert_same_ranks(ours: bytes, theirs: bytes, label: str) -> None:
    """Compare outlier quantiles; sums in another order may move a few that tie."""
    a, b = (np.frombuffer(part, "<f4") for part in (ours, theirs))
    assert a.shape == b.shape, label
    moved = ~np.isclose(a, b, rtol=0, atol=1e-7, equal_nan=True)
    assert moved.sum() <= 2, f"{label}: {moved.sum()} ranks differ"
    np.testing.assert_allclose(a, b, rtol=0, atol=0.05)


def compare_manifests(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare all but what `DIFFERENCES` names; each of these must be a difference indeed."""
    if name == "obs_manifest.json":
        compare_columns(ours, theirs)
    mine, reference = deepcopy(ours), deepcopy(theirs)
    for member in ADDITIONS.get(name, ()):
        drop(mine, member.split("/"))
    for path in DIFFERENCES[name]:
        for manifest in (mine, reference):
            drop(manifest, path.split("/"))
    if name == "obs_manifest.json" and mine["latent_key"] != reference["latent_key"]:
        # The reference takes the first array that is not named X_umap..., be it a vector field.
        assert reference.pop("latent_key") == "velocity_umap"
        mine.pop("latent_key")
    assert mine == reference, name


def compare_columns(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Compare the columns without the ranges that only the reference gives."""
    mine, reference = ours["_continuousFields"], theirs["_continuousFields"]
    assert mine == [entry[:1] for entry in reference]
    mine, reference = ours["_categoricalFields"], theirs["_categoricalFields"]
    assert all(entry[5:] == [0.0, 1.0] for entry in reference)
    assert [entry[:4] for entry in mine] == [entry[:4] for entry in reference]
    for a, b in zip(mine, reference, strict=True):
        assert len(a) == 5
        assert_same_centroids(a[4], b[4], a[0])


def drop(manifest: Any, path: list[str]) -> None:
    """Take out what a path names."""
    head, *rest = path
    if head == "*":
        for value in manifest.values() if isinstance(manifest, dict) else manifest:
            drop(value, rest)
    elif rest and head in manifest:
        drop(manifest[head], rest)
    elif not rest:
        manifest.pop(head, None)


def test_service_paths_of_the_reference(both: tuple[Oracle, Client]) -> None:
    """Health and the list hold all that the reference's hold, under the same names."""
    oracle, client = both
    theirs, mine = (
        json.loads(body)
        for body in (oracle.get("/_cellucid/health")[1], client("/_cellucid/health").body)
    )
    assert sorted(theirs) == sorted(mine)
    differs = {key for key in theirs if theirs[key] != mine[key]}
    # A zarr is never backed for the reference, which reads it whole.
    assert differs <= ({"version", "is_backed"} if mine["format"] == "zarr" else {"version"})
    (theirs,), (mine,) = (
        json.loads(body)["datasets"]
        for body in (oracle.get("/_cellucid/datasets")[1], client("/_cellucid/datasets").body)
    )
    assert set(theirs) <= set(mine)
    assert mine["path"] == theirs["path"] == "/"
    for name in ("id", "name"):
        assert mine[name] == theirs[name].removesuffix(".zarr")


def test_what_the_reference_does_not_know_is_unknown_to_us(both: tuple[Oracle, Client]) -> None:
    oracle, client = both
    for path in ("/points_9d.bin", "/obs/nothing.values.f32", "/var/nothing.values.f32",
                 "/vectors/nothing_2d.bin", "/connectivity/edges.up.bin", "/nothing",
                 "/var/gene0.values.u8", "/points_4d.bin.gz"):  # fmt: skip
        assert oracle.get(path)[0] == client(path).status == 404, path


def test_outliers_differ_from_the_reference_only_where_the_latent_space_does(
    reference: dict[str, tuple[Path, Oracle]], tmp_path: Path
) -> None:
    """With the reference's choice of the latent space, ranks are its ranks."""
    path, oracle = reference["odd.h5ad"]
    options = {"latent_key": "velocity_umap", "cache_dir": tmp_path}
    with serving(path, **options) as server, Client(server) as client:
        for key in ("group", "rare", "gaps", "yes", "many"):
            name = f"/obs/{key}.outliers.f32"
            status, expected = oracle.get(name)
            assert status == 200
            assert_same_ranks(client(name).body, expected, name)
