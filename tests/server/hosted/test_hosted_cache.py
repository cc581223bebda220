"""The cache folder of the hosted page."""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hosted_site import MAIN, kept
from serving import ask, internal
from upstream import Site, index_of

from cellucid_dask.server.hosted.build import Build
from cellucid_dask.server.hosted.cache import WebCache, named


def test_a_folder_that_cannot_be_written(
    hosted: Any, web: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = hosted()
    assert server.app.hosted is not None
    folder = server.app.hosted.cache.folder
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    for _ in range(2):
        assert ask(server, "/").body == index_of("one")
        assert ask(server, MAIN).status == 200
    assert web.asked[MAIN[1:]] == 2
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) == 1
    assert re.fullmatch(
        r"the hosted page is not kept in .*: (Not a directory|File exists)", told[0]
    )
    assert folder.read_text() == "in the way"


def test_a_folder_that_is_full(hosted: Any, web: Site, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(internal("hosted.cache"), "TOTAL", 1000)
    server = hosted()
    ask(server, "/")
    web.files["assets/big.bin"] = b"x" * 900
    assert ask(server, "/assets/big.bin").status == 200
    assert ask(server, MAIN).status == 200
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 1500
    assert not [name for name in kept(tmp_path) if "big" in name]


@pytest.mark.parametrize("spoil", ["cut", "flipped", "emptied", "another's", "a pipe"])
def test_damaged_files_are_fetched_again(
    hosted: Any, web: Site, tmp_path: Path, spoil: str
) -> None:
    server = hosted()
    ask(server, "/")
    good = ask(server, MAIN).body
    (path,) = (tmp_path / "web").rglob("*main.js*")
    data = path.read_bytes()
    spoilt = {"cut": data[:-3], "flipped": data[:-1] + b"!", "emptied": b""}
    (other,) = (tmp_path / "web").rglob("index.html*")
    if spoil == "a pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_bytes(spoilt.get(spoil, other.read_bytes()))
    assert ask(server, MAIN).body == good
    assert web.asked[MAIN[1:]] == 2
    assert path.read_bytes() == data


def test_what_killed_writers_left_is_removed(hosted: Any, tmp_path: Path) -> None:
    ask(hosted(), "/")
    (folder,) = (tmp_path / "web").glob("*/*")
    old, new = folder / ".unfinished-old", folder / ".unfinished-new"
    for path in (old, new):
        path.write_bytes(b"half")
    past = time.time() - 2 * 86_400
    os.utime(old, (past, past))
    (folder / folder.joinpath(named("index.html")).name).unlink()
    ask(hosted(), "/")
    assert not old.exists()
    assert new.exists()


def test_an_index_that_was_removed_is_kept_again(hosted: Any, tmp_path: Path) -> None:
    """Without it, what is kept besides would be of no use when the site is gone."""
    server = hosted()
    ask(server, "/")
    before = kept(tmp_path)
    shutil.rmtree(tmp_path / "web")
    ask(server, "/")
    assert kept(tmp_path) == before


def test_a_folder_that_others_purge_is_no_trouble(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, others = (WebCache(tmp_path, "https://x.org") for _ in range(2))
    over = threading.Event()

    def purge() -> None:
        while not over.is_set():
            others.purge(Build("two", b""))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(purge)
        for number in range(100):
            ours.put("one", f"assets/{number}.js", b"x")
        over.set()
    assert not caplog.records
    assert ours.get("one", "assets/99.js") in (None, b"x")


def test_only_the_folder_of_the_site_is_purged(hosted: Any, web: Site, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "thesis.txt").write_text("years of work")
    other = WebCache(tmp_path / "web", "https://other.org")
    other.put("one", "index.html", b"other")
    server = hosted()
    ask(server, "/")
    web.publish("two")
    ask(server, "/")
    assert (tmp_path / "web" / "thesis.txt").read_text() == "years of work"
    kept = other.latest()
    assert kept is not None
    assert (kept.id, kept.index) == ("one", b"other")
