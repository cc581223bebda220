"""When the units of a virtual store run, and what happens when one fails."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from forks import can_mount, forks
from ready_inputs import base
from virtual_inputs import CONTAINERS, OPTIONS, everything
from virtual_stores import body_of, export_store, opened, opened_on, read_files

from cellucid_dask import CellucidDaskError
from cellucid_dask.exporter.on_demand_ready import OnDemandChunks
from cellucid_dask.exporter.stages.ready.units import Unit
from cellucid_dask.server.http.content import ReplacedError
from cellucid_dask.server.ready.virtual_store import VirtualStore

DOCUMENTS = (".zarray", ".zattrs", ".zgroup", ".zmetadata")


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often each unit runs."""
    counted: Counter[str] = Counter()
    run = OnDemandChunks.run

    def counting(self: OnDemandChunks, unit: Unit) -> Any:
        counted[unit.key] += 1
        return run(self, unit)

    monkeypatch.setattr(OnDemandChunks, "run", counting)
    return counted


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, small_chunks: None) -> tuple[Path, Path]:
    """A zarr folder of everything, and its export; who damages it mends it."""
    folder = tmp_path_factory.mktemp("written")
    data = CONTAINERS["zarr 2"](everything(), folder)
    return data, export_store(data, folder / "out", "a", **OPTIONS)


@pytest.fixture
def store(written: tuple[Path, Path]) -> Iterator[VirtualStore]:
    with opened_on(*written, **OPTIONS) as store:
        yield store


def chunk_files(temporary: Path) -> set[str]:
    """Chunks that were made in the work folder."""
    (folder,) = temporary.iterdir()
    return set(read_files(folder / "ready" / "store"))


def test_a_key_runs_the_unit_that_makes_it_and_no_other(
    temporary: Path, units: Counter[str], store: VirtualStore
) -> None:
    assert store.find("obs/.zattrs") is not None
    assert chunk_files(temporary) == set()
    assert store.find("obs/group/codes/0") is not None
    assert chunk_files(temporary) == {
        "obs/group/categories/0",
        "obs/group/codes/0",
        "obs/group/codes/1",
    }
    made = chunk_files(temporary)
    assert store.find("obsm/X_pca/3.0") is not None
    assert {key.rpartition("/")[0] for key in chunk_files(temporary) - made} == {"obsm/X_pca"}
    assert store.find("obs/_index/1") is not None
    assert store.find("uns/title/0") is not None
    kinds = [key.rstrip("0123456789-") for key in units]
    assert kinds == ["obs/group", "obsm/X_pca/", "obs/_index", "small arrays"]
    assert set(units.values()) == {1}


def test_many_threads_run_each_unit_once(
    written: tuple[Path, Path], units: Counter[str], store: VirtualStore
) -> None:
    files = read_files(written[1])
    keys = sorted(files) * 3
    random.Random(2).shuffle(keys)
    with ThreadPoolExecutor(64) as threads:
        found = dict(zip(keys, threads.map(store.find, keys), strict=True))
    assert {key for key, content in found.items() if body_of(content) != files[key]} == set()
    assert set(units.values()) == {1}
    assert {"obsp/connectivities", "var", "small arrays"} < set(units)


def test_all_but_x_is_there_before_its_values_are_counted(written: tuple[Path, Path]) -> None:
    counted, files = Event(), read_files(written[1])

    def wait() -> None:
        assert counted.wait(120)

    late = [key for key in files if key.split("/")[0] in ("X", ".zmetadata")]
    with opened_on(*written, wait=wait, **OPTIONS) as store, ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(store.find, key) for key in late[:4]]
        for key in sorted(files.keys() - set(late)):
            assert body_of(store.find(key)) == files[key], key
        assert not any(answer.done() for answer in answers)
        assert store.find("X/none/0") is None
        counted.set()
        assert all(body_of(answer.result()) for answer in answers)


def test_x_that_is_refused_leaves_all_else(tmp_path: Path) -> None:
    adata = base()
    adata.X.data[3] = np.nan
    with opened(adata, tmp_path) as store:
        for _ in range(2):
            for key in (".zmetadata", "X/.zattrs", "X/data/.zarray", "X/data/0"):
                with pytest.raises(CellucidDaskError, match="NaN"):
                    store.find(key)
        assert store.find("obs/score/0") is not None
        assert store.find(".zgroup") is not None


