"""An export that changes while it is served."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from exported import KINDS, check_every_file, export_atlas, swap_folders
from oracle import file_bytes, make_atlas, oracle_arguments, oracle_prepare
from serving import MANIFESTS, POINTS, Client, Reply, ask, serving, wait_until


def wait_for_every_file(get: Callable[[str], Reply], folder: Path) -> None:
    """Wait until the server sends every file of the folder, and check that this stays so."""

    def same() -> bool:
        return all(get("/" + name).body == body for name, body in file_bytes(folder).items())

    wait_until(same, "files of another export stay")
    check_every_file(get, folder)


def test_re_export_is_served_at_once(export_copy: Path) -> None:
    """The next responses have the new content and new entity tags."""
    with serving(export_copy) as server, Client(server) as client:
        for seed in (1, 2, 3):
            check_every_file(client, export_copy)
            before = {name: client("/" + name).get("ETag") for name in file_bytes(export_copy)}
            old = file_bytes(export_copy)
            export_atlas(export_copy, seed=seed)
            assert file_bytes(export_copy) != old
            for name in MANIFESTS:
                reply = client("/" + name, {"If-None-Match": str(before[name])})
                assert reply.status == 200, f"{name} is said to be the old one"
                assert reply.body == (export_copy / name).read_bytes()
            check_every_file(client, export_copy)
            check_every_file(client, export_copy, "/atlas/")
            for name, body in file_bytes(export_copy).items():
                assert client("/" + name).get("ETag") != before[name], name
                assert client("/" + name).body == body


def test_a_re_export_with_other_files_and_another_id(export_copy: Path) -> None:
    with serving(export_copy) as server, Client(server) as client:
        check_every_file(client, export_copy)
        export_atlas(export_copy, dataset_id="renamed", **KINDS["plain"])
        check_every_file(client, export_copy)
        check_every_file(client, export_copy, "/renamed/")
        assert client(POINTS).status == 404, "the old export had it, the new one has not"
        assert client("/atlas/obs_manifest.json").status == 404
        list_datasets = json.loads(client("/_cellucid/datasets").body)["datasets"]
        assert [entry["id"] for entry in list_datasets] == ["renamed"]


def test_list_of_datasets_shows_a_re_export(export_copy: Path) -> None:
    """No request for a manifest comes before."""
    with serving(export_copy) as server:
        export_atlas(export_copy, dataset_id="renamed", dataset_name="Other")

        def names() -> bool:
            list_datasets = json.loads(ask(server, "/_cellucid/datasets").body)["datasets"]
            return [(entry["id"], entry["name"]) for entry in list_datasets] == [
                ("renamed", "Other")
            ]

        wait_until(names, "the list stays the old one")


def test_single_file_after_a_re_export(export_copy: Path) -> None:
    """It may be the old file for a moment, but the request never fails."""
    with serving(export_copy) as server:
        check_every_file(lambda path: ask(server, path), export_copy)
        export_atlas(export_copy, seed=1)
        new = (export_copy / POINTS[1:]).read_bytes()

        def arrived() -> bool:
            reply = ask(server, POINTS)
            assert reply.status == 200
            return reply.body == new

        wait_until(arrived, "the old payload stays")


def test_export_that_is_restored(export_copy: Path, other_export: Path, tmp_path: Path) -> None:
    """Old, new, old again: new files do not stay in the cache with the old manifests."""
    new = Path(shutil.copytree(other_export, tmp_path / "new"))
    with serving(export_copy) as server, Client(server) as client:
        assert client("/obs_manifest.json").status == 200
        swap_folders(export_copy, new)
        names = [name for name in file_bytes(export_copy) if name not in MANIFESTS]
        for name in names:  # with no manifest between, as by a viewer that has them already
            assert client("/" + name).status == 200
        swap_folders(export_copy, new)
        wait_for_every_file(client, export_copy)


def test_export_overwritten_file_by_file(export_copy: Path, other_export: Path) -> None:
    """As rsync does, manifests first: a file that is requested too early is not cached forever."""
    with serving(export_copy) as server, Client(server) as client:
        check_every_file(client, export_copy)
        names = sorted(file_bytes(other_export), key=lambda name: (name not in MANIFESTS, name))
        for name in names:
            shutil.copy2(other_export / name, export_copy / "copied")
            (export_copy / "copied").replace(export_copy / name)
            assert client("/obs_manifest.json").status == 200
            assert client("/" + names[-1]).status == 200
        wait_for_every_file(client, other_export)


def test_reference_exporter_overwrites_an_export(tmp_path: Path) -> None:
    """The reference writes into the folder, file by file."""
    folder = tmp_path / "export"
    oracle_prepare(folder, **oracle_arguments(make_atlas()), dataset_id="d")
    with serving(folder) as server, Client(server) as client:
        check_every_file(client, folder)
        oracle_prepare(folder, **oracle_arguments(make_atlas(seed=1)), dataset_id="d", force=True)
        check_every_file(client, folder)


def test_link_is_pointed_to_another_export(export_copy: Path, other_export: Path) -> None:
    """A link named ``latest`` is a usual way to publish."""
    link = export_copy.with_name("latest")
    link.symlink_to(export_copy)
    with serving(link) as server, Client(server) as client:
        check_every_file(client, export_copy)
        turned = export_copy.with_name("turned")
        turned.symlink_to(other_export)
        turned.replace(link)
        check_every_file(client, other_export)


def test_re_exports_during_requests(export_copy: Path, other_export: Path, tmp_path: Path) -> None:
    """No response fails or is incomplete; at the end all files belong to one export."""
    new = Path(shutil.copytree(other_export, tmp_path / "new"))
    both = [file_bytes(export_copy), file_bytes(new)]
    assert sorted(both[0]) == sorted(both[1])
    publish = import_module("cellucid_dask.exporter.recovery.publish")
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        try:
            with Client(server) as client:
                while not done.is_set():
                    for name in both[0]:
                        reply = client("/" + name)
                        if reply.status != 200 or all(reply.body != b[name] for b in both):
                            wrong.append((name, reply.status, reply.body[:100]))
        except BaseException as error:  # noqa: BLE001  told by the test
            wrong.append(error)

    with serving(export_copy) as server:
        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for _ in range(60):
            publish.exchange(new, export_copy)
            ask(server, "/obs_manifest.json")
        done.set()
        for reader in readers:
            reader.join()
        assert wrong[:3] == []
        wait_for_every_file(lambda path: ask(server, path), export_copy)


def test_export_is_removed_and_returns(export_copy: Path) -> None:
    away = export_copy.with_name("away")
    with serving(export_copy) as server, Client(server) as client:
        check_every_file(client, export_copy)
        export_copy.rename(away)
        for _ in range(3):
            for name in MANIFESTS:
                reply = client("/" + name)
                assert reply.status in (404, 503), name
                assert (reply.get("Content-Type") or "").startswith("text/plain")
                assert reply.body.count(b"\n") == 1
            for name in file_bytes(away):
                assert client("/" + name).status in (404, 503), f"{name} is not there any more"
        assert client("/").status == 200
        assert client("/_cellucid/health").status == 200
        assert client("/_cellucid/datasets").status in (200, 503)
        away.rename(export_copy)
        wait_until(lambda: client("/obs_manifest.json").status == 200, "it does not come back")
        check_every_file(client, export_copy)


def test_export_breaks_and_is_repaired(export_copy: Path) -> None:
    manifest = export_copy / "obs_manifest.json"
    good = manifest.read_bytes()
    with serving(export_copy) as server, Client(server) as client:
        for bad in (b"", b"{", b"[]", b"{}", b"\xff"):
            manifest.write_bytes(bad)
            reply = client("/obs_manifest.json")
            assert reply.status == 503, bad[:10]
            assert reply.body.count(b"\n") == 1
            assert client("/_cellucid/health").status == 200
        manifest.write_bytes(good)
        check_every_file(client, export_copy)
