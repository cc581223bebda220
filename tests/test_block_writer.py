"""Files of a block are complete under their names, or not there."""

from __future__ import annotations

import resource
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cellucid_dask.block_writer import BlockWriter


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export that is being made, with the folder for unfinished files beside it."""
    (tmp_path / "export" / "var").mkdir(parents=True)
    (tmp_path / "parts").mkdir()
    return tmp_path / "export"


def writer_for(export: Path) -> BlockWriter:
    return BlockWriter(str(export), str(export.with_name("parts")))


@contextmanager
def limited_file_size(limit: int) -> Iterator[None]:
    """Let the system take only so many bytes of a file: the last write is a short one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_files_have_their_bytes_and_nothing_else_is_left(export: Path) -> None:
    payloads = {"var/a": b"", "var/b": b"x", "var/c": bytes(range(256)) * 5000}
    with writer_for(export) as writer:
        for path, payload in payloads.items():
            assert writer.write(path, payload) == (len(payload), zlib.crc32(payload))
        joined = memoryview(b"".join(payloads.values()))
        assert writer.write("var/d", joined[1:9]) == (8, zlib.crc32(joined[1:9]))
    payloads["var/d"] = bytes(joined[1:9])
    found = {p.relative_to(export).as_posix(): p.read_bytes() for p in export.glob("var/*")}
    assert found == payloads
    assert list(export.with_name("parts").iterdir()) == []


def test_a_file_that_cannot_be_written_whole_is_not_there(export: Path) -> None:
    (export / "var" / "a").write_bytes(b"old")
    with writer_for(export) as writer:
        for name in ("var/a", "var/b"):
            with limited_file_size(1 << 20), pytest.raises(OSError, match="too large") as caught:
                writer.write(name, bytes(3 << 20))
            assert caught.value.filename == f"{export}/{name}"
        assert [p.name for p in export.glob("var/*")] == ["a"]
        assert (export / "var" / "a").read_bytes() == b"old"
        writer.write("var/b", b"shorter than what was left")
    assert (export / "var" / "b").read_bytes() == b"shorter than what was left"
    assert list(export.with_name("parts").iterdir()) == []


def test_a_lost_worker_beside_its_retry(export: Path) -> None:
    with writer_for(export) as lost, writer_for(export) as retry:
        retry.write("var/a", b"same")
        retried = (export / "var" / "a").stat().st_ino
        lost.write("var/a", b"same")
        assert (export / "var" / "a").read_bytes() == b"same"
        assert (export / "var" / "a").stat().st_ino != retried


def test_a_lost_worker_writes_nothing_into_an_export_that_has_its_name(export: Path) -> None:
    with writer_for(export) as lost:
        lost.write("var/a", b"in time")
        published = export.rename(export.with_name("published"))
        with pytest.raises(FileNotFoundError) as caught:
            lost.write("var/b", b"late")
        assert caught.value.filename == f"{export}/var/b"
    assert [p.name for p in published.rglob("*")] == ["var", "a"]
