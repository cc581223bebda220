"""Ready files that change, move and go away while they are served."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from atlas import script
from live_serving import quick, soon
from served_ready import N_GENES, READY, ROOTS, dataset, forget, store_url, write_ready
from serving import ask, serving

from cellucid_dask import CellucidServer


@quick
@pytest.mark.parametrize("kind", ROOTS)
def test_made_metadata_follow_the_store(
    kind: str, ready_files: dict[str, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(ready_files[kind], tmp_path / "copy.zarr"))
    forget(copy)
    with serving(copy, **READY) as server:
        url = store_url(server) + ROOTS[kind]
        before = ask(server, url)
        group = zarr.open_group(copy, mode="r+", use_consolidated=False)
        group.create_array("obsm/new", data=np.ones((220, 2), "f4"))
        soon(lambda: b"obsm/new" in ask(server, url).body, "the new array is not listed")
        after = ask(server, url, {"If-None-Match": str(before.get("ETag"))})
        assert after.status == 200
        assert after.get("ETag") != before.get("ETag")


@quick
def test_a_store_that_goes_away_has_no_zeros(ready_files: dict[str, Path], tmp_path: Path) -> None:
    """A reader takes a chunk with 404 for zeros, also while its store is being removed."""
    copy = Path(shutil.copytree(ready_files["two.zarr"], tmp_path / "copy.zarr"))
    with serving(copy, **READY) as server:
        url = store_url(server)
        assert ask(server, f"{url}X/data/0").status == 200
        copy.rename(tmp_path / "away")
        assert ask(server, f"{url}X/data/0").status == 503, "at once"
        soon(lambda: ask(server, "/_cellucid/datasets").status == 503, "still listed")
        (tmp_path / "away").rename(copy)
        soon(lambda: ask(server, f"{url}X/data/0").status == 200, "still gone")


@quick
@pytest.mark.parametrize("kind", ["any.h5ad", "two.zarr", "three.zarr.zip"])
def test_another_id_has_another_url(kind: str, tmp_path: Path) -> None:
    path = write_ready(tmp_path / kind, kind)
    other = write_ready(tmp_path / f"other-{kind}", kind, dataset_id="b", genes=("gene1", "gene2"))
    with serving(path, **READY) as server:
        old = store_url(server)
        key = "X/data/0" if kind.endswith(".zarr") else ""
        assert ask(server, old + key).status == 200
        path.rename(tmp_path / "away")
        other.rename(path)
        soon(lambda: dataset_id(server) == "b", "the new id is not there")
        assert ask(server, store_url(server) + key).status == 200
        assert ask(server, old + key).status == 404
        facts = json.loads(ask(server, "/_cellucid/health").body)
        assert facts["n_genes"] == 2 < N_GENES


def dataset_id(server: CellucidServer) -> str | None:
    if ask(server, "/_cellucid/datasets").status != 200:
        return None  # between the two files
    return str(dataset(server)["id"])


@quick
@pytest.mark.parametrize("kind", ["any.h5ad", "two.zarr.zip"])
def test_a_damaged_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = write_ready(tmp_path / kind, kind)
    whole = path.read_bytes()
    with serving(path, **READY) as server:
        url = store_url(server)
        assert ask(server, url).body == whole
        path.write_bytes(whole[: len(whole) // 2])
        soon(lambda: ask(server, url).status == 503, "half a file is served")
        assert ask(server, "/_cellucid/health").status == 503
        path.write_bytes(whole)
        soon(lambda: ask(server, url).status == 200, "the whole file is not served")
        assert ask(server, url).body == whole


OUT_OF_FILES = """
import os
import resource

from cellucid_dask.errors import MachineError
from cellucid_dask.server.ready.inspect import inspect_ready
from cellucid_dask.server.ready.stored import StoredFile
from cellucid_dask.source.storage.store import locate_store

store = locate_store({path!r})
facts = inspect_ready(store)
stored = StoredFile(store, facts, facts.id, facts.name, lambda: True)
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for work in (lambda: stored.find("X/data/0"), lambda: inspect_ready(store)):
    try:
        outcome = repr(work())
    except MachineError as error:
        outcome = str(error)
    os.write(1, outcome.encode() + b"\\n")
"""


def test_a_chunk_that_cannot_be_opened_is_no_zeros(
    ready_files: dict[str, Path], tmp_path: Path
) -> None:
    """When no more files can be open: a reader would take 404 for zeros."""
    done = script(OUT_OF_FILES.format(path=str(ready_files["two.zarr"])), tmp_path)
    assert done.code == 0, done
    assert done.out.count("too many files are open in this process") == 2, done
