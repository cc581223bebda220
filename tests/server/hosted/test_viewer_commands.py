"""`viewer`: all files of the hosted page fetched ahead, listed, verified and removed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from atlas import Outcome, Running, here
from hosted_site import MAIN, kept
from inventory_site import INVENTORY, build_files, publish
from serving import ask, free_port, serving, wait_until
from upstream import Site, index_of, site

from cellucid_dask.server.hosted.cache import WebCache, named

Viewer = Callable[..., Outcome]


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def own(shared: Site) -> Site:
    """The site of the module, with a build of its own for each test."""
    shared.asked.clear()
    publish(shared, build_files("one", 6))
    return shared


@pytest.fixture
def viewer(own: Site, tmp_path: Path, capfd: Any) -> Viewer:
    def run(verb: str, *more: object, url: str = "") -> Outcome:
        where = ("--viewer-url", url or own.url, "--viewer-cache", tmp_path / "web")
        return here(capfd, "viewer", verb, *where, *more)

    return run


def test_a_page_that_was_fetched_needs_no_site(
    viewer: Viewer, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = build_files("one", 6)
    with site() as web:
        publish(web, files)
        url = web.url
        done = viewer("fetch", url=url)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert f"build one of {url}: all {len(files)} files (" in done.out
    options: dict[str, Any] = {"viewer_cache": tmp_path / "web", "quiet": False}
    with serving(exported, viewer="hosted", viewer_url=url, **options) as server:
        (told,) = (line for line in capfd.readouterr().out.splitlines() if url in line)
        assert "; without the site: all of build one of 20" in told
        assert ask(server, "/").body == files["index.html"]
        for path, body in files.items():
            assert ask(server, f"/{path}").body == body
        assert ask(server, "/assets/js/none.js").status == 404
    assert viewer("verify", url=url).code == 0


def test_what_is_kept_is_not_fetched_again(viewer: Viewer, own: Site, tmp_path: Path) -> None:
    assert "new files: 11 (" in viewer("fetch").out
    (damaged,) = tmp_path.rglob("*main.js*")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    next(iter(tmp_path.rglob("*README*"))).unlink()
    own.asked.clear()
    assert "new files: 2 (" in viewer("fetch").out
    assert set(own.asked) == {"index.html", INVENTORY, MAIN[1:], "assets/css/README.md"}
    quiet = viewer("fetch", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_file_that_breaks_off_is_asked_for_again(viewer: Viewer, own: Site) -> None:
    whole = own.files[MAIN[1:]]

    def behave(sock: socket.socket) -> None:
        own.files[MAIN[1:]] = whole
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")

    own.files[MAIN[1:]] = behave
    assert viewer("fetch").code == 0
    assert own.asked[MAIN[1:]] == 2


def test_a_fetch_that_was_killed_is_resumed(viewer: Viewer, own: Site, tmp_path: Path) -> None:
    size = len(own.files["assets/js/3.js"])
    own.hang("assets/js/3.js", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhalf" % size)
    where = ("--viewer-url", own.url, "--viewer-cache", tmp_path / "web")
    with Running("viewer", "fetch", *where, folder=tmp_path) as running:
        there = lambda: [name for name in kept(tmp_path / "web") if name[0] != "."]  # noqa: E731
        wait_until(lambda: len(there()) == 11, "the others do not come", seconds=60)
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
    listed = viewer("list").out
    assert "one: 10 of 12 files" in listed
    assert "incomplete: 2 missing, index not fetched" in listed
    publish(own, build_files("one", 6))
    own.asked.clear()
    assert "new files: 1 (" in viewer("fetch").out
    assert set(own.asked) == {"index.html", INVENTORY, "assets/js/3.js"}
    assert viewer("verify").code == 0


WRONG: list[tuple[Callable[[Site], object], str]] = [
    (lambda web: web.files.update({MAIN[1:]: b"export const build = 'tvo';"}), "is not the one"),
    (lambda web: web.files.pop(MAIN[1:]), "has no such file, which its inventory lists"),
    (lambda web: web.files.pop(INVENTORY), f"has no inventory ({INVENTORY})"),
    (lambda web: web.files.pop("index.html"), "has no such file"),
    (lambda web: web.files.update({INVENTORY: b"[]"}), "has an inventory that is no object"),
    (lambda web: publish(web, build_files("one"), version=3), "version 3; this program reads"),
    (lambda web: web.files.update({"index.html": b"<html>log in</html>"}), "it names no build"),
    (lambda web: web.raw(MAIN[1:], b"HTTP/1.1 500 No\r\n\r\n"), f"{MAIN[1:]}: answered 500"),
]


@pytest.mark.parametrize(("spoil", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_site_that_lies(
    viewer: Viewer, own: Site, tmp_path: Path, spoil: Callable[[Site], object], told: str
) -> None:
    spoil(own)
    done = viewer("fetch")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {own.url}: ")
    assert told in done.err
    assert len(done.err.splitlines()) == 2
    assert not [name for name in kept(tmp_path) if name.startswith(("index.html", ".unfin"))]
    assert not list(tmp_path.rglob("*main.js*"))


def test_a_site_that_cannot_be_reached(viewer: Viewer, tmp_path: Path) -> None:
    done = viewer("fetch", url=f"http://127.0.0.1:{free_port()}")
    assert done.code == 2
    assert "cannot be reached (NewConnectionError)" in done.err
    assert not (tmp_path / "web").exists()
    assert "'ftp://x.org' is not the URL of a site" in viewer("fetch", url="ftp://x.org").err


def test_a_build_that_changes_while_it_is_fetched(viewer: Viewer, own: Site) -> None:
    def behave(sock: socket.socket) -> None:
        publish(own, build_files("two", 6), "two")
        sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    own.files["assets/js/0.js"] = behave
    done = viewer("fetch")
    assert done.code == 2
    assert "has published build two while one was being fetched" in done.err
    assert viewer("fetch").code == 0
    listed = viewer("list").out.splitlines()
    assert len(listed) == 2, "what there was of the other is removed"
    assert listed[1].startswith("  two: 12 of 12 files, ")


def test_the_old_build_stays_until_the_new_one_is_whole(
    viewer: Viewer, own: Site, tmp_path: Path
) -> None:
    viewer("fetch")
    publish(own, files := build_files("two", 6), "two")
    own.files["assets/js/5.js"] = b"wrong"
    assert viewer("fetch").code == 2
    cache = WebCache(tmp_path / "web", own.url)
    shown = cache.latest()
    assert shown is not None
    assert shown.id == "one"
    verified = viewer("verify")
    assert verified.code == 0, "what is shown without the site is whole"
    own.files.update(files)
    assert viewer("fetch").code == 0
    assert [path.name for path in cache.folder.iterdir()] == [named("two")]


def test_what_is_damaged_or_missing(viewer: Viewer, own: Site, tmp_path: Path) -> None:
    assert "no hosted page is kept in" in viewer("list").out
    none = viewer("verify")
    assert (none.code, none.out) == (2, "")
    assert "no hosted page is kept here" in none.err
    viewer("fetch")
    for name, data in (("*1.js*", b"not of the cache"), ("*2.js*", None), ("*3.js*", b"")):
        (path,) = tmp_path.rglob(name)
        path.write_bytes(data if data is not None else path.read_bytes()[:-1] + b"!")
    (cut,) = tmp_path.rglob("*main.js*")
    cut.unlink()
    before = kept(tmp_path)
    done = viewer("verify")
    assert done.code == 2
    lines = sorted(line.split(" (")[0].rpartition("-")[0] or line for line in done.out.splitlines())
    assert len(lines) == 6
    assert sum("  damaged: assets" in line for line in done.out.splitlines()) == 3
    assert f"  missing: {MAIN[1:]} (build one of {own.url})" in done.out.splitlines()
    assert "files damaged or missing: 6" in done.err
    assert kept(tmp_path) == before, "it changes nothing"
    assert viewer("fetch").code == viewer("verify").code == 0


def test_sites_without_an_inventory_are_listed(
    viewer: Viewer, own: Site, exported: Path, tmp_path: Path
) -> None:
    own.files.clear()
    own.publish("plain")
    options: dict[str, Any] = {"viewer_cache": tmp_path / "web"}
    with serving(exported, viewer="hosted", viewer_url=own.url, **options) as server:
        assert ask(server, "/").body == index_of("plain")
        ask(server, MAIN)
    lines = viewer("list").out.splitlines()
    assert lines[0] == own.url
    assert lines[1].startswith("  plain: 2 files, ")
    assert ", no inventory, 20" in lines[1]
    assert viewer("verify").code == 0


def test_only_what_the_cache_made_is_removed(
    viewer: Viewer, own: Site, tmp_path: Path, capfd: Any
) -> None:
    viewer("fetch")
    root = tmp_path / "web"
    (root / "thesis.txt").write_text("years of work")
    (root / "pictures").mkdir()
    (root / "pictures" / "one.png").write_text("x")
    (folder,) = root.glob("*/*-*")
    (folder / "mine.txt").write_text("mine")
    (folder / ".unfinished-x").write_text("half")
    (folder / named("link")).symlink_to(root / "thesis.txt")
    (folder.parent / "notes").mkdir()
    other = WebCache(root, "https://other.org")
    other.put("one", "index.html", b"other")
    done = viewer("clear")
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith("removed files: 14 (")
    assert sum("was left" in line for line in done.out.splitlines()) == 3
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    site_name = folder.relative_to(root).as_posix()
    ours = {f"{site_name}/mine.txt", f"{site_name}/{named('link')}"}
    assert left - {"thesis.txt", "pictures/one.png"} - ours == {
        f"{other.folder.name}/{named('one')}/{named('index.html')}"
    }
    assert (root / "thesis.txt").read_text() == "years of work"
    for _ in range(2):
        done = here(capfd, "viewer", "clear", "--viewer-cache", root)
    assert not other.folder.exists()
    assert done.code == 2, "nothing in it is of the cache now"


@pytest.mark.parametrize(
    "how", ["a folder of the user", "a name like those of the cache", "a link"]
)
def test_a_folder_that_is_no_cache_is_refused(tmp_path: Path, capfd: Any, how: str) -> None:
    root = tmp_path / "root"
    inner = root / named("site") / named("build")
    inner.mkdir(parents=True)
    (inner / "data.bin").write_text("x")
    if how == "a name like those of the cache":
        (inner / named("data")).write_text("x")
    if how == "a link":
        WebCache(tmp_path / "elsewhere", "https://x.org").put("one", "index.html", b"x")
        shutil.rmtree(inner.parent)
        (folder,) = (tmp_path / "elsewhere").iterdir()
        (root / folder.name).symlink_to(folder)
    before = sorted(tmp_path.rglob("*"))
    done = here(capfd, "viewer", "clear", "--viewer-cache", root)
    assert (done.code, done.out) == (2, "")
    assert "is no cache of the hosted page: nothing was removed" in done.err
    assert sorted(tmp_path.rglob("*")) == before
    done = here(capfd, "viewer", "clear", "--viewer-cache", tmp_path / "none")
    assert (done.code, done.out) == (0, "there is nothing to remove\n")


def test_a_folder_that_cannot_be_written(viewer: Viewer, own: Site, tmp_path: Path) -> None:
    (tmp_path / "web").write_text("in the way")
    assert "is not a folder" in viewer("fetch").err
    (tmp_path / "web").unlink()
    folder = WebCache(tmp_path / "web", own.url).folder
    folder.parent.mkdir()
    folder.write_text("in the way")
    done = viewer("fetch")
    assert done.code == 2
    assert f"{folder}: cannot be written (" in done.err
    assert folder.read_text() == "in the way"


def test_the_usual_places(own: Site, tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    monkeypatch.setenv("CELLUCID_DASK_CACHE", str(tmp_path))
    assert urlsplit(own.url).hostname == "127.0.0.1"
    assert here(capfd, "viewer", "fetch", "--viewer-url", f"{own.url}/").code == 0
    assert (tmp_path / "web").is_dir()
    assert here(capfd, "viewer", "list").out.startswith(f"{own.url}\n  one: 12 of 12 files")


def test_what_a_site_says_is_printed_as_text(
    viewer: Viewer, own: Site, exported: Path, tmp_path: Path, capfd: Any
) -> None:
    """The id of a build may hold what moves the cursor of a terminal, or turns its text."""
    build = "a\x1b[2J\u202eb"
    publish(own, build_files(build), build)
    said = [viewer(verb) for verb in ("fetch", "list", "verify")]
    with serving(
        exported, viewer="hosted", viewer_url=own.url, viewer_cache=tmp_path / "web", quiet=False
    ):
        said.append(Outcome(0, *capfd.readouterr()))
    for done in said:
        assert done.code == 0
        assert "a?[2J?b" in done.out
        assert "\x1b" not in done.out
