"""Paths and options of the hosted page."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
from hosted_site import MAIN
from hypothesis import given
from hypothesis import strategies as st
from oracle import make_atlas
from serving import ask, serving, wait_until
from upstream import Site

from cellucid_dask import create_app
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.server.hosted.build import build_id
from cellucid_dask.server.hosted.cache import named
from cellucid_dask.server.hosted.paths import MEDIA, media_of

NOT_OF_THE_PAGE = [
    "/assets",
    "/assets/",
    "/assets/js",
    "/assets/js/main.exe",
    "/assets/js/main.php",
    "/assets/.git/config.js",
    "/assets/../index.js",
    "/assets/%2e%2e/main.js",
    "/assets/js%2fmain.js.",
    "/assets//main.js",
    "/assets/js/main.js/",
    "/assets/js%5cmain.js",
    "/assets/js/%2e%2e%2fmain.js",
    "/assets/js/%252e%252e/main.js",
    "/assets/js/main.js%00",
    "/assets/js/main.js%0a",
    "/assets/js/ma%20in.js",
    "/assets/js/m%C3%A4in.js",
    "/assets/js/main.js%3fx=.js",
    "/assets/" + "x/" * 200 + "main.js",
    "/ASSETS/js/main.js",
    "/main.js",
    "/robots.txt",
    "/cellucid-web-assets.json",
    "/http://127.0.0.1:1/assets/main.js",
    "/assets/http://127.0.0.1:1/main.js",
]


def test_other_paths_are_not_asked_of_the_site(hosted: Any, web: Site) -> None:
    server = hosted()
    for path in NOT_OF_THE_PAGE:
        assert ask(server, path).status in (400, 404), path
    assert not web.heads


texts = st.text(st.characters(codec="utf-8"), max_size=30) | st.lists(
    st.sampled_from(["..", ".", "a", "/", "%2e", "\\", "a.js", ":", "?", "#", "~", "@", "\n"])
).map("".join)


@given(texts | texts.map("assets/{}.js".format))
def test_a_path_of_the_page_is_written_in_one_way(path: str) -> None:
    if media_of(path) is None:
        return
    assert media_of(path) in MEDIA.values()
    assert urlsplit(f"http://host/{path}") == ("http", "host", f"/{path}", "", "")
    parts = PurePosixPath(path).parts
    assert "/".join(parts) == path
    assert not any(part.startswith(".") for part in parts)
    assert re.fullmatch(r"[!-~]+", path)


@given(texts)
def test_names_of_files_stay_in_their_folder(text: str) -> None:
    name = named(text)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}", name)
    assert text == "" or named(text + "x") != name


@given(st.text("abcXYZ0189.:_-+/\\ '&<>é", min_size=1, max_size=60).map(str.strip).filter(bool))
def test_builds_are_read_as_they_are_written(build: str) -> None:
    written = build.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    meta = f'name="cellucid-web-build-id" content="{written}"'
    swapped = f'content="{written}"\n name=cellucid-web-build-id '
    for tag in (f"<meta {meta}>", f"<META {meta} />", f"<meta {swapped}/>"):
        assert build_id(f"<html>{tag}</html>".encode()) == build
        assert build_id(f"{tag}{tag}".encode()) == build
        another = tag.replace(f'"{written}"', '"another"')
        assert build_id(f"{tag}{another}".encode()) is None


@pytest.mark.parametrize(
    "tag",
    [
        "",
        '<meta name="cellucid-web-build-id">',
        '<meta name="cellucid-web-build-id" content="">',
        '<meta name="cellucid-web-build-id" content="  ">',
        '<meta name="cellucid-web-build-identity" content="x">',
        '<meta name="x-cellucid-web-build-id" content="x">',
        f'<meta name="cellucid-web-build-id" content="{"x" * 201}">',
        '<p>meta name="cellucid-web-build-id" content="x"</p>',
    ],
)
def test_pages_without_a_build(tag: str) -> None:
    assert build_id(f"<html><head>{tag}</head></html>".encode()) is None


def test_data_comes_before_the_page(hosted: Any, web: Site, exported: Path, tmp_path: Path) -> None:
    """A dataset may be called assets; what it does not have is the page's."""
    shutil.copytree(exported, tmp_path / "root" / "assets")
    web.files["assets/obs_manifest.json"] = b"of the site"
    web.files["assets/other.json"] = b"{}"
    server = hosted(tmp_path / "root")
    ask(server, "/")
    manifest = (exported / "obs_manifest.json").read_bytes()
    assert ask(server, "/assets/obs_manifest.json").body == manifest
    assert ask(server, MAIN).body == web.files[MAIN[1:]]
    assert ask(server, "/assets/other.json").body == b"{}"
    assert not web.asked["assets/obs_manifest.json"]


