"""One index in a process for all who open it."""

from __future__ import annotations

import gc
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from gene_index_data import MiB, assert_genes, make_large_entries, open_x, save_h5, wait_for_end

from cellucid_dask.server.gene_index import open_indexes
from cellucid_dask.server.gene_index.background import BackgroundBuild
from cellucid_dask.server.gene_index.open_indexes import close_index, open_index


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The builds that ran."""
    ran: list[Any] = []
    real = BackgroundBuild.run

    def run(self: Any, check: Any) -> None:
        ran.append(self)
        real(self, check)

    monkeypatch.setattr(BackgroundBuild, "run", run)
    return ran


def test_two_users_share_an_index_until_both_have_closed_it(
    tmp_path: Path, builds: list[Any]
) -> None:
    entries = make_large_entries(n_cells=100_000)
    matrix = open_x(save_h5(entries, tmp_path / "a.h5ad"))
    how = {"memory_bytes": 64 * MiB, "threads": 2}
    one, other = (open_index(matrix, tmp_path / "index", **how) for _ in range(2))
    assert one is other
    one.start()
    other.start()
    close_index(one)
    assert_genes(other, entries, [0, 7])
    assert wait_for_end(other) == "ready"
    assert len(builds) == 1
    close_index(other)
    again = open_index(matrix, tmp_path / "index", **how)
    assert again is not one
    close_index(again)


def test_the_last_user_stops_an_index(tmp_path: Path) -> None:
    matrix = make_large_entries(n_cells=100_000).matrix()
    how = {"memory_bytes": 64 * MiB, "threads": 2}
    index = open_index(matrix, tmp_path / "index", **how)
    close_index(index)
    with pytest.raises(CancelledError):
        index.pieces(0)


def test_an_index_that_failed_is_not_shared(tmp_path: Path) -> None:
    matrix = make_large_entries(n_cells=1000).matrix()
    how = {"memory_bytes": 64 * MiB, "threads": 2}
    (tmp_path / "file").touch()
    failed = open_index(matrix, tmp_path / "file" / "index", **how)
    failed.start()
    assert wait_for_end(failed) == "failed"
    (tmp_path / "file").unlink()
    good = open_index(matrix, tmp_path / "file" / "index", **how)
    good.start()
    assert wait_for_end(good) == "ready"
    close_index(failed)
    shared = open_index(matrix, tmp_path / "file" / "index", **how)
    assert shared is good
    for index in (shared, good):
        close_index(index)


def test_without_a_folder_nothing_is_shared() -> None:
    matrix = make_large_entries(n_cells=1000).matrix()
    one, other = (open_index(matrix, None, memory_bytes=64 * MiB, threads=1) for _ in range(2))
    assert one is not other
    close_index(one)
    other.pieces(0)


def test_an_index_that_nobody_closed_is_forgotten(tmp_path: Path) -> None:
    matrix = make_large_entries(n_cells=1000).matrix()
    open_index(matrix, tmp_path / "index", memory_bytes=64 * MiB, threads=1)
    gc.collect()
    assert not [key for key in open_indexes._open if key[1] == tmp_path / "index"]
