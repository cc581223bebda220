"""The counts of X: found once, kept on disk, refused, interrupted, damaged."""

from __future__ import annotations

import json
import random
import re
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atlas import save
from forks import fork
from gene_index_data import damage_data_chunk
from scipy import sparse
from virtual_x import assert_same_x, export_x, opened, save_store, store_nodes, with_points

from cellucid_dask import CellucidDaskError
from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.server.gene_index import build as index_build
from cellucid_dask.server.ready import expression as expressions
from cellucid_dask.server.ready import found_counts, index_counts, value_counts


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """CSR of several row chunks and several blocks."""
    rng = np.random.default_rng(1)
    matrix = sparse.random_array((140_000, 20), density=0.1, rng=rng, dtype="f4", format="csr")
    return save(with_points(matrix), tmp_path / "a.h5ad")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways in which values are counted."""
    made: list[str] = []
    for name in ("count_values", "count_by_index"):
        real = getattr(found_counts, name)

        def noted(*facts: Any, name: str = name, real: Callable[..., Any] = real) -> Any:
            made.append(name)
            return real(*facts)

        monkeypatch.setattr(found_counts, name, noted)
    return made


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("cache/genes/*/*/counts/*"))


def test_counts_come_from_the_spilled_chunks_then_from_the_disk(
    tmp_path: Path, file: Path, passes: list[str]
) -> None:
    for _ in range(2):
        with opened(file, tmp_path) as expression:
            expression.start()
            layout = expression.matrix_layout()
            assert layout.nnz == 280_000
            assert expression.progress()["counts"]["state"] == "ready"
        assert len(kept(tmp_path)) == 1
    assert passes == []


def test_counts_come_from_a_complete_index(tmp_path: Path, file: Path, passes: list[str]) -> None:
    with opened(file, tmp_path) as expression:
        expression.start()
        while expression.progress()["state"] != "ready":
            time.sleep(0.01)
        expected = expression.pointers()
    for options in ({}, {"genes": ["g7", "g1"]}):
        for path in kept(tmp_path):
            path.unlink()
        with opened(file, tmp_path, **options) as expression:
            found = expression.pointers()
            assert expected is not None
            assert found is not None
            counts = np.diff(expected)[[7, 1]] if options else np.diff(expected)
            assert np.array_equal(np.diff(found), counts)
    assert passes == ["count_by_index", "count_by_index"]


def test_without_an_index_nothing_is_kept(tmp_path: Path, file: Path, passes: list[str]) -> None:
    with opened(file, tmp_path, index=False) as expression:
        assert expression.matrix_layout().nnz == 280_000
        assert expression.progress() == {
            "state": "off",
            "rows_done": 0,
            "rows": 140_000,
            "blocks_done": 0,
            "blocks": 0,
            "counts": {"state": "ready", "done": 140_000, "total": 140_000},
        }
    assert passes == ["count_values"]
    assert not (tmp_path / "cache").exists()


def test_a_damaged_block_is_made_again(tmp_path: Path, file: Path, passes: list[str]) -> None:
    written = export_x(file, tmp_path)
    with opened(file, tmp_path) as expression:
        assert expression.matrix_layout().nnz == 280_000
        while expression.progress()["state"] != "ready":
            time.sleep(0.01)
    (path,) = tmp_path.glob("cache/genes/*/*/index.zarr/blocks/0/data/c/0")
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)
    kept(tmp_path)[0].unlink()
    with opened(file, tmp_path) as expression:
        assert_same_x(save_store(expression, tmp_path / "store"), written)
    assert passes[0] == "count_by_index"
    assert "count_values" not in passes


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda content: content[:-1],
    "another type": lambda content: content.replace(b"<f4", b"<f8"),
    "a bit": lambda content: content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],
    "other version": lambda content: signed(content, version=0),
    "other file": lambda content: signed(content, source="0123456789abcdef.v2"),
    "other genes": lambda content: signed(content, genes="0"),
    "other shape": lambda content: signed(content, shape=[140_000, 21]),
    "no type": lambda content: signed(content, dtype=None),
}


def signed(content: bytes, **facts: Any) -> bytes:
    """Counts with other facts, and a checksum that is right."""
    line, _, rest = content[:-32].partition(b"\n")
    changed = {**json.loads(line), **facts}
    body = json.dumps({k: v for k, v in changed.items() if v is not None}).encode() + b"\n" + rest
    return body + sha256(body).digest()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_or_foreign_counts_are_made_again(
    tmp_path: Path, file: Path, damage: str, passes: list[str]
) -> None:
    with opened(file, tmp_path) as expression:
        expression.start()
        expected = expression.pointers()
        while expression.progress()["state"] != "ready":
            time.sleep(0.01)
    (path,) = kept(tmp_path)
    content = path.read_bytes()
    assert signed(content) == content
    path.write_bytes(DAMAGES[damage](content))
    with opened(file, tmp_path) as expression:
        assert np.array_equal(expression.pointers(), expected)
    assert passes == ["count_by_index"]
    assert path.read_bytes() == content


def test_counts_that_do_not_fit_the_matrix_are_refused(tmp_path: Path, file: Path) -> None:
    """Never wrong data: and the next start counts again."""
    with opened(file, tmp_path) as expression:
        expression.start()
        expected = expression.pointers()
        assert expected is not None
    (path,) = kept(tmp_path)
    other = np.roll(np.diff(expected), 1)
    line = path.read_bytes().partition(b"\n")[0]
    body = line + b"\n" + zlib.compress(other.tobytes())
    path.write_bytes(body + sha256(body).digest())
    with opened(file, tmp_path) as expression:
        node = store_nodes(expression)["X/data"]
        with pytest.raises(ReadError, match="other values than when they were counted"):
            expression.chunk(node, 0)
    with opened(file, tmp_path) as expression:
        assert np.array_equal(expression.pointers(), expected)
        expression.chunk(node, 0)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 3.4028235e38])
@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_values_that_ready_files_do_not_hold_are_refused(
    tmp_path: Path, form: str, value: float, index: bool
) -> None:
    """As an export refuses them, and no chunk of them is served."""
    dense = np.random.default_rng(0).random((50, 6))
    dense[7, 3] = value
    if np.isnan(value):
        dense = dense.astype("f4")  # of which no pass is needed to know the type
    matrix = dense if form == "dense" else sparse.csr_matrix(dense).asformat(form)
    path = save(with_points(matrix), tmp_path / "a.h5ad")
    with pytest.raises(CellucidDaskError) as refused:
        export_x(path, tmp_path)
    with opened(path, tmp_path, index=index) as expression:
        for _ in range(2):
            with pytest.raises(InputError) as error:
                save_store(expression, tmp_path / "store")
            found, wanted = error.value.problems[0], refused.value.problems[0]
            place = re.compile(r"(rows|columns) \d+ to \d+")  # differs as they cut the matrix
            assert place.sub("", found.what) == place.sub("", wanted.what)
            assert (found.where, found.fix) == (wanted.where, wanted.fix)
    with opened(path, tmp_path, index=index, genes=["g0", "g5"]) as expression:
        assert expression.matrix_layout().shape == (50, 2)


def test_a_refusal_needs_one_pass(tmp_path: Path, passes: list[str]) -> None:
    matrix = sparse.csr_matrix(np.full((9, 9), np.nan, "f4"))
    path = save(with_points(matrix), tmp_path / "a.h5ad")
    with opened(path, tmp_path, index=False) as expression:
        for _ in range(3):
            with pytest.raises(InputError):
                expression.matrix_layout()
        assert expression.progress()["counts"]["state"] == "failed"
    assert passes == ["count_values"]


def test_damaged_data_are_an_error_of_all_who_wait(tmp_path: Path, passes: list[str]) -> None:
    rng = np.random.default_rng(1)
    matrix = sparse.random_array((20_000, 20), density=0.2, rng=rng, dtype="f4", format="csr")
    path = save(with_points(matrix), tmp_path / "a.h5ad", compression="gzip")
    damage_data_chunk(path)
    for index in (True, False):
        with opened(path, tmp_path, index=index) as expression:
            with ThreadPoolExecutor(4) as pool:
                asked = [pool.submit(expression.matrix_layout) for _ in range(4)]
            for future in asked:
                with pytest.raises(ReadError):
                    future.result()
            assert expression.progress()["counts"]["state"] == "failed"
            assert len(passes) <= 4
            n_passes = len(passes)
            with pytest.raises(ReadError):
                expression.matrix_layout()
            assert len(passes) == n_passes + 1, "a later request tries again"
            passes.clear()


# ---------------------------------------------------------------------- many requests, and the end


def test_requests_share_one_pass_and_read_a_gene_once(
    tmp_path: Path, file: Path, passes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[tuple[int, int]] = []
    real = expressions.ReaderPieces.pieces

    def pieces(self: Any, first: int, last: int) -> Any:
        reads.append((first, last))
        return real(self, first, last)

    monkeypatch.setattr(expressions.ReaderPieces, "pieces", pieces)
    with opened(file, tmp_path, index=False) as expression:
        with ThreadPoolExecutor(8) as pool:
            layouts = list(pool.map(lambda _: expression.matrix_layout(), range(8)))
        assert len(set(layouts)) == 1
        assert passes == ["count_values"]
        nodes = store_nodes(expression)
        wanted = [(nodes[path], k) for k in range(5) for path in ("X/data", "X/indices")]
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda chunk: expression.chunk(*chunk), wanted))
    assert len(reads) == len(set(reads))
    genes = [gene for first, last in reads for gene in range(first, last)]
    assert len(genes) == len(set(genes)), "a gene of two chunks is read once"


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_stop_ends_requests_that_wait(
    tmp_path: Path, form: str, index: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request in the middle of the pass ends, and those that wait for it with it."""
    begun, go = threading.Event(), threading.Event()
    for module, name in (
        (value_counts, "survey_values"),
        (value_counts, "survey_columns"),
        (index_counts, "are_whole"),
        (index_build, "check_disk"),
    ):
        monkeypatch.setattr(module, name, blocking(getattr(module, name), begun, go))
    monkeypatch.setattr(index_counts.SpillCounts, "add", blocking(lambda *_: None, begun, go))
    matrix = sparse.random_array((500, 20), density=0.2, rng=np.random.default_rng(1), format=form)
    path = save(with_points(matrix), tmp_path / "a.h5ad")
    with ThreadPoolExecutor(3) as pool:
        with opened(path, tmp_path, index=index, room=40_000) as expression:
            asked = [pool.submit(expression.matrix_layout) for _ in range(3)]
            assert begun.wait(60)
            expression.stop()
            go.set()
        for future in asked:
            with pytest.raises(CancelledError):
                future.result(60)
    assert kept(tmp_path) == []


