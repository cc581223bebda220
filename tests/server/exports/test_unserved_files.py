"""What an export does not serve: strays, links out of its folder, special files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from exported import check_every_file
from oracle import file_bytes
from serving import POINTS, ask, serving


def test_files_that_no_manifest_names_are_not_served(export_copy: Path) -> None:
    stray = [
        "notes.txt",
        ".hidden",
        ".DS_Store",
        ".env",
        "checksums.json",
        "datasets.json",
        "dataset_identity.json.bak",
        "dataset_identity.json~",
        ".dataset_identity.json.part",
        "obs_manifest.json.part",
        "points_1d.bin.gz",
        "points_2d.bin",
        "points_2d.bin.gz.part",
        "obs/extra.values.u8.gz",
        "obs/group.codes.u16.gz",
        "obs/.group.codes.u8.gz",
        "obs/notes.txt",
        "var/gene0.values.u8.gz.part",
        "var/Gene0.values.u8.gz",
        "var/gene999.values.u8.gz",
        "vectors/other_umap_2d.bin.gz",
        "vectors/velocity_umap_3d.bin.gz",
        "connectivity/edges.weights.bin.gz",
        "sub/obs_manifest.json",
        "atlas/obs_manifest.json.part",
        "_cellucid/secret.txt",
        "etc/passwd",
    ]
    named = set(file_bytes(export_copy))
    for name in stray:
        path = export_copy / name
        if path.exists():
            assert path.samefile(export_copy / name.lower()), "it is a file of the export"
            continue
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"of no manifest")
    (export_copy / "index.html").write_bytes(b"of no manifest")
    with serving(export_copy) as server:
        for name in stray:
            for head in ("/", "/atlas/"):
                reply = ask(server, head + name)
                assert reply.status == 404, name
                assert b"of no manifest" not in reply.body
        assert b"of no manifest" not in ask(server, "/").body
        assert b"of no manifest" not in ask(server, "/index.html").body
        assert ask(server, "/atlas/index.html").status == 404
        for name in named:
            assert ask(server, "/" + name).status == 200


def test_links_out_of_the_export_are_not_followed(
    export_copy: Path, exports: dict[str, Path]
) -> None:
    """The server sends no file, folder or manifest from outside the export."""
    outside = exports["plain"]
    for name in ("points_2d.bin.gz", "vectors", "obs_manifest.json", "var"):
        place = export_copy / name
        target = shutil.move(place, export_copy.with_name(f"outside-{name}"))
        place.symlink_to(target)
    (export_copy / "points_3d.bin.gz").unlink()
    (export_copy / "points_3d.bin.gz").symlink_to(outside / "points_3d.bin")
    with serving(export_copy) as server:
        for name in (
            "points_2d.bin.gz",
            "points_3d.bin.gz",
            "obs_manifest.json",
            "vectors/velocity_umap_2d.bin.gz",
            "var/gene0.values.u8.gz",
            "var/gene1.values.u8.gz",
        ):
            for head in ("/", "/atlas/"):
                assert ask(server, head + name).status == 404, name
        assert ask(server, "/obs/group.codes.u8.gz").status == 200
        assert ask(server, "/dataset_identity.json").status == 200


def test_relative_and_looped_links(export_copy: Path) -> None:
    """A folder whose name begins like the export's, a link to itself, a broken link."""
    beside = export_copy.with_name(export_copy.name + "-beside")
    beside.mkdir()
    (beside / "secret").write_bytes(b"secret")
    changed = {
        "obs/group.codes.u8.gz": Path("../../mine-beside/secret"),
        "obs/group.outliers.u8.gz": Path("group.outliers.u8.gz"),
        "obs/rare.codes.u8.gz": Path("nothing"),
        "obs/rare.outliers.u8.gz": Path("/dev/zero"),
        "obs/score.values.u8.gz": Path(),
        "obs/depth.values.u8.gz": Path("/proc/self/environ"),
    }
    for name, target in changed.items():
        (export_copy / name).unlink()
        (export_copy / name).symlink_to(target)
    with serving(export_copy) as server:
        for name in changed:
            assert ask(server, "/" + name).status == 404, name
        assert ask(server, POINTS).status == 200


def test_links_within_the_folder_are_followed(export_copy: Path) -> None:
    shutil.move(export_copy / "var", export_copy / "genes")
    (export_copy / "var").symlink_to("genes")
    shutil.move(export_copy / "points_2d.bin.gz", export_copy / "obs" / "stored")
    (export_copy / "points_2d.bin.gz").symlink_to(export_copy / "obs" / "stored")
    with serving(export_copy) as server:
        assert ask(server, POINTS).body == (export_copy / "obs" / "stored").read_bytes()
        gene = ask(server, "/var/gene0.values.u8.gz")
        assert gene.body == (export_copy / "genes" / "gene0.values.u8.gz").read_bytes()
        assert ask(server, "/genes/gene0.values.u8.gz").status == 404
        assert ask(server, "/obs/stored").status == 404


def test_path_of_the_export_may_be_a_link(export_copy: Path) -> None:
    link = export_copy.with_name("link")
    link.symlink_to(export_copy.name)
    with serving(link) as server:
        check_every_file(lambda path: ask(server, path), export_copy)


def test_special_files_are_not_opened(export_copy: Path) -> None:
    """Opening a pipe would block a thread forever."""
    (export_copy / "points_2d.bin.gz").unlink()
    os.mkfifo(export_copy / "points_2d.bin.gz")
    (export_copy / "points_3d.bin.gz").unlink()
    (export_copy / "points_3d.bin.gz").mkdir()
    with serving(export_copy) as server:
        assert ask(server, POINTS).status == 404
        assert ask(server, "/points_3d.bin.gz").status == 404


def test_missing_file_gets_404(export_copy: Path) -> None:
    (export_copy / "points_2d.bin.gz").unlink()
    shutil.rmtree(export_copy / "var")
    with serving(export_copy) as server:
        assert ask(server, POINTS).status == 404
        assert ask(server, "/var/gene0.values.u8.gz").status == 404
        assert ask(server, "/points_3d.bin.gz").status == 200
