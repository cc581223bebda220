"""`verify` on links, pipes, folders, odd names and files that cannot be read."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from verifying import files_of

from cellucid_dask import format as fmt
from cellucid_dask.verify import VerifyReport, verify


def link_elsewhere(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def make_socket(path: Path) -> None:
    here, inside = Path.cwd(), socket.socket(socket.AF_UNIX)
    os.chdir(path.parent)  # a long path is none for a socket
    try:
        inside.bind(path.name)
    finally:
        inside.close()
        os.chdir(here)


@pytest.mark.parametrize(
    "name", ["points_2d.bin", fmt.CHECKSUMS, *fmt.MANIFESTS, "var/Gene1.values.u8"]
)
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (link_elsewhere, "is a symbolic link"),
        (replaced_by(lambda path: path.symlink_to("nowhere")), "is a symbolic link"),
        (replaced_by(lambda path: path.symlink_to(path.name)), "is a symbolic link"),
        (replaced_by(Path.mkdir), "is a folder"),
        (replaced_by(os.mkfifo), "is a named pipe"),
        (replaced_by(make_socket), "is a socket"),
    ],
)
def test_anything_but_a_regular_file_is_found(
    native: Path, tmp_path: Path, name: str, change: Callable[[Path], None], text: str
) -> None:
    folder = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    change(folder / name)
    report = verify(folder, workers=1)
    assert any(p.startswith(f"{name}: {text}") for p in report.problems), report.problems
    assert len(report.problems) <= 3, report.problems


def test_unknown_folders_are_found(native: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    (folder / "vectors").mkdir()
    assert verify(folder).ok, "an export in the making has empty folders"
    (folder / "more/inner").mkdir(parents=True)
    assert verify(folder).problems == ("more/inner: is not a folder of an export",)
    (folder / "more/inner/file").touch()
    assert verify(folder).problems == ("more/inner/file: is not a file of an export",)
    shutil.rmtree(folder / "more")
    (folder / "obs").rename(tmp_path / "obs")
    (folder / "obs").symlink_to(tmp_path / "obs")
    assert verify(folder).problems == ("obs: is a symbolic link",)


def test_names_that_are_not_printable_are_escaped(native: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    for name in (b"\xff\xfe", b"two\nlines", "é\u202e".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).touch()
    assert sorted(verify(folder).problems) == [
        "\\udcff\\udcfe: is not a file of an export",
        "two\\nlines: is not a file of an export",
        "é\\u202e: is not a file of an export",
    ]


def test_unreadable_files_and_folders_are_reported(
    native: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a patch, since native may read everything."""
    read, scan = Path.read_bytes, os.scandir

    def refusing_read(path: Path) -> bytes:
        if path.name == "points_2d.bin":
            raise PermissionError(13, "Permission denied")
        return read(path)

    def refusing_scan(path: Path) -> Any:
        if Path(path).name == "connectivity":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(Path, "read_bytes", refusing_read)
    monkeypatch.setattr(os, "scandir", refusing_scan)
    assert verify(native / "plain").problems == (
        "connectivity: cannot be listed (Permission denied)",
        "points_2d.bin: cannot be read (Permission denied)",
    )


@pytest.mark.parametrize(("mode", "word"), [(0o444, "read"), (0, "listed")])
def test_files_in_a_closed_folder_are_unreadable_not_missing(
    native: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, word: str
) -> None:
    """A folder may be listed but not searched; its files are not reported as missing."""
    bad = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    verify(bad, workers=1)  # imports all modules
    genes = [name for name in files_of(bad) if name.startswith("var/")]
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above are closed to others
    report = _verify_without_permissions(bad / "var", mode)
    refused = {f"{name}: cannot be read (Permission denied)" for name in genes}
    closed = {"var: cannot be listed (Permission denied)"} if word == "listed" else set()
    assert set(report.problems) == refused | closed
    (bad / fmt.VAR_MANIFEST).write_text("{")
    report = _verify_without_permissions(bad / "var", mode)
    assert refused <= set(report.problems)
    assert not any("is missing" in problem for problem in report.problems)


def _verify_without_permissions(folder: Path, mode: int) -> VerifyReport:
    """Verify the export of a folder that has the permissions `mode`, as one who is not native."""
    folder.chmod(mode)
    user = os.geteuid()
    try:
        if not user:
            os.seteuid(65534)
        return verify(folder.parent.name, workers=1)
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
