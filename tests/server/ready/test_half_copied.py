"""Ready files that a copy left in parts: refused before a reader takes what is absent for zeros."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from atlas import here
from live_serving import quick, soon
from served_ready import READY, ROOTS, forget, store_url
from serving import ask, serving

from cellucid_dask import CellucidDaskError

ACCEPT = {"accept_missing_chunks": True}
REMOVED = "is not there, but the consolidated metadata lists it"
LOST = {
    "X/data": "X/data: missing chunks: 1 of 1 (first: ",
    "X/indptr": "X/indptr: missing chunks: 1 of 1",
    "obs/_index": "220 ids read as ''",
    "obs/group/categories": "categories read as ''",
    "obsm/X_umap_2d": "220 cells lie at the point 0, 0",
}


@pytest.fixture(params=list(ROOTS))
def copy(request: pytest.FixtureRequest, ready_files: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(ready_files[request.param], tmp_path / "a.zarr"))


def first_chunk(copy: Path, key: str) -> Path:
    names = (copy / key).rglob("*")
    return next(p for p in names if p.is_file() and p.name[0] != "." and p.name != "zarr.json")


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(CellucidDaskError) as raised, serving(path, **READY, **options):
        pass
    return str(raised.value)


@pytest.mark.parametrize("key", LOST)
def test_lost_chunks_are_refused(copy: Path, key: str) -> None:
    first_chunk(copy, key).unlink()
    assert LOST[key] in refusal(copy)


def test_they_may_be_accepted_and_are_told(copy: Path) -> None:
    chunk = first_chunk(copy, "X/data")
    chunk.unlink()
    with serving(copy, **READY, **ACCEPT) as server:
        (told,) = server.opened.warnings()
        assert "stored values read as 0" in told
        key = chunk.relative_to(copy).as_posix()
        assert ask(server, store_url(server) + key).status == 404
        assert "a ready zarr" in server.opened.describe("it")[0], "as it lies"


def test_lost_quantiles_are_told(copy: Path) -> None:
    first_chunk(copy, "uns/cellucid/outlierQuantiles/fields/group").unlink()
    with serving(copy, **READY, **ACCEPT) as server:
        (told,) = server.opened.warnings()
        assert "uns/cellucid/outlierQuantiles/fields/group: missing chunks: 1 of 1" in told


def test_nothing_starts_on_the_command_line(copy: Path, capfd: Any) -> None:
    first_chunk(copy, "X/indices").unlink()
    done = here(capfd, "serve", copy, "--protocol", "ready", "--no-browser", "--port", "0")
    assert done.code == 2
    assert "X/indices: missing chunks: 1 of 1" in done.err


@pytest.mark.parametrize("key", ["X", "obsm/X_pca", "uns/cellucid/name"])
def test_an_element_that_is_lost_whole(copy: Path, key: str) -> None:
    shutil.rmtree(copy / key)
    assert f"{key}: {REMOVED}" in refusal(copy)
    if key != "uns/cellucid/name":  # without a listing, nothing tells that it was there
        forget(copy)
        with serving(copy, **READY) as server:
            assert server.opened.describe("it")


@pytest.mark.parametrize("key", ["obs/score", "obs/group/codes", "obsm/X_pca"])
@pytest.mark.parametrize("listed", [True, False])
def test_an_array_that_lost_its_metadata(copy: Path, key: str, listed: bool) -> None:
    for name in (".zarray", ".zattrs", "zarr.json"):
        (copy / key / name).unlink(missing_ok=True)
    if not listed:
        forget(copy)
    told = "there is no 'codes'" if key.endswith("codes") else "has no metadata of zarr"
    assert told in refusal(copy)


@pytest.mark.parametrize("key", ["X/data", "obs/score"])
def test_an_empty_chunk_is_damage(copy: Path, key: str) -> None:
    """A copy to a full disk leaves such files; nobody can accept them."""
    first_chunk(copy, key).write_bytes(b"")
    assert f"{key}: cannot be read (" in refusal(copy, **ACCEPT)


@quick
@pytest.mark.usefixtures("quickly")
def test_a_copy_over_a_served_store(copy: Path) -> None:
    whole = copy.rename(copy.with_name("whole"))
    shutil.copytree(whole, copy)
    chunk = first_chunk(copy, "X/data")
    with serving(copy, **READY) as server:
        url = store_url(server) + chunk.relative_to(copy).as_posix()
        raw = chunk.read_bytes()
        chunk.write_bytes(b"")
        assert ask(server, url).status == 503
        chunk.unlink()
        assert ask(server, url).status == 503, "no 404, which would be zeros"
        soon(lambda: ask(server, "/_cellucid/datasets").status == 503, "still listed")
        chunk.write_bytes(raw)
        soon(lambda: ask(server, url).body == raw, "still refused")