def test_the_page_comes_when_the_data_is_gone(hosted: Any, saved: Any) -> None:
    """It tells what is wrong."""
    path = saved(make_atlas(60, 6))
    server = hosted(path)
    assert ask(server, "/obs_manifest.json").status == 200
    path.unlink()
    wait_until(lambda: ask(server, "/obs_manifest.json").status == 503, "it is served still")
    assert ask(server, "/").status == 200
    assert ask(server, MAIN).status == 200


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"viewer": "other"}, "viewer", "'other' is not a viewer"),
    ({"viewer_url": "https://x.org"}, "viewer_url", "is for the hosted page only"),
    ({"viewer_cache": "x", "viewer": "none"}, "viewer_cache", "is for the hosted page only"),
    ({"viewer": "hosted", "viewer_cache": __file__}, "viewer_cache", "is not a folder"),
]

URLS = [
    "",
    "x.org",
    "//x.org",
    "ftp://x.org",
    "file:///etc",
    "https://",
    "https:///assets",
    "https://me@x.org",
    "https://me:secret@x.org",
    "https://x.org?x",
    "https://x.org/?",
    "https://x.org/#x",
    "https://x.org:0",
    "https://x.org:65536",
    "https://x.org:port",
    "https://x.org:٣",
    "https://x.org/a b",
    "https://x.org/../y",
    "https://x.org/%2e",
    "https://x.org\\y",
    "https://x.org\r\nX: y",
    "https://[::1",
    "https://[x]",
    "https://é.org",
]
WRONG += [({"viewer": "hosted", "viewer_url": u}, "viewer_url", "not the URL of") for u in URLS]


@pytest.mark.parametrize(("options", "where", "what"), WRONG)
def test_wrong_options(exported: Path, options: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(CellucidDaskError) as caught:
        create_app(exported, **options)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert what in problem.what


def test_sites_that_can_be_named(exported: Path, tmp_path: Path) -> None:
    for url in ("https://x.org", "http://localhost:4173/", "https://[::1]:8/a/b-c.d", "HTTPS://x"):
        if url.startswith("http"):
            app = create_app(exported, viewer="hosted", viewer_url=url, viewer_cache=tmp_path)
            assert app.hosted is not None
            assert app.hosted.url == url.rstrip("/")
    usual = create_app(exported, viewer="hosted", viewer_cache=tmp_path)
    assert usual.hosted is not None
    assert usual.hosted.url == "https://www.cellucid.com"
    assert list(tmp_path.iterdir()) == []


def test_the_usual_folder(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLUCID_DASK_CACHE", str(tmp_path))
    app = create_app(exported, viewer="hosted")
    assert app.hosted is not None
    assert app.hosted.cache.folder.parent == tmp_path / "web"


def test_a_server_of_data_only(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(exported, viewer="none", quiet=False, open_browser=True) as server:
        for path in ("/", "/index.html"):
            reply = ask(server, path)
            assert reply.status == 404
            assert reply.body == b"this server serves data only, and no page (--viewer none)\n"
        assert ask(server, "/_cellucid/page/viewer.js").status == 404
        assert ask(server, MAIN).status == 404
        assert ask(server, "/obs_manifest.json").status == 200
        assert ask(server, "/_cellucid/health").status == 200
        assert (
            f"no page, data only: {server.url}/_cellucid/datasets"
            in capsys.readouterr().out.splitlines()
        )


def test_what_is_printed_of_the_hosted_page(
    hosted: Any, web: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    server = hosted(quiet=False)
    out = capsys.readouterr().out
    assert f"the page of {web.url}, kept in " in out
    assert f"open {server.url}/" in out.splitlines()
    assert not web.heads, "it is fetched when it is asked for"