def blocking(real: Callable[..., Any], begun: threading.Event, go: threading.Event) -> Any:
    def wait(*facts: Any, **more: Any) -> Any:
        begun.set()
        assert go.wait(60)
        return real(*facts, **more)

    return wait


def test_stop_does_not_wait_for_an_index_that_another_one_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    monkeypatch.setattr(index_counts.SpillCounts, "add", blocking(lambda *_: None, begun, go))
    matrix = sparse.random_array((500, 20), density=0.2, rng=np.random.default_rng(1), format="csr")
    path = save(with_points(matrix), tmp_path / "a.h5ad")
    with ThreadPoolExecutor(1) as pool, opened(path, tmp_path) as other:
        other.start()
        with opened(path, tmp_path) as expression:
            asked = pool.submit(expression.matrix_layout)
            assert begun.wait(60)
            expression.stop()
            with pytest.raises(CancelledError):
                asked.result(60)
        assert other.progress()["state"] == "building"
        go.set()


COUNT = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[3])
from virtual_x import opened

with opened(Path(sys.argv[1]), Path(sys.argv[2])) as expression:
    expression.start()
    print(expression.matrix_layout().nnz, flush=True)
"""


def test_a_killed_server_leaves_counts_that_are_right_or_none(tmp_path: Path, file: Path) -> None:
    written = export_x(file, tmp_path)
    (tmp_path / "run.py").write_text(COUNT)
    for moment in (0.0, 0.2, 0.5, 1.0):
        child = fork(
            file,
            tmp_path,
            Path(__file__).parent,
            cwd=tmp_path,
            out=tmp_path / "said",
            script=str(tmp_path / "run.py"),
        )
        while child.poll() is None and not list(tmp_path.glob("cache/genes/*/*/lock")):
            time.sleep(0.001)
        time.sleep(moment * random.uniform(0.7, 1.3))
        child.kill()
        child.wait()
        for path in kept(tmp_path):
            assert (
                path.suffix == ".part"
                or sha256(path.read_bytes()[:-32]).digest() == (path.read_bytes()[-32:])
            )
    with opened(file, tmp_path) as expression:
        expression.start()
        assert_same_x(save_store(expression, tmp_path / "store"), written)