def spoil(folder: Path) -> Callable[[], None]:
    """Damage the chunks of an array of the input; undo it with what is returned."""
    files = {path: path.read_bytes() for path in folder.iterdir() if path.name[0].isdigit()}
    assert files
    for path in files:
        path.write_bytes(b"\xff" * 9)

    def mend() -> None:
        for path, content in files.items():
            path.write_bytes(content)

    return mend


@pytest.mark.parametrize(
    ("array", "key"),
    [("obsm/X_wide", "obsm/X_wide/1.0"), ("obs/of i8", "obs/of i8/0"), ("obs/f8", "obs/f8/1")],
)
def test_a_unit_that_fails_fails_alone_and_is_run_again(
    written: tuple[Path, Path], units: Counter[str], store: VirtualStore, array: str, key: str
) -> None:
    files = read_files(written[1])
    mend = spoil(written[0] / array)
    for _ in range(2):
        with pytest.raises(CellucidDaskError, match=array.rpartition("/")[2]):
            store.find(key)
    for other in files:
        if not other.startswith((f"{array}/", "X", ".zmetadata")) or other.endswith(DOCUMENTS):
            assert body_of(store.find(other)) == files[other] or other == ".zmetadata"
    mend()
    assert body_of(store.find(key)) == files[key]
    assert sorted(set(units.values())) == [1, 3]


def test_nothing_is_kept_of_data_that_changed(written: tuple[Path, Path]) -> None:
    unchanged, files = [True], read_files(written[1])
    with opened_on(*written, is_unchanged=lambda: unchanged[0], **OPTIONS) as store:
        assert body_of(store.find("obs/score/0")) == files["obs/score/0"]
        unchanged[0] = False
        keys = [
            "obs/group/codes/0",
            "X/data/0",
            "X/data/.zarray",
            ".zmetadata",
            "obsp/connectivities/data/0",
        ]
        for key in keys:
            with pytest.raises(ReplacedError):
                store.find(key)
        assert body_of(store.find("obs/score/0")) == files["obs/score/0"], "made before"
        unchanged[0] = True
        for key in keys:
            assert body_of(store.find(key)) == files[key], key


def test_entity_tags_tell_data_and_options_apart(tmp_path: Path) -> None:
    keys = (".zmetadata", "obs/.zattrs", "obs/score/0", "X/data/0")

    def tags(**options: Any) -> set[str]:
        with opened(base(), tmp_path, **options) as store:
            return {content.etag for key in keys if (content := store.find(key)) is not None}

    first = tags()
    assert tags() == first, "of a server that was started again"
    others = [tags(mark="other"), tags(dataset_name="b"), tags(genes=["gene3"])]
    assert len({frozenset(found) for found in [first, *others]}) == 4
    assert not first & set().union(*others)


def test_the_work_folder_goes_with_the_store(
    temporary: Path, written: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a unit is running, which then fails or makes folders again."""
    entered, closed, run = Event(), Event(), OnDemandChunks.run

    def slow(self: OnDemandChunks, unit: Unit) -> Any:
        entered.set()
        assert closed.wait(60)
        return run(self, unit)

    monkeypatch.setattr(OnDemandChunks, "run", slow)
    with ThreadPoolExecutor(1) as threads, opened_on(*written, **OPTIONS) as store:
        answer = threads.submit(store.find, "obs/score/0")
        assert entered.wait(60)
        assert list(temporary.iterdir()) != []
        store.close()
        assert list(temporary.iterdir()) == []
        closed.set()
        with pytest.raises(FileNotFoundError):
            answer.result()
        assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")
def test_a_full_disk_is_named_and_tried_again(
    temporary: Path, written: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    forks().shell(f"mount -t tmpfs -o size=1m tmpfs {temporary}")
    disk = forks().seen(temporary)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    try:
        with opened_on(*written, **OPTIONS) as store:
            forks().shell(f"head -c 2000000 /dev/zero > {temporary}/fill 2> /dev/null; true")
            for key in ("obs/group/codes/0", "obsm/X_wide/0.0", ".zmetadata"):
                with pytest.raises(CellucidDaskError) as caught:
                    store.find(key)
                assert f"{disk}/cellucid-dask-serve-" in str(caught.value)
                assert "the disk of the temporary folder is full" in str(caught.value)
            forks().shell(f"rm {temporary}/fill")
            assert store.find("obs/group/codes/0") is not None
            assert store.find(".zmetadata") is not None
    finally:
        forks().shell(f"umount -l {temporary}")
