"""Exports that tests serve, and checks of what a server sends of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oracle import CREATED, file_bytes, make_atlas
from serving import MANIFESTS, Reply, ask

from cellucid_dask import CellucidServer, export

BIG = 24_000_000  # bytes; much more than is read at once, and than the kernel holds for a client


KINDS: dict[str, dict[str, Any]] = {
    "eight": {"compression": 6, "var_quantization": 8, "obs_quantization": 8},
    "sixteen": {"compression": 1, "var_quantization": 16, "obs_quantization": 16},
    "plain": {"compression": 0, "var_quantization": None, "obs_quantization": None},
    "bare": {"connectivity": False, "vectors": False, "expression": False},
}


ORACLES: dict[str, dict[str, Any]] = {
    "oracle": {"compression": 6, "var_quantization": 8, "obs_continuous_quantization": 8},
    "oracle-plain": {},
}


def export_atlas(folder: Path, *, seed: int = 0, **options: Any) -> Path:
    """Export an atlas; replaces an export in the folder."""
    names = {"dataset_id": "atlas", "dataset_name": "An atlas"}
    more = {"quiet": True, "workers": 1, "created_at": CREATED, "force": True}
    export(make_atlas(seed=seed), folder, **(names | more | options))
    return folder


def check_every_file(get: Callable[[str], Reply], folder: Path, head: str = "/") -> None:
    """Check that the server sends every file of an export as stored, manifests first."""
    files = file_bytes(folder)
    for name in sorted(files, key=lambda name: (name not in MANIFESTS, name)):
        reply = get(head + name)
        assert reply.status == 200, (name, reply)
        assert reply.body == files[name], name


def stable_headers(reply: Reply) -> dict[str, str]:
    return {
        key: value for key, value in reply.headers_without_date().items() if key != "connection"
    }


def byte_ranges(size: int) -> dict[str, tuple[int, int] | None]:
    """Range headers with the bytes that they request; None for a range without bytes (416)."""
    return {
        "bytes=0-0": (0, 1),
        "bytes=0-": (0, size),
        "bytes=1-1": (1, 2),
        "bytes=7-99": (7, 100),
        f"bytes={size - 1}-": (size - 1, size),
        f"bytes={size - 1}-{size - 1}": (size - 1, size),
        f"bytes=0-{size - 1}": (0, size),
        f"bytes=0-{size}": (0, size),
        f"bytes=5-{size * 10}": (5, size),
        "bytes=-1": (size - 1, size),
        "bytes=-10": (size - 10, size),
        f"bytes=-{size}": (0, size),
        f"bytes=-{size + 1}": (0, size),
        f"bytes=-{size * 1000}": (0, size),
        f"bytes={size}-": None,
        f"bytes={size}-{size}": None,
        f"bytes={size * 10}-{size * 20}": None,
        "bytes=99999999999999999999-": None,
    }


def check_ranges(get: Callable[..., Reply], path: str) -> None:
    whole = get(path)
    size = len(whole.body)
    for header, span in byte_ranges(size).items():
        reply = get(path, {"Range": header})
        if span is None:
            assert reply.status == 416, header
            assert reply.get("Content-Range") == f"bytes */{size}"
            assert len(reply.body) < 100
            continue
        assert reply.status == 206, header
        assert reply.body == whole.body[slice(*span)], header
        assert reply.get("Content-Range") == f"bytes {span[0]}-{span[1] - 1}/{size}"
        assert reply.get("Content-Length") == str(span[1] - span[0])
        assert reply.get("ETag") == whole.get("ETag")
        assert reply.get("Content-Encoding") is None


def swap_folders(one: Path, two: Path) -> None:
    """Exchange two folders by renaming, as an export with --force does."""
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


NAMES = (
    "one",
    "with space",
    "ünï",
    "日本\u3000語",
    "a&b=c;d+e",
    "per%20cent",
    "what?",
    "sh#rp",
    "a.b-c_d",
)


def edit_manifest(path: Path, **changes: Any) -> None:
    """Change values of a manifest; None removes a key."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def list_datasets(server: CellucidServer) -> dict[str, dict[str, Any]]:
    """Entries of the list of datasets by path."""
    reply = ask(server, "/_cellucid/datasets")
    assert reply.status == 200
    return {entry["path"]: entry for entry in json.loads(reply.body)["datasets"]}
