"""Installing from source: with a C compiler, with ziglang, with neither, and editable."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cellucid_dask.native.build import LIBRARY
from cellucid_dask.native.library import SWITCH

ROOT = Path(__file__).resolve().parents[2]
NATIVE = "cellucid_dask/native/"
DESCRIBE = "from cellucid_dask.native import library; print(library.describe())"
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
BACKEND = ("hatchling", "editables")
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}


def run_python(
    *arguments: object, cwd: Path, python: object = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), *map(str, arguments)],
        cwd=cwd,
        env={n: text for n, text in os.environ.items() if n not in ("CC", SWITCH)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder with the build backend, from PyPI; skips where that cannot be reached."""
    folder = tmp_path_factory.mktemp("backend")
    done = run_python("-m", "pip", "install", "-q", "--target", folder, *BACKEND, cwd=folder)
    if done.returncode:
        pytest.skip(f"hatchling cannot be installed: {done.stderr.strip()[-200:]}")
    return str(folder)


@pytest.fixture(scope="module")
def sdist(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    build = ("-m", "hatchling", "build", "-t", "sdist", "-d", folder)
    done = run_python(*build, cwd=ROOT, PYTHONPATH=backend)
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made


def make_wheel(sdist: Path, backend: str, out: Path, **environment: str) -> Path:
    """Build a wheel as pip does; the environment may take compilers and the network away."""
    build = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, sdist)
    out.mkdir()
    done = run_python(*build, cwd=out, PYTHONPATH=backend, **environment)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.iterdir()
    return wheel


def describe_gene_path(wheel: Path, folder: Path) -> str:
    """What the package of a wheel says of its gene path."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    done = run_python("-c", DESCRIBE, cwd=folder, PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_source_distribution_holds_what_is_compiled(sdist: Path) -> None:
    with tarfile.open(sdist) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    sources = {f"{NATIVE}{path.name}" for path in (ROOT / NATIVE).glob("*.[ch]")}
    assert {"hatch_build.py", f"{NATIVE}build.py", *sources} <= names
    assert {"CONTRIBUTING.md", ".ci/run", "tests/conftest.py", "docs/index.md"} <= names
    assert f"{NATIVE}{LIBRARY}" not in names


@needs_compiler
def test_a_wheel_has_the_library_where_there_is_a_compiler(
    sdist: Path, backend: str, tmp_path: Path
) -> None:
    wheel = make_wheel(sdist, backend, tmp_path / "wheels", **OFFLINE)
    name, tags = wheel.stem.split("-")[0], wheel.stem.split("-")[2:]
    assert name == "cellucid_dask"
    assert tags[:2] == ["py3", "none"]  # one for all Pythons
    assert tags[2].startswith(("linux_", "macosx_11_0_"))
    with zipfile.ZipFile(wheel) as packed:
        assert [n for n in packed.namelist() if n.endswith(LIBRARY)] == [NATIVE + LIBRARY]
        (metadata,) = (n for n in packed.namelist() if n.endswith(".dist-info/METADATA"))
        description = packed.read(metadata).decode()
    links = re.findall(r"\]\(([^)]+)\)", description)
    assert all(re.match("https?://|#", link) for link in links), "PyPI knows no relative links"
    assert any(re.search(r"/raw/v[\d.]+/docs/images/.+\.svg$", link) for link in links)
    assert describe_gene_path(wheel, tmp_path / "installed").startswith("native (compiled by cc ")


def test_a_wheel_without_the_library_fits_all_machines(
    sdist: Path, backend: str, tmp_path: Path
) -> None:
    """No compiler and no network, or CELLUCID_DASK_NATIVE=0: the build does not fail."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    for name, how in (
        ("offline", {"PATH": str(nothing), **OFFLINE}),
        ("off", {"CELLUCID_DASK_NATIVE": "0"}),
    ):
        wheel = make_wheel(sdist, backend, tmp_path / name, **how)
        assert wheel.name.endswith("-py3-none-any.whl")
        said = describe_gene_path(wheel, tmp_path / f"installed-{name}")
        assert said.startswith("numpy (the native library was not compiled; install a C compiler")


def test_ziglang_compiles_the_library_where_there_is_no_compiler(
    sdist: Path, backend: str, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    wheel = make_wheel(sdist, backend, tmp_path / "wheels", PATH=str(nothing))
    if wheel.name.endswith("-any.whl"):
        get = ("-m", "pip", "download", "-q", "--no-deps", "ziglang", "-d", tmp_path / "zig")
        assert run_python(*get, cwd=tmp_path).returncode, "ziglang is there and was not used"
        pytest.skip("ziglang cannot be installed")
    said = describe_gene_path(wheel, tmp_path / "installed")
    assert said.startswith("native (compiled by zig cc ")


@needs_compiler
def test_an_editable_installation_compiles_in_place(
    sdist: Path, backend: str, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    (clone,) = tmp_path.glob("cellucid_dask-*")
    run_python("-m", "venv", "--without-pip", "env", cwd=tmp_path)
    python, library = tmp_path / "env" / "bin" / "python", clone / NATIVE / LIBRARY
    install = (
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
    )
    for changed in (False, False, True):
        before = library.stat().st_ino if library.exists() else 0
        if changed:
            with (clone / NATIVE / "native.h").open("a") as file:
                file.write("/* changed */\n")
        done = run_python(*install, "-e", clone, cwd=tmp_path, PYTHONPATH=backend, **OFFLINE)
        assert done.returncode == 0, done.stderr
        assert (library.stat().st_ino == before) == (before != 0 and not changed)
        shown = run_python("-c", DESCRIBE, cwd=tmp_path, python=python)
        assert shown.stdout.startswith("native (compiled by cc ")
