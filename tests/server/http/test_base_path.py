"""A server below a base path."""

from __future__ import annotations

from pathlib import Path

import pytest
from oracle import file_bytes
from serving import TOKEN, ask, request, send_bytes, serving


@pytest.mark.parametrize("base", ["/proxy/8765", "proxy/8765/", "/user/a.b~c@d"])
def test_every_path_is_below_the_base_path(atlas_export: Path, base: str) -> None:
    prefix = "/" + base.strip("/")
    with serving(atlas_export, base_path=base) as server:
        assert server.url.endswith(prefix)
        assert server.viewer_url.endswith(prefix + "/")
        for name, body in file_bytes(atlas_export).items():
            if name != "stray.txt":
                assert ask(server, f"{prefix}/{name}").body == body
                assert ask(server, f"{prefix}/atlas/{name}").body == body
            assert ask(server, f"/{name}").status == 404
            assert ask(server, f"{prefix}{name}").status == 404
        page = ask(server, prefix + "/")
        assert page.status == 200
        assert ask(server, f"{prefix}/_cellucid/health").status == 200
        assert ask(server, f"{prefix}/_cellucid/page/viewer.js").status == 200
        assert b'="/' not in page.body, "the page must name its parts relative to itself"
        for path in ("/", "/_cellucid/health", "/index.html", prefix + "x/", prefix[:-1] + "/"):
            assert ask(server, path).status == 404, path


def test_base_path_without_slash_redirects(atlas_export: Path) -> None:
    """The page uses relative paths, so its path must end with a slash."""
    with serving(atlas_export, base_path="/a/b") as server:
        reply = ask(server, "/a/b")
        assert reply.status in (301, 302, 307, 308, 404)
        if reply.status != 404:
            assert (reply.get("Location") or "").endswith("/a/b/")
            query = ask(server, "/a/b?anndata=true").get("Location") or ""
            assert query.endswith(("/a/b/?anndata=true", "/a/b/"))
            for odd in (
                b"?\xff",
                b"?\xc3\xa9",
                b"?%0d%0aX-Evil:%20yes",
                b"?a=%00",
                b"?" + b"x" * 1900,
            ):
                answer = send_bytes(server, request(server.port, b"/a/b" + odd))
                assert answer is None or answer.status in (301, 302, 307, 308, 400)
                assert answer is None or answer.all("X-Evil") == []
            assert (reply.get("Location") or "").startswith(("/a/b/", server.url))


def test_token_cookie_has_the_base_path(atlas_export: Path) -> None:
    with serving(atlas_export, base_path="/a/b", token=TOKEN) as server:
        assert server.viewer_url == f"{server.url}/?token={TOKEN}"
        reply = ask(server, f"/a/b/?token={TOKEN}")
        assert "path=/a/b/" in (reply.get("Set-Cookie") or "").lower()
        assert ask(server, "/a/b/_cellucid/health").status == 200
        assert ask(server, "/_cellucid/health").status in (401, 404)
        assert ask(server, "/a/b/").status == 401
