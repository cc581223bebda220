"""``--version``, and with ``--verbose`` what it is installed with."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest
from atlas import here

from cellucid_dask.native import library


def test_the_version_alone_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    shown = here(capfd, "--version")
    assert (shown.code, shown.out) == (0, f"cellucid-dask, version {version('cellucid-dask')}\n")


@pytest.mark.parametrize("arguments", [("--version", "--verbose"), ("--verbose", "--version")])
def test_verbose_shows_libraries_and_the_gene_path(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    shown = here(capfd, *arguments)
    assert shown.code == 0
    first, python, libraries, path = shown.out.splitlines()
    assert first == f"cellucid-dask, version {version('cellucid-dask')}"
    assert python.startswith(f"Python {platform.python_version()} on ")
    for name in ("numpy", "scipy", "h5py", "zarr", "dask", "anndata", "zlib-ng"):
        assert f"{name} {version(name)}" in libraries.split(", ")
    assert path == f"gene path: {library.describe()}"


def test_the_gene_path_has_its_reason(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    shown = here(capfd, "--version", "--verbose")
    assert shown.out.endswith("\ngene path: numpy (CELLUCID_DASK_NATIVE=0 is set)\n")


def test_verbose_goes_with_version_only(capfd: pytest.CaptureFixture[str]) -> None:
    shown = here(capfd, "--verbose", "check", "atlas.h5ad")
    assert shown.code == 2
    assert "--verbose goes with --version" in shown.err
