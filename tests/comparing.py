"""Exports and servers of the same data, compared file by file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from oracle import CREATED, as_live, file_bytes
from serving import Client, serving, wait_until

from cellucid_dask import export

LIVE = {"compression": 0, "var_quantization": None, "obs_quantization": None}

LAYOUTS = ("csr", "csc", "dense")


def export_of(data: Any, out: Path, *, bits: int | None = None, **options: Any) -> dict[str, bytes]:
    """Files of the export that a live server answers like."""
    how = LIVE | {"var_quantization": bits, "obs_quantization": bits}
    export(data, out, quiet=True, workers=1, **(how | {"created_at": CREATED} | options))
    return as_live(file_bytes(out))


def assert_serves(server: Any, files: Mapping[str, bytes]) -> None:
    """Compare every path with the file of an export, in every coding; of many genes some so."""
    wrong = []
    step = 1 + len(files) // 100
    with Client(server) as get:
        for i, (path, stored) in enumerate(files.items()):
            manifest = path.endswith(".json")
            if path.startswith("var/") and i % step:
                wrong += [(path, "plain")] if get(f"/{path}").body != stored else []
                continue
            plain, coded = get(f"/{path}"), get(f"/{path}", {"Accept-Encoding": "gzip"})
            assert (plain.status, coded.status) == (200, 200), (path, plain, coded)
            assert plain.get("content-encoding") is None
            assert coded.get("content-encoding") == "gzip"
            assert plain.get("vary") == coded.get("vary") == "Accept-Encoding, Origin"
            assert plain.get("etag") != coded.get("etag"), "other bytes, other tags"
            bodies = {"plain": plain.body, "coded": gzip.decompress(coded.body)}
            if manifest:
                json.loads(plain.body, parse_constant=pytest.fail)
            else:
                raw = get(f"/{path}.gz", {"Accept-Encoding": "gzip"})
                assert (raw.status, raw.get("content-encoding")) == (200, None), path
                assert "Accept-Encoding" not in (raw.get("vary") or "")
                bodies["raw"] = gzip.decompress(raw.body)
            if path.endswith("dataset_identity.json"):
                bodies = {how: without_offers(body, stored) for how, body in bodies.items()}
            wrong += [(path, coding) for coding, body in bodies.items() if body != stored]
    assert wrong == []


def without_offers(served: bytes, stored: bytes) -> bytes:
    """Identity of a server without the embeddings that an export has only when they are named."""
    identity = json.loads(served)
    exported = json.loads(stored)["embeddings"]["sources"]
    offered = identity["embeddings"]["sources"]
    identity["embeddings"]["sources"] = [entry for entry in offered if entry in exported]
    return json.dumps(identity, indent=2).encode()


def assert_alike(
    data: Any, folder: Path, options: Mapping[str, Any], *, bits: int | None = None, **how: Any
) -> None:
    """Export `data` and serve it, and compare."""
    where = folder / "served"
    names = {"dataset_name": name_of(data), **options}
    files = export_of(data, where / "export", bits=bits, **names)
    given = {**options, "created_at": CREATED}
    with serving(data, cache_dir=where / "cache", quantize=bits, **given, **how) as server:
        assert_serves(server, files)
        if index_state(server) in ("waiting", "building"):
            wait_until(lambda: index_state(server) == "ready", "the index is never ready")
        assert index_state(server) in ("ready", "not needed")


def name_of(data: Any) -> str:
    """What a server calls a dataset that is given no name."""
    path = data if isinstance(data, Path) else getattr(data, "filename", None)
    return "dataset" if path is None else Path(path).name.partition(".")[0]


def index_state(server: Any) -> str:
    """What `/_cellucid/info` says of the gene index."""
    with Client(server) as get:
        return str(json.loads(get("/_cellucid/info").body)["index"]["state"])
