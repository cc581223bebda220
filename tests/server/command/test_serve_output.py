"""What ``serve`` prints."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import zlib
from pathlib import Path

import pytest
from atlas import atlas, command, save
from serving import POINTS, SECONDS, TOKEN, Served, ask, is_listening, send_bytes, wait_until


def test_serve_prints_the_dataset_and_the_url(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, folder=tmp_path, anew=True) as served:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", served.url())
        assert ask(served.port, POINTS).status == 200
        assert "PBMC of Ada" in served.printed
        assert "60 cells" in served.printed
        assert "6 genes" in served.printed
        assert "Ctrl-C" in served.printed
        assert "ssh" not in served.printed
        assert "token" not in served.printed
        assert served.stop() == 0
        assert served.errors == ""


def test_serve_prints_every_export_of_a_folder(atlas_export: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("one", "with space", "broken"):
        shutil.copytree(atlas_export, root / name)
    (root / "broken" / "obs_manifest.json").write_text("{")
    with Served(root, "--port", 0, folder=tmp_path) as served:
        served.url()
        assert "3 exports" in served.printed
        assert "/one/" in served.printed
        assert "/with%20space/" in served.printed
        assert re.search(r"broken.*cannot be served: .*obs_manifest", served.printed)
        assert ask(served.port, "/with%20space/obs_manifest.json").status == 200


def test_quiet_prints_nothing(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, "-q", folder=tmp_path) as served:
        assert ask(served.listens_on(), POINTS).status == 200
        assert served.stop() == 0
        assert served.printed + served.errors == ""


def test_verbose_prints_a_line_for_each_request(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, "-v", folder=tmp_path) as served:
        size = len(ask(served.port, POINTS).body)
        ask(served.port, "/nothing?secret=1")
        ask(served.port, "/obs_manifest.json", method="HEAD")
        ask(served.port, POINTS, {"Host": "evil.com"})
        ask(served.port, "/a%0aGET%20/b%1b%5b31m%0d")
        ask(served.port, "/%e6%97%a5")
        wait_until(lambda: served.errors.count("\n") >= 6, "a line is missing")
        assert served.stop() == 0
        lines = served.errors.splitlines()
        assert len(lines) == 6
        assert re.match(rf"GET {POINTS} 200 {size} [\d.]+ ms$", lines[0])
        assert lines[1].startswith("GET /nothing 404")
        assert lines[2].startswith("HEAD /obs_manifest.json 200")
        assert " 421 " in lines[3]
        assert "\x1b" not in served.errors
        assert "secret" not in served.errors
        assert str(tmp_path) not in served.errors


def test_token_is_printed_in_the_url_only(atlas_export: Path, tmp_path: Path) -> None:
    for given in ("auto", TOKEN):
        with Served(atlas_export, "--port", 0, "-v", "--token", given, folder=tmp_path) as served:
            token = served.url().partition("?token=")[2]
            assert len(token) >= 16
            assert given in ("auto", token)
            assert ask(served.port, POINTS).status == 401
            assert ask(served.port, f"/?token={token}").status == 200
            assert ask(served.port, f"/?token={token}x").status == 401
            assert ask(served.port, POINTS, {"Authorization": f"Bearer {token}"}).status == 200
            assert ask(served.port, f"{POINTS}?a=b&token={token}").status == 200
            wait_until(lambda: served.errors.count("\n") >= 5, "a line is missing")
            assert served.stop() == 0
            assert token not in served.errors
            assert served.printed.count(token) == 1


def test_token_from_the_environment(atlas_export: Path, tmp_path: Path) -> None:
    """Not on the command line, which every user of the machine can read."""
    arguments = (atlas_export, "--port", 0)
    with Served(*arguments, folder=tmp_path, CELLUCID_DASK_TOKEN=TOKEN) as served:
        assert served.url().endswith(f"?token={TOKEN}")
        assert ask(served.port, POINTS).status == 401
        assert ask(served.port, POINTS, {"Authorization": f"Bearer {TOKEN}"}).status == 200
    with Served(*arguments, folder=tmp_path, CELLUCID_DASK_TOKEN="") as served:
        assert ask(served.port, POINTS).status == 200


def test_environment_variables_are_not_read_as_headers(atlas_export: Path, tmp_path: Path) -> None:
    """WSGI servers pass on their environment, whose names look like those of headers."""
    bad = {"HTTP_RANGE": "bytes=0-0", "HTTP_ORIGIN": "http://localhost", "HTTP_X": "y"}
    with Served(atlas_export, "--port", 0, folder=tmp_path, **bad) as served:
        reply = ask(served.port, POINTS)
        assert reply.status == 200
        assert reply.get("Access-Control-Allow-Origin") is None
        assert send_bytes(served.port, b"GET / HTTP/1.1\r\n\r\n") is not None


def test_names_that_the_terminal_cannot_encode(atlas_export: Path, tmp_path: Path) -> None:
    """The server starts all the same."""
    root = tmp_path / "root"
    for name in ("日本", "one"):
        shutil.copytree(atlas_export, root / name)
        identity = root / name / "dataset_identity.json"
        identity.write_text(identity.read_text().replace("PBMC of Ada", "日本"))
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with Served(root, "--port", 0, folder=tmp_path, **plain) as served:
        assert ask(served.port, "/one/obs_manifest.json").status == 200
        assert served.stop() == 0


def test_folder_name_that_is_not_utf8_is_printed(atlas_export: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(atlas_export, root / "one")
    try:
        shutil.copytree(os.fsencode(atlas_export), os.fsencode(root) + b"/caf\xe9")
    except OSError as error:
        pytest.skip(f"this file system has no such names ({error.strerror})")
    with Served(root, "--port", 0, folder=tmp_path) as served:
        assert ask(served.port, "/one/obs_manifest.json").status == 200
        assert served.stop() == 0


def test_unreadable_export_is_listed_with_a_reason(atlas_export: Path, tmp_path: Path) -> None:
    """A folder of another user does not block the other exports."""
    through: tuple[str, ...] = ()
    if os.geteuid() == 0:  # who may read everything, unless told otherwise
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything")
        less = "-dac_override,-dac_read_search"
        through = ("setpriv", f"--bounding-set={less}", f"--inh-caps={less}")
    root = tmp_path / "root"
    for name in ("closed", "closed inside", "one"):
        shutil.copytree(atlas_export, root / name)
    (root / "closed").chmod(0)
    (root / "closed inside" / "dataset_identity.json").chmod(0)
    (root / "one" / "points_2d.bin.gz").chmod(0)
    try:
        with Served(root, "--port", 0, folder=tmp_path, through=through) as served:
            assert ask(served.port, "/one/obs_manifest.json").status == 200
            assert ask(served.port, "/one" + POINTS).status in (403, 404, 503)
            for name in ("closed", "closed%20inside"):
                reply = ask(served.port, f"/{name}/dataset_identity.json")
                assert reply.status in (403, 404, 503)
            reply = ask(served.port, "/_cellucid/datasets")
            assert reply.status == 200
            told = {d["path"]: d for d in json.loads(reply.body)["datasets"]}
            assert "error" not in told["/one/"]
            assert told["/closed%20inside/"]["error"]
    finally:
        (root / "closed").chmod(0o755)


def test_closed_output_does_not_stop_the_server(atlas_export: Path, tmp_path: Path) -> None:
    """``cellucid-dask serve ... | head -0`` ends or serves; it does not hang."""
    reading, writing = os.pipe()
    os.close(reading)
    log = tmp_path / "log.txt"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command("serve", atlas_export, "--port", 0, "--no-browser"),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=errors,
        ) as process,
    ):
        os.close(writing)
        try:
            wait_until(
                lambda: process.poll() is not None or is_listening(process.pid),
                "it does neither",
            )
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(SECONDS) in (143, 1, 2, -signal.SIGTERM)
            assert "Traceback" not in log.read_text(), log.read_text()
        finally:
            process.kill()


def test_live_data_say_what_the_user_says_of_them(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "atlas.h5ad")
    words = ("--description", "Of tests.", "--citation", "A et al.", "--source-name", "Lab")
    given = (*words, "--source-url", "https://lab.org", "--dataset-name", "Mine")
    with Served(path, "--port", 0, *given, folder=tmp_path) as served:
        served.url()
        identity = json.loads(ask(served.port, "/dataset_identity.json").body)
    assert (identity["name"], identity["description"]) == ("Mine", "Of tests.")
    wanted = {"name": "Lab", "url": "https://lab.org", "citation": "A et al."}
    assert identity["source"] == wanted
    url = ("--citation", "A et al.", "--citation-url", "https://a.org")
    with Served(path, "--port", 0, "--protocol", "ready", *url, folder=tmp_path) as served:
        served.url()
        place = "/_cellucid/anndata/atlas.zarr/uns/cellucid/citation/url/0"
        assert b"https://a.org" in zlib.decompress(ask(served.port, place).body)
