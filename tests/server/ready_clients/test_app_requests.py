"""The public app's requests, in its order, with its headers.

No public copy of the app that reads this protocol is stored anywhere that tests can look. The order
of its connection is that of an older one (``theislab/cellucid``,
``assets/js/data/remote-source.js`` at 05e0db69b715a6ff401e37988ab0f3e92cba19fd): health, info,
datasets, each without headers of its own. How the store is read then is what is known of today's
app: of an h5ad 512 KiB from the start, then blocks of 256 KiB where metadata or chunks are; of a
zarr the consolidated metadata, then the record, names, pointers and categories, then what is shown.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlsplit

import h5py
import numpy as np
import pytest
from app_requests import BLOCK, FIRST, BlockFile, Page, check_sharing, words
from ready_inputs import IDENTITY
from served_cases import Case, Lineup, Served

FILE = Case("many", "ready h5ad")
FOLDERS = [
    Case("many", "ready zarr"),
    Case("columns", "ready zarr 3"),
    Case("many", "v3"),  # a virtual store
]


def connect(page: Page, store: Served) -> dict[str, Any]:
    """Find the server and its dataset; return the entry of its file."""
    health = json.loads(page("/_cellucid/health").body)
    assert (health["status"], health["type"]) == ("ok", "anndata")
    info = json.loads(page("/_cellucid/info").body)
    assert {key: info[key] for key in ("host", "port", "type")} == {
        "host": "127.0.0.1",
        "port": store.server.port,
        "type": "anndata",
    }
    (dataset,) = json.loads(page("/_cellucid/datasets").body)["datasets"]
    assert dataset.keys() == {"id", "name", "anndata"}
    assert dataset["id"] == IDENTITY["dataset_id"]
    assert dataset["anndata"].keys() == {"file", "defaults"}
    return dict(dataset["anndata"]["file"])


def test_an_h5ad_is_opened_with_one_request_and_then_read_in_blocks(served: Lineup) -> None:
    store = served(FILE)
    with Page(store.server) as page:
        entry = connect(page, store)
        assert (entry["kind"], entry["layout"]) == ("h5ad", "file")
        assert entry["size"] > FIRST, "the file is larger than what is asked for first"
        path = "/" + entry["url"]
        assert page.preflight(path).status == 204
        blocks = BlockFile(page, path, entry["size"])
        with h5py.File(blocks, "r") as file:
            assert blocks.ranges == [(0, FIRST - 1)]
            names = file["uns/cellucid/name"][()], file["var/_index"][:], file["X/indptr"][:]
            assert names[0].decode() == IDENTITY["dataset_name"]
            groups = file["obs/group/categories"].asstr()[:]
            assert groups.tolist() == store.wanted["obs/group/categories"].values.tolist()
            assert blocks.ranges == [(0, FIRST - 1)], "that is all that opening reads"
            gene = slice(*names[2][-2:])
            for key in ("X/indices", "X/data"):
                np.testing.assert_array_equal(file[key][gene], store.wanted[key].values[gene])
        assert len(blocks.ranges) > 1
        assert all(first % BLOCK == 0 for first, _ in blocks.ranges)
        again = page(path, Range=f"bytes=0-{FIRST - 1}", If_None_Match=blocks.etag)
        assert (again.status, again.body, again.get("ETag")) == (304, b"", blocks.etag)
        other = page(path, Range="bytes=0-99", If_Range='"of an older file"')
        assert (other.status, len(other.body)) == (200, entry["size"])
        beyond = page(path, Range=f"bytes={entry['size']}-")
        assert (beyond.status, beyond.get("Content-Range")) == (416, f"bytes */{entry['size']}")


@pytest.mark.parametrize("case", FOLDERS, ids=str)
def test_a_zarr_is_opened_by_its_consolidated_metadata_and_then_read_by_key(
    case: Case, served: Lineup
) -> None:
    store = served(case)
    with Page(store.server) as page:
        entry = connect(page, store)
        assert (entry["kind"], entry["layout"], entry.get("size")) == ("zarr", "folder", None)
        root = "/" + entry["url"]
        assert page.preflight(root + ".zmetadata").status == 204
        found = page(root + ".zmetadata")
        chunk = "{}/{}"
        if found.status == 404:  # the app asks for both versions
            found, chunk = page(root + "zarr.json"), "{}/c/{}"
        assert found.status == 200
        assert b"consolidated" in found.body
        keys = [
            chunk.format(path, 0) for path in ("var/_index", "X/indptr", "obs/group/categories")
        ]
        keys += [chunk.format("obsm/X_umap", "0.0" if chunk == "{}/{}" else "0/0")]
        keys += [chunk.format(path, 0) for path in ("obs/group/codes", "X/indices", "X/data")]
        for key in keys:
            reply = page(root + quote(key))
            assert (reply.status, reply.get("Content-Encoding")) == (200, None), key
            again = page(root + quote(key), If_None_Match=reply.get("ETag"))
            assert (again.status, again.body) == (304, b""), key
        for key in (chunk.format("X/data", 10**6), "X/.zattrs2", "raw/X/.zarray", ".zgroup2"):
            assert page(root + key).status == 404, "what is not there is all fill values"


def test_a_preflight_allows_ranges_to_this_app_alone(served: Lineup) -> None:
    store = served(FILE)
    path = urlsplit(store.url).path
    with Page(store.server) as page:
        allowed = page.preflight(path)
        check_sharing(allowed)
        assert allowed.status == 204
        assert words(allowed, "Access-Control-Allow-Methods") == {"get", "head", "options"}
        assert words(allowed, "Access-Control-Allow-Headers") == {"content-type", "range"}
        for origin in ("https://cellucid.com.example.org", "https://example.org", "null"):
            refused = page.preflight(path, origin)
            assert refused.get("Access-Control-Allow-Origin") is None, origin
