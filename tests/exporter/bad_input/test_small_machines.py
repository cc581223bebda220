"""Too little memory or disk, and schedulers that do not respond."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from atlas import here, run, save_large, script, tree
from bad_inputs import Refuse, says
from forks import can_mount, fork, forks


def test_the_memory_that_is_said_to_work_works(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both numbers of the message: for the workers asked for, and for one."""
    save_large(tmp_path / "a.h5ad", cells=20_000, genes=300)
    before = tree(tmp_path)
    base = ("export", tmp_path / "a.h5ad", "-o", tmp_path / "out", "--quiet")
    refused = here(capfd, *base, "--workers", 2, "--memory", "300MB")
    assert refused.code == 2, refused.err
    assert tree(tmp_path) == before
    found = re.search(
        r"use --memory (\w+), or --workers 1 with at least --memory (\w+)", refused.err
    )
    assert found, refused.err
    for workers, size in ((2, found[1]), (1, found[2])):
        how = ("--workers", workers, "--memory", size)
        ended = run(*base, *how, "--force", "--report", "report.json", cwd=tmp_path)
        assert ended.code == 0, ended.err
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["peak_memory_bytes"] <= int(size.removesuffix("MB")) * 10**6, how
        slightly_less = f"{int(size.removesuffix('MB')) - 60}MB"
        how = ("--workers", workers, "--memory", slightly_less)
        assert here(capfd, *base, *how, "--force", "--dry-run").code == 2, how


def test_hopelessly_little_memory(refuse: Refuse, data: Path) -> None:
    says(refuse("export", data.name, "-o", "deep/out", "--memory", "1kB"), "--memory", "too little")


needs_mount = pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")


def _refused_by_a_disk(size: str, *words: object, cwd: Path, before: str = "") -> str:
    """Export with a disk of `size` at ``disk``, on which nothing may be left; what is said.

    With `before`, a script that runs it first.
    """
    disk = cwd / "disk"
    disk.mkdir(exist_ok=True)
    forks().shell(f"mount -t tmpfs -o size={size} tmpfs {disk}")
    try:
        if before:
            arguments = ["export", *map(str, words)]
            ended = script(
                f"{before}; from cellucid_dask.commands.main import main; main({arguments})", cwd
            )
        else:
            ended = run("export", *words, cwd=cwd)
        assert list(forks().seen(disk).iterdir()) == []
    finally:
        forks().shell(f"umount -l {disk}")
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    return ended.err


@needs_mount
def test_too_small_a_disk_is_refused_before_any_work(chunked: Path, tmp_path: Path) -> None:
    words = (chunked.name, "--workers", 1)
    said = _refused_by_a_disk("64k", *words, "-o", "disk/out", cwd=tmp_path)
    says(said, "--out", "free", "needs", "make room")
    said = _refused_by_a_disk("64k", *words, "-o", "out", "--scratch", "disk", cwd=tmp_path)
    says(said, "--scratch", "free", "needs")
    assert not (tmp_path / "out").exists()


@needs_mount
def test_a_disk_that_fills_up_meanwhile(chunked: Path, tmp_path: Path) -> None:
    """As when others write to it: here nobody looks beforehand whether it all fits."""
    words = (chunked.name, "--workers", 1, "-o", "disk/out")
    blind = "import cellucid_dask.exporter.resources as r; r.disk_problems = lambda *_: []"
    said = _refused_by_a_disk("128m,nr_inodes=12", *words, cwd=tmp_path, before=blind)
    says(said, "error:", "No space left")


@needs_mount
def test_a_read_only_disk(chunked: Path, tmp_path: Path) -> None:
    says(_refused_by_a_disk("1m,ro", chunked.name, "-o", "disk/deep/out", cwd=tmp_path), "disk")


def test_schedulers_that_do_not_answer(
    data: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A closed port and one that listens but never speaks; both at once."""
    logs_of = tmp_path_factory.mktemp("logs")
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        ports = [s.getsockname()[1] for s in (silent, closed)]
        (tmp_path / "scheduler.json").write_text(
            json.dumps({"address": f"tcp://127.0.0.1:{ports[1]}"})
        )
        before = tree(tmp_path)
        addresses = [*(f"tcp://127.0.0.1:{port}" for port in ports), "scheduler.json"]
        began = time.monotonic()
        words = ("export", data.name, "-o", "deep/out", "--scheduler")
        logs = [logs_of / f"{i}.txt" for i in range(3)]
        started = [
            fork(*words, address, cwd=tmp_path, err=log)
            for address, log in zip(addresses, logs, strict=True)
        ]
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, began + 240 - time.monotonic()))
            process.kill()
    for process, log, address in zip(started, logs, addresses, strict=True):
        message = log.read_text()
        assert process.wait() == 2, message
        says(message, "--scheduler", address, "answer", "10 s")
        assert "Traceback" not in message
        assert message.count("error:") == 1, message
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x80\xff\x00", b"[]", b"{}", b'{"address": 5}', b'"tcp://x"']
)
def test_a_scheduler_file_that_is_garbage(
    refuse: Refuse, data: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "scheduler.json").write_bytes(content)
    message = refuse("export", data.name, "-o", "out", "--scheduler", "scheduler.json")
    says(message, "--scheduler", "scheduler.json")
    assert "10 s" not in message, "nothing was asked that could have answered"


@pytest.mark.parametrize(
    "address", ["nowhere.json", "localhost:8786", "http://localhost:1", "tcp://"]
)
def test_an_address_that_is_none(refuse: Refuse, data: Path, address: str) -> None:
    message = refuse("export", data.name, "-o", "out", "--scheduler", address)
    says(message, "--scheduler", address)
