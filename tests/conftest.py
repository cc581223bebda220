"""Atlases to export: small ones, made anew for each test, and the real files."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anndata as ad
import pytest
import slurm_local
import versions
import zarr
from anndata import AnnData
from hypothesis import HealthCheck, settings
from javascript import packages  # noqa: F401
from oracle import make_atlas, silent
from ready_oracle import shared_folder  # noqa: F401
from zarr.abc.store import RangeByteRequest
from zarr_reads import Ranges

from cellucid_dask.source.storage.direct.stored import OpenFile

with suppress(ImportError):  # the tests that drive a browser skip where there is no selenium
    from paging import all_exports, browser, exports, page, serve, served  # noqa: F401

# Started in the background of a shell, or by nohup, this process ignores signals, and so would
# every command that a test interrupts.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# No example is too slow on a busy machine.
UNTIMED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("untimed", deadline=None, suppress_health_check=UNTIMED)
settings.load_profile("untimed")

REAL = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def real_file() -> Callable[[str], Path]:
    """Path of a real file by its name; skips where the files are not at hand."""

    def find(name: str) -> Path:
        path = REAL / name
        if not path.is_file():
            pytest.skip(f"the real file {name} is not in {REAL}")
        return path

    return find


@pytest.fixture
def atlas() -> AnnData:
    """220 cells x 30 genes with a bit of everything."""
    return make_atlas()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Write an AnnData to a file of the test and return its path."""

    def save(adata: AnnData, name: str = "atlas.h5ad", **options: Any) -> Path:
        path = tmp_path / name
        with ad.settings.override(allow_write_nullable_strings=True):
            if path.suffix == ".h5ad":
                silent(adata.write_h5ad, path, **options)
            else:
                versions.write_zarr(adata, path, **options)
        return path

    return save


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> Ranges:
    """Ranges of bytes that are read of each file of zarr folders, wherever it is done."""
    read: Ranges = {}
    get = zarr.storage.LocalStore.get

    async def recorded(self: Any, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        read.setdefault(key, []).append(byte_range)
        return await get(self, key, prototype, byte_range)

    read_directly = OpenFile.read

    def recorded_directly(self: OpenFile, path: str, offset: int, out: Any) -> None:
        part = RangeByteRequest(offset, offset + out.size)
        read.setdefault(path.rpartition(".zarr/")[2], []).append(part)
        read_directly(self, path, offset, out)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", recorded)
    monkeypatch.setattr(OpenFile, "read", recorded_directly)
    return read


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder for temporary files, which the test looks into."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


# ------------------------------------------------------------------- pages and SLURM


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option for the tests of pages of the docs."""
    told = "put what pages of the docs run prints now into these pages, in place of comparing"
    parser.addoption("--rewrite-pages", action="store_true", help=told)


def pytest_configure(config: pytest.Config) -> None:
    """Choose where a SLURM of this session would be, before other test processes start."""
    for line in versions.IGNORED:
        config.addinivalue_line("filterwarnings", line)
    if not hasattr(config, "workerinput"):
        slurm_local.reserve()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the SLURM of this session, also when tests failed."""
    if not hasattr(config, "workerinput"):
        slurm_local.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the test that mostly waits, so that nobody waits for it at the end."""
    items.sort(key=lambda item: "test_slurm_stops" not in item.nodeid)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say it when tests on SLURM were skipped: they are much of what shows that it works."""
    told = [
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and slurm_local.NONE in report.longrepr[2]
    ]
    if told:
        line = f"{len(told)} tests on SLURM were skipped: {told[0]}"
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(scope="session")
def slurm() -> Iterator[slurm_local.Slurm]:
    """A real SLURM, whose clients work in this process; skips where there is none."""
    before = os.environ.get("SLURM_CONF")
    try:
        yield slurm_local.start()
    except slurm_local.NoSlurmError as error:
        pytest.skip(f"{slurm_local.NONE}{error}")
    finally:
        if before is None:
            os.environ.pop("SLURM_CONF", None)
        else:
            os.environ["SLURM_CONF"] = before
