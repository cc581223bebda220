"""Ready files that change while they are served, and the descriptors of their server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_ready import READY, store_url, write_ready
from serving import ask, serving, wait_until

from cellucid_dask import CellucidServer

SPAN = {"Range": "bytes=100-70099"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, CellucidServer]]:
    """A ready h5ad that a test may change, and its server."""
    path = write_ready(tmp_path / "any.h5ad", "any.h5ad")
    with serving(path, **READY) as server:
        yield path, server


def test_another_file_gets_another_tag_and_no_range_mixes_the_two(
    served: tuple[Path, CellucidServer], tmp_path: Path
) -> None:
    path, server = served
    url, before = store_url(server), path.read_bytes()
    first = ask(server, url, SPAN)
    other = write_ready(tmp_path / "other.h5ad", "any.h5ad", dataset_name="Another name")
    after = other.read_bytes()
    assert before[100:70_100] != after[100:70_100]
    other.replace(path)
    versions = {first.get("ETag"): before}

    def is_new() -> bool:
        reply = ask(server, url, SPAN)
        content = versions.setdefault(reply.get("ETag"), after)
        assert reply.body == content[100:70_100]
        return content is after

    wait_until(is_new, "the server still has the file that was replaced")
    assert len(versions) == 2
    whole = ask(server, url, {**SPAN, "If-Range": str(first.get("ETag"))})
    assert (whole.status, whole.body) == (200, after)
    assert ask(server, url, {"If-None-Match": str(first.get("ETag"))}).status == 200


@pytest.mark.parametrize("length", [1, 300_000])
def test_a_file_that_is_written_to_has_its_new_bytes_at_once(
    served: tuple[Path, CellucidServer], length: int
) -> None:
    path, server = served
    url, size = store_url(server), path.stat().st_size
    before = ask(server, url, SPAN)
    with path.open("ab") as file:  # HDF5 ignores what is behind its end
        file.write(b"x" * length)
    reply = ask(server, url, {"Range": f"bytes={size - 5}-{size + length - 1}"})
    assert (reply.status, len(reply.body)) == (206, 5 + length)
    assert reply.body.endswith(b"x" * length)
    assert reply.get("ETag") != before.get("ETag")


def test_a_file_that_is_gone_is_not_served(served: tuple[Path, CellucidServer]) -> None:
    path, server = served
    url = store_url(server)
    path.unlink()
    wait_until(lambda: ask(server, url, SPAN).status in (404, 503), "the file is still served")


def test_a_chunk_that_is_replaced_is_read_at_once(tmp_path: Path) -> None:
    folder = write_ready(tmp_path / "two.zarr", "two.zarr")
    with serving(folder, **READY) as server:
        url, chunk = store_url(server) + "X/data/0", folder / "X/data/0"
        before = ask(server, url)
        assert before.body == chunk.read_bytes()
        shutil.copyfile(chunk, tmp_path / "new")
        with (tmp_path / "new").open("ab") as file:
            file.write(b"more")
        (tmp_path / "new").replace(chunk)
        after = ask(server, url)
        assert after.body == before.body + b"more"
        assert after.get("ETag") != before.get("ETag")
        chunk.unlink()
        assert ask(server, url).status == 503  # a reader takes one that is absent for zeros


def test_a_chunk_that_was_moved_out_of_the_store_is_not_absent(tmp_path: Path) -> None:
    """As of a store in git-annex."""
    folder = write_ready(tmp_path / "two.zarr", "two.zarr")
    with serving(folder, **READY) as server:
        url = store_url(server) + "X/data/0"
        assert ask(server, url).status == 200
        (folder / "X/data/0").rename(tmp_path / "elsewhere")
        assert ask(server, url).status == 503
        (folder / "X/data/0").symlink_to(tmp_path / "elsewhere")
        assert ask(server, url).status == 503


@pytest.mark.skipif(sys.platform != "linux", reason="it lists the descriptors of this process")
@pytest.mark.parametrize("kind", ["any.h5ad", "two.zarr"])
def test_requests_leave_no_descriptor_open(kind: str, tmp_path: Path) -> None:
    path = write_ready(tmp_path / kind, kind)
    with serving(path, **READY) as server:
        url = store_url(server) + ("" if kind == "any.h5ad" else "X/data/0")

        def count() -> int:
            names = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
            return sum(name.startswith(str(path)) for name in names)

        for headers in (None, SPAN, {"Range": "bytes=0-4"}):
            for _ in range(30):
                ask(server, url, headers)
            # A client has its answer a moment before the server closes the file.
            wait_until(lambda: count() <= 1, f"{count()} descriptors are open")
