"""Arguments that ``serve`` refuses, all in one message."""

from __future__ import annotations

from pathlib import Path

import pytest
from atlas import here, run
from serving import POINTS, Served, ask, check_refusal, wait_until


def test_missing_path_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check_refusal(here(capfd, "serve", tmp_path / "nothing", "--no-browser"), "nothing")
    check_refusal(here(capfd, "serve", tmp_path, "--no-browser"), "no export")
    (tmp_path / "file.txt").write_text("no data")
    check_refusal(here(capfd, "serve", tmp_path / "file.txt", "--no-browser"), "file.txt")
    check_refusal(here(capfd, "serve"), "PATH")


BAD_OPTIONS = {
    "--port": "99999",
    "--cache-size": "much",
    "--base-path": "/a b",
    "--allowed-host": "http://evil.com",
    "--token": "short",
    "--quantize": "7",
    "--cache-dir": __file__,
}


def test_all_problems_are_reported_at_once(
    atlas_export: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [word for pair in BAD_OPTIONS.items() for word in pair]
    ended = here(capfd, "serve", atlas_export, *words, "--latent-key", "K")
    check_refusal(ended, *BAD_OPTIONS, "--latent-key", f"{len(BAD_OPTIONS) + 1} problems")
    ended = here(capfd, "serve", tmp_path / "nothing", *words)
    check_refusal(ended, *BAD_OPTIONS, "nothing", f"{len(BAD_OPTIONS) + 1} problems")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *BAD_OPTIONS.items(),
        ("--port", "-1"),
        ("--port", "65536"),
        ("--port", "abc"),
        ("--cache-size", "0"),
        ("--cache-size", "-5MB"),
        ("--cache-size", "1KB"),
        ("--base-path", "/a/../b"),
        ("--base-path", "/a//b"),
        ("--base-path", "/a?b"),
        ("--base-path", "http://evil.com/"),
        ("--allowed-host", "a.b:80"),
        ("--allowed-host", "*"),
        ("--allowed-host", ""),
        ("--allowed-host", "a/b"),
        ("--token", ""),
        ("--token", "has spaces in it"),
        ("--token", "semi;colon;semi"),
        ("--host", "0.0.0.0"),
        ("--host", "::"),
        ("--host", ""),
        ("--nothing", "x"),
    ],
)
def test_invalid_value_is_refused(
    atlas_export: Path, capfd: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    check_refusal(here(capfd, "serve", atlas_export, option, value, "--no-browser"), option)


@pytest.mark.parametrize(
    "words",
    [
        ("--latent-key", "X_pca"),
        ("--gene-id-column", "symbol"),
        ("--layer", "counts"),
        ("--raw",),
        ("--embedding", "2d=X_tsne"),
        ("--graph", "connectivities"),
        ("--no-graph",),
        ("--no-vectors",),
        ("--no-genes",),
        ("--quantize", "8"),
        ("--obs-key", "group"),
        ("--gene", "gene0"),
        ("--categorical-dtype", "uint8"),
        ("--rename-duplicates",),
        ("--dataset-name", "N"),
        ("--dataset-id", "I"),
    ],
    ids=lambda words: words[0],
)
def test_options_of_live_data_are_refused_for_an_export(
    atlas_export: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    for path in (atlas_export, atlas_export.parent):
        ended = here(capfd, "serve", path, *words, "--no-browser")
        check_refusal(ended, words[0])
        assert "problems" not in ended.err, "one option is one problem"


def test_serve_on_a_public_address_requires_a_token(atlas_export: Path, tmp_path: Path) -> None:
    open_to_all = ("--port", 0, "--host", "0.0.0.0")
    check_refusal(run("serve", atlas_export, *open_to_all, cwd=tmp_path), "--host", "--token")
    with Served(atlas_export, *open_to_all, "--token", "none", folder=tmp_path) as served:
        assert "token" not in served.url()
        assert ask(served.port, POINTS).status == 200
    with Served(atlas_export, *open_to_all, "--token", "auto", folder=tmp_path) as served:
        token = served.url().partition("?token=")[2]
        assert ask(served.port, POINTS).status == 401
        assert ask(served.port, POINTS, {"Authorization": f"Bearer {token}"}).status == 200


def test_quiet_server_prints_an_automatic_token(atlas_export: Path, tmp_path: Path) -> None:
    """Without the token, nobody could open a server of ``--token auto --quiet``."""
    with Served(atlas_export, "--port", 0, "--token", "auto", "-q", folder=tmp_path) as served:
        wait_until(
            lambda: "token=" in served.printed,
            "the token is told to nobody",
            30,
        )
