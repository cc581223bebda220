"""Builds with an inventory, for the site that the tests fetch the hosted page from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from upstream import Site, index_of

INVENTORY = "cellucid-web-assets.json"
JS = "application/javascript; charset=utf-8"
READY = "assets/js/data/viewer-protocol.js"
FOLDER_READER = "assets/js/data/quantization-contract.js"
MEDIA = {"html": "text/html; charset=utf-8", "js": JS, "md": "text/markdown; charset=utf-8"}


def entry(path: str, body: bytes, **other: Any) -> dict[str, Any]:
    """An entry of an inventory."""
    media = MEDIA.get(path.rpartition(".")[2], "application/octet-stream")
    digest = sha256(body).hexdigest()
    return {"path": path, "sha256": digest, "bytes": len(body), "content_type": media} | other


def inventory_of(build: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The inventory of these files."""
    assets = [entry(path, files[path]) for path in sorted(files)]
    return {"version": 1, "build_id": build, "assets": assets}


def build_files(build: str, number: int = 4, **other: bytes) -> dict[str, bytes]:
    """Files of a build, as those of the Cellucid site: also a hidden and an empty one."""
    scripts = {
        f"assets/js/{n}.js": f"export const n = '{build} {n}';".encode() for n in range(number)
    }
    return {
        "index.html": index_of(build),
        "assets/js/main.js": f"export const build = '{build}';".encode(),
        "assets/js/modules/.gitkeep": b"",
        "assets/css/README.md": b"# css",
        FOLDER_READER: b"// the tests serve an export, which other builds do not read",
        "site.webmanifest": b"{}",
        **scripts,
        **{f"assets/{name}": body for name, body in other.items()},
    }


def publish(web: Site, files: Mapping[str, bytes], build: str = "one", **changed: Any) -> None:
    """Publish files with their inventory, and nothing else; `changed` are keys of the inventory."""
    web.files.clear()
    web.files.update(files)
    web.files[INVENTORY] = json.dumps(inventory_of(build, files) | changed, indent=2).encode()
