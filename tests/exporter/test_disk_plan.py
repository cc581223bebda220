"""A run is refused before it writes when the disk has too few blocks or inodes for its files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from atlas import Outcome, atlas, run, save
from forks import can_mount, forks

from cellucid_dask.exporter.planning.disk_usage import Disk, FileKind

needs_mount = pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 genes: an export of 621 files, most of them of less than 200 bytes."""
    return save(atlas(genes=600), tmp_path_factory.mktemp("data") / "many.h5ad")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in which a disk can be mounted, for forked commands only."""
    path = tmp_path / "disk"
    path.mkdir()
    yield path
    forks().shell(f"umount -l {path} 2>/dev/null; true")


def export(data: Path, disk: Path, options: str, *more: object) -> Outcome:
    """Export to a disk that is mounted with `options`, and see that a refusal wrote nothing."""
    forks().shell(f"mount -t tmpfs -o {options} tmpfs {disk}")
    ended = run("export", data, "--workers", 1, "--quiet", *more, cwd=disk.parent)
    if ended.code:
        assert ended.code == 2, ended.err
        assert not list(forks().seen(disk).iterdir())
        assert ended.err.count("error:") == 1, ended.err
    return ended


@needs_mount
def test_too_few_inodes_are_named(data: Path, disk: Path) -> None:
    ended = export(data, disk, "size=64m,nr_inodes=400", "-o", disk / "out")
    free = r"the disk has room for 399 more files and folders \(free inodes\), however small"
    assert re.search(rf"--out: {free}; the plan needs [67]\d\d\n", ended.err), ended.err
    assert "make room, or name another disk with --out or --scratch" in ended.err
    assert " free; the plan needs" not in ended.err, "bytes are not what lacks"


@needs_mount
def test_small_files_take_whole_blocks(data: Path, disk: Path) -> None:
    """The bytes of all files would fit three times. A dry run says so as well."""
    ended = export(data, disk, "size=1m", "-o", disk / "out", "--dry-run")
    assert re.search(r"--out: the disk has 1\.0 MB free; the plan needs 2\.\d MB\n", ended.err)
    assert "inodes" not in ended.err


@needs_mount
def test_scratch_on_a_disk_of_its_own(data: Path, disk: Path, tmp_path: Path) -> None:
    """Only the scratch files count there."""
    places = ("-o", tmp_path / "out", "--scratch", disk)
    ended = export(data, disk, "size=64m,nr_inodes=5", *places)
    assert "--scratch: the disk has room for 4 more files and folders" in ended.err
    assert not (tmp_path / "out").exists()
    forks().shell(f"mount -o remount,nr_inodes=60 {disk}")
    ended = run("export", data, "--workers", 1, "--quiet", *places, cwd=tmp_path)
    assert ended.code == 0, ended.err


@needs_mount
def test_a_disk_with_room_enough_is_enough(data: Path, disk: Path) -> None:
    """What the plan asks for is not much more than what the run takes."""
    ended = export(data, disk, "size=4m,nr_inodes=720", "-o", disk / "out")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("n", "n_bytes", "block", "stored"),
    [
        (0, 0, 4096, 0),
        (10, 0, 4096, 0),
        (10, 10, 4096, 10 * 4096),  # 1 byte each
        (2, 2 * 4097, 4096, 4 * 4096),
        (100, 100 * 4096, 4096, 150 * 4096),  # of unlike sizes, half of each last block is lost
        (1, 10**9, 512, 10**9 + 256),
    ],
)
def test_files_are_rounded_up_to_blocks(n: int, n_bytes: int, block: int, stored: int) -> None:
    assert FileKind(n, n_bytes).stored_bytes(block) == stored


def disk_of(monkeypatch: pytest.MonkeyPatch, folder: Path, **said: int) -> Disk:
    """What is made of the answer of a file system that is not there to be asked."""
    usual = {"f_frsize": 4096, "f_blocks": 100, "f_bavail": 50, "f_files": 1000, "f_favail": 10}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**{**usual, **said}))
    return Disk.of(folder)


def test_file_systems_that_do_not_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """btrfs makes inodes as they are needed; some FUSE file systems tell of no size at all."""
    assert disk_of(monkeypatch, tmp_path).n_files == 10
    assert disk_of(monkeypatch, tmp_path, f_files=0, f_favail=0).n_files is None
    assert disk_of(monkeypatch, tmp_path, f_blocks=0, f_bavail=0).n_bytes is None


def test_the_transfer_size_of_a_file_server_is_no_block(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """NFS says 1 MiB: 30,000 genes would seem to need 31 GB."""
    found = disk_of(monkeypatch, tmp_path, f_frsize=1 << 20)
    assert (found.block, found.n_bytes) == (4096, 50 << 20)
