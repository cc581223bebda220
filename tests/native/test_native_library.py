"""Compiling and loading the native library: what is stale, broken or switched off is not used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cellucid_dask.native import build, library

SOURCES = Path(build.__file__).parent
QUICK = "-O0"  # the last of such flags counts
needs_compiler = pytest.mark.skipif(
    not (os.environ.get("CC") or shutil.which("cc")), reason="there is no C compiler"
)


@needs_compiler
def test_the_suite_runs_with_the_library() -> None:
    """Else most of what tests show would be shown of numpy alone, and nobody would notice."""
    if os.environ.get(library.SWITCH) != "0":
        assert library.load() is not None, library.describe()


@needs_compiler
def test_the_sources_compile_without_warnings(tmp_path: Path) -> None:
    build.compile_library(tmp_path / build.LIBRARY, ["-Wall", "-Wextra", "-Wshadow", "-Werror"])
    assert [path.name for path in tmp_path.iterdir()] == [build.LIBRARY]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Folder with the sources, as in a clone, where nothing is compiled yet."""
    folder = tmp_path / "native"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("*.so", "*.dylib", "__pyc*"))
    return folder


def run_build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Compile in place, by the script."""
    return subprocess.run(
        [sys.executable, str(folder / "build.py"), QUICK],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def open_anew(folder: Path) -> library.Loaded:
    """Open the library of a folder, which is otherwise done once in a process."""
    return library._open_library.__wrapped__(folder / build.LIBRARY)


@needs_compiler
@pytest.mark.parametrize("changed", ["native.h", "identity.c", "build.py"])
def test_a_library_of_other_sources_is_not_used(copied: Path, changed: str) -> None:
    assert "was not compiled" in open_anew(copied).reason
    done = run_build(copied)
    assert (done.returncode, done.stderr) == (0, "")
    assert open_anew(copied).library is not None

    comment = "# changed\n" if changed.endswith(".py") else "/* changed */\n"
    with (copied / changed).open("a") as file:
        file.write(comment)
    stale = open_anew(copied)
    assert (stale.library, stale.gene_path) == (None, "numpy")
    assert stale.reason == "the native library was compiled from other sources"
    assert library.COMPILE in stale.fix

    assert run_build(copied).returncode == 0
    assert open_anew(copied).library is not None


def test_a_library_that_cannot_be_loaded_is_not_used(copied: Path) -> None:
    file = copied / build.LIBRARY
    file.write_text(f"sources {build.digest_sources(copied)}")
    broken = open_anew(copied)
    assert broken.library is None
    assert broken.reason.startswith("the native library cannot be loaded: ")
    assert str(file) in broken.reason


def test_the_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    assert library.load() is None
    assert library.describe() == "numpy (CELLUCID_DASK_NATIVE=0 is set)"
    monkeypatch.setenv(library.SWITCH, "1")
    assert library.find_library() == library._open_library(library.PATH)


@needs_compiler
def test_processes_may_compile_and_load_at_the_same_time(copied: Path) -> None:
    assert run_build(copied).returncode == 0
    builds = [
        subprocess.Popen(
            [sys.executable, str(copied / "build.py"), QUICK], stdout=subprocess.DEVNULL
        )
        for _ in range(3)
    ]
    loaded = 0
    while any(process.poll() is None for process in builds):
        assert open_anew(copied).library is not None
        loaded += 1
    assert loaded
    assert [process.wait() for process in builds] == [0, 0, 0]
    assert not list(copied.glob(".compile-*"))


@needs_compiler
def test_the_named_compiler_comes_first_and_the_next_one_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CC may hold options; a compiler that only pretends is passed over."""
    monkeypatch.setenv("CC", f"{shutil.which('cc')} -g")
    assert build.compile_library(tmp_path / "one", [QUICK]) == shutil.which("cc")
    monkeypatch.setenv("CC", "true")  # succeeds and makes nothing
    assert build.compile_library(tmp_path / "two", [QUICK]) == "cc"


@needs_compiler
def test_an_error_in_the_sources_is_reported(copied: Path, tmp_path: Path) -> None:
    """No library is left half made, and the one that is there stays."""
    assert run_build(copied).returncode == 0
    before = (copied / build.LIBRARY).read_bytes()
    (copied / "wrong.c").write_text("int wrong(void) { return missing; }\n")
    done = run_build(copied)
    assert done.returncode == 1
    assert re.search(r"was not compiled \(.*wrong\.c:1:.* error: .*missing", done.stderr)
    assert (copied / build.LIBRARY).read_bytes() == before
    assert not list(copied.glob(".compile-*"))
