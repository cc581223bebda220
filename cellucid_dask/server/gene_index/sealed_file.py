"""Files of the cache that hold what was computed of one version of a file.

    a line of JSON, the content, and the SHA-256 of both

A file that is damaged, or that has other facts than expected, counts as none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cellucid_dask.files import write_atomically

_CHECKSUM: Final = 32  # bytes


def read_sealed(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Read the facts and the content of a file; None unless it is whole."""
    try:
        sealed = path.read_bytes()
    except OSError:
        return None
    body, checksum = sealed[:-_CHECKSUM], sealed[-_CHECKSUM:]
    if sha256(body).digest() != checksum:
        return None
    line, _, content = body.partition(b"\n")
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return (facts, content) if isinstance(facts, dict) else None


def write_sealed(path: Path, facts: Mapping[str, Any], content: bytes) -> bool:
    """Write a file atomically; False where the folder cannot be written.

    Threads and processes that write the same file write the same bytes, so they need no lock.
    """
    line = json.dumps(facts).encode() + b"\n"
    digest = sha256(line)
    digest.update(content)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, [line, content, digest.digest()], durable=True)
        return True
    return False
