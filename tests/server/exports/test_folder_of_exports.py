"""A folder of exports: names, ids, the list, changes."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from atlas import atlas
from exported import NAMES, check_every_file, edit_manifest, export_atlas, list_datasets
from serving import MANIFESTS, POINTS, Client, ask, serving, wait_until

from cellucid_dask import CellucidDaskError, CellucidServer, catalog, export


def test_each_export_has_its_folder_name_and_its_id(folder: Path) -> None:
    with serving(folder) as server, Client(server) as client:
        entries = list_datasets(server)
        assert len(entries) == len(NAMES)
        for number, name in enumerate(NAMES):
            path = f"/{quote(name)}/"
            assert entries[path]["id"] == f"id{number}"
            assert entries[path]["name"] == f"Atlas of {name}"
            assert "error" not in entries[path]
            check_every_file(client, folder / name, path)
            check_every_file(client, folder / name, f"/id{number}/")
            assert client(f"/{quote(name)}").status == 404
            assert client(path).status == 404
        for manifest in MANIFESTS:
            assert client("/" + manifest).status == 404
        assert client(POINTS).status == 404
        assert json.loads(client("/_cellucid/health").body)["type"] == "exported"


def test_datasets_json_of_a_folder(folder: Path) -> None:
    """The server sends the stored file, or makes one from the exports in the folder."""
    with serving(folder) as server:
        made = json.loads(ask(server, "/datasets.json").body)
        assert made["version"] == 1
        assert {entry["path"] for entry in made["datasets"]} == {f"{name}/" for name in NAMES}
        assert made["default"] in {entry["id"] for entry in made["datasets"]}
        for entry in made["datasets"]:
            assert {"id", "path", "name", "n_cells", "n_genes"} <= set(entry)
        (folder / "datasets.json").write_bytes(b'{"version": 1, "mine": true}')
        assert ask(server, "/datasets.json").body == b'{"version": 1, "mine": true}'
        outside = folder.with_name("outside.json")
        outside.write_bytes(b'{"outside": true}')
        (folder / "datasets.json").unlink()
        (folder / "datasets.json").symlink_to(outside)
        assert b"outside" not in ask(server, "/datasets.json").body


def test_hidden_and_replaced_folders_are_not_listed(folder: Path) -> None:
    for name in (".hidden", "one.before-20260131T120000Z", "one.before-20260131T120000Z-2"):
        shutil.copytree(folder / "one", folder / name)
        edit_manifest(folder / name / "dataset_identity.json", id="secret")
    (folder / "no export").mkdir()
    (folder / "no export" / "points_2d.bin").write_bytes(b"stray")
    (folder / "file.txt").write_bytes(b"stray")
    with serving(folder) as server:
        assert set(list_datasets(server)) == {f"/{quote(name)}/" for name in NAMES}
        for name in (".hidden", "one.before-20260131T120000Z", "secret", "no%20export"):
            assert ask(server, f"/{name}/dataset_identity.json").status == 404
            assert ask(server, f"/{name}/points_2d.bin").status == 404
        assert ask(server, "/file.txt").status == 404


@pytest.mark.usefixtures("frequent_listing")
def test_new_and_removed_exports_are_noticed(folder: Path, other_export: Path) -> None:
    with serving(folder) as server:
        assert ask(server, "/new/obs_manifest.json").status == 404
        shutil.copytree(other_export, folder / "new")
        edit_manifest(folder / "new" / "dataset_identity.json", id="new id")
        shutil.rmtree(folder / "what?")
        wait_until(lambda: "/new/" in list_datasets(server), "the new export is not listed")
        wait_until(lambda: ask(server, "/new/obs_manifest.json").status == 200, "it is not served")
        check_every_file(lambda path: ask(server, path), folder / "new", "/new/")
        check_every_file(lambda path: ask(server, path), folder / "new", "/new%20id/")
        assert "/what%3F/" not in list_datasets(server)
        assert ask(server, "/what%3F/obs_manifest.json").status == 404
        check_every_file(lambda path: ask(server, path), folder / "one", "/one/")


@pytest.mark.usefixtures("frequent_listing")
def test_new_export_is_found_before_the_list_is_refreshed(folder: Path, other_export: Path) -> None:
    with serving(folder) as server:
        shutil.copytree(other_export, folder / "new")
        wait_until(
            lambda: ask(server, "/new/dataset_identity.json").status == 200, "it is not found"
        )


def test_re_export_in_a_folder_is_noticed(folder: Path) -> None:
    with serving(folder) as server, Client(server) as client:
        check_every_file(client, folder / "one", "/one/")
        export_atlas(folder / "one", seed=4, dataset_id="id0")
        check_every_file(client, folder / "one", "/one/")
        check_every_file(client, folder / "one", "/id0/")


@pytest.mark.usefixtures("frequent_listing")
def test_export_in_a_folder_breaks_and_is_repaired(folder: Path) -> None:
    manifest = folder / "one" / "obs_manifest.json"
    good = manifest.read_bytes()
    with serving(folder) as server:
        manifest.write_bytes(b"{")
        wait_until(lambda: "error" in list_datasets(server)["/one/"], "it is not told")
        assert ask(server, "/one/obs_manifest.json").status in (404, 503)
        assert ask(server, "/with%20space/obs_manifest.json").status == 200
        manifest.write_bytes(good)
        wait_until(lambda: "error" not in list_datasets(server)["/one/"], "it is not told")
        assert ask(server, "/one/obs_manifest.json").status == 200


def test_links_to_exports_in_a_folder(folder: Path, exports: dict[str, Path]) -> None:
    (folder / "out").symlink_to(exports["plain"])
    (folder / "in").symlink_to("one")
    (folder / "nowhere").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    with serving(folder) as server:
        entries = list_datasets(server)
        assert "link" in entries["/out/"]["error"]
        assert "error" not in entries["/in/"]
        for name in ("dataset_identity.json", "points_2d.bin"):
            assert ask(server, f"/out/{name}").status == 404
            assert ask(server, f"/oracle-plain/{name}").status == 404
        check_every_file(lambda path: ask(server, path), folder / "one", "/in/")


@pytest.mark.usefixtures("frequent_listing")
def test_link_in_a_folder_is_pointed_to_another_export(folder: Path, other_export: Path) -> None:
    shutil.copytree(other_export, folder / "second")
    link = folder / "latest"
    link.symlink_to("one")
    with serving(folder) as server, Client(server) as client:
        check_every_file(client, folder / "one", "/latest/")
        link.unlink()
        link.symlink_to("second")
        body = (other_export / "obs_manifest.json").read_bytes()
        wait_until(
            lambda: client("/latest/obs_manifest.json").body == body, "the link is not followed"
        )
        check_every_file(client, folder / "second", "/latest/")


def test_links_in_an_export_do_not_reach_its_neighbours(folder: Path) -> None:
    """A link from one export to another is not followed."""
    (folder / "one" / "points_2d.bin.gz").unlink()
    (folder / "one" / "points_2d.bin.gz").symlink_to("../with space/points_2d.bin.gz")
    with serving(folder) as server:
        assert ask(server, "/one/points_2d.bin.gz").status == 404


@pytest.mark.usefixtures("frequent_listing")
def test_folder_of_exports_is_removed_as_a_whole(folder: Path) -> None:
    away = folder.with_name("away")
    with serving(folder) as server:
        folder.rename(away)

        def gone() -> bool:
            for path in ("/_cellucid/datasets", "/_cellucid/info", "/datasets.json"):
                assert ask(server, path).status in (200, 404, 503), path
            for name in MANIFESTS[:2]:
                assert ask(server, f"/new/{name}").status in (404, 503)
            return ask(server, "/one/obs_manifest.json").status in (404, 503)

        end = time.monotonic() + 0.6  # until the folder is listed again
        while time.monotonic() < end:
            assert gone()
        assert ask(server, "/_cellucid/health").status == 200
        away.rename(folder)
        wait_until(lambda: ask(server, "/one/obs_manifest.json").status == 200, "it stays away")


def test_folder_names_that_are_not_utf8(folder: Path) -> None:
    """A folder name that is not UTF-8 does not block the other exports."""
    odd = os.fsencode(folder) + b"/caf\xe9"
    try:
        shutil.copytree(os.fsencode(folder / "one"), odd)
    except OSError as error:
        pytest.skip(f"this file system has no such names ({error.strerror})")
    with serving(folder) as server:
        assert {f"/{quote(name)}/" for name in NAMES} <= set(list_datasets(server))
        check_every_file(lambda path: ask(server, path), folder / "one", "/one/")
        assert ask(server, "/caf%E9/obs_manifest.json").status in (200, 400, 404)


def test_folder_named_like_a_service_path(folder: Path) -> None:
    """Each dataset in the list is served under its path."""
    for name in ("_cellucid", "index.html", "datasets.json", "obs_manifest.json"):
        shutil.copytree(folder / "one", folder / name)
    with serving(folder) as server:
        for path, entry in list_datasets(server).items():
            if "error" not in entry:
                assert ask(server, f"{path}obs_manifest.json").status == 200, path


def test_two_exports_with_one_id(folder: Path) -> None:
    """Each has its folder name; the first keeps the id."""
    export_atlas(folder / "ünï", seed=5, dataset_id="id0")
    with serving(folder) as server, Client(server) as client:
        check_every_file(client, folder / "one", "/one/")
        check_every_file(client, folder / "ünï", f"/{quote('ünï')}/")
        first = client("/id0/obs_manifest.json").body
        assert first in [(folder / n / "obs_manifest.json").read_bytes() for n in ("one", "ünï")]
        chosen = "one" if first == (folder / "one" / "obs_manifest.json").read_bytes() else "ünï"
        check_every_file(client, folder / chosen, "/id0/")


def test_ready_files_beside_exports_are_told_and_not_served(folder: Path) -> None:
    """An export to both formats leaves a store and its checksums beside the folder."""
    stored = [f"one.{ending}" for ending in ("h5ad", "zarr", "zarr.zip")]
    for name in stored:
        export(atlas(), folder / name, format=name.removeprefix("one."), quiet=True)
        assert (folder / f"{name}.checksums.json").exists()
    with serving(folder) as server:
        assert set(list_datasets(server)) == {f"/{quote(name)}/" for name in NAMES}
        told = server.opened.describe("exports")
        assert f"  not shown: {', '.join(stored)}: serve each by its own path" in told
        assert not [line for line in told if "cannot" in line]
        assert server.opened.warnings() == []
        for path in ("one.zarr/.zgroup", "one.h5ad", "one.zarr/dataset_identity.json"):
            assert ask(server, f"/{path}").status == 404
    payload = catalog(folder)
    assert sorted(entry["path"] for entry in payload["datasets"]) == sorted(
        f"{name}/" for name in NAMES
    )


def test_a_folder_of_ready_files_alone_is_refused(tmp_path: Path) -> None:
    export(atlas(), tmp_path / "one.zarr", format="zarr", quiet=True)
    with pytest.raises(CellucidDaskError, match=r"one\.zarr: serve each by its own path"):
        CellucidServer(tmp_path, quiet=True)
    with pytest.raises(CellucidDaskError, match=r"one\.zarr cannot be listed"):
        catalog(tmp_path)
