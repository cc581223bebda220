"""Where chunks lie in packs, and what is said when one is not there."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.ready.chunk_table import OPEN_PACKS, ChunkTable


def table_of(folder: Path, packs: list[dict[int, bytes]], array: str = "X/data") -> ChunkTable:
    table = ChunkTable()
    for i, chunks in enumerate(packs):
        path = folder / f"pack-{i}"
        sizes = [len(payload) for payload in chunks.values()]
        offsets = 7 + np.cumsum([0, *sizes])[:-1]
        path.write_bytes(b"skipped" + b"".join(chunks.values()))
        sums = [zlib.crc32(payload) for payload in chunks.values()]
        table.add(array, str(path), list(chunks), offsets, sizes, sums)
    return table


@given(order=st.permutations(range(12)), cuts=st.tuples(st.integers(0, 12), st.integers(0, 12)))
def test_chunks_are_found_whatever_their_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cuts: tuple[int, int]
) -> None:
    payloads = {i: bytes([i]) * (i % 5) for i in order}
    first, second = sorted(cuts)
    parts = (order[:first], order[first:second], order[second:])
    packs = [{i: payloads[i] for i in part} for part in parts]
    with table_of(tmp_path_factory.mktemp("packs"), packs) as table:
        assert [table.read("X/data", i) for i in range(12)] == [payloads[i] for i in range(12)]
        assert table.sizes("X/data", range(3, 9)).tolist() == [
            len(payloads[i]) for i in range(3, 9)
        ]


def test_a_part_is_all_that_a_task_needs(tmp_path: Path) -> None:
    packs = [{i: b"%d" % i for i in range(start, 1000, 2)} for start in (0, 1)]
    table = table_of(tmp_path, packs)
    table.read("X/data", 5)  # with an open file, which is not sent
    sent = pickle.dumps(table.part("X/data", range(10, 13)))
    assert len(sent) < 2000
    with pickle.loads(sent) as part, table:
        assert [part.read("X/data", i) for i in (12, 10, 11)] == [b"12", b"10", b"11"]
        with pytest.raises(LookupError):
            part.read("X/data", 9)


def test_a_missing_chunk_is_an_error(tmp_path: Path) -> None:
    with table_of(tmp_path, [{0: b"a", 2: b"c"}]) as table:
        for chunk in (1, 3, -1):
            with pytest.raises(LookupError, match=f"chunk {chunk} of X/data is missing"):
                table.read("X/data", chunk)
        with pytest.raises(LookupError, match="chunk 1 of X/data is missing"):
            table.sizes("X/data", range(3))
        with pytest.raises(LookupError, match="chunk 0 of X/indices is missing"):
            table.read("X/indices", 0)


def test_a_chunk_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    table = table_of(tmp_path, [{0: b"a"}, {0: b"b"}])
    with pytest.raises(LookupError, match="chunk 0 of X/data is there twice"):
        table.read("X/data", 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"skippedab", "is cut short"), (b"skippedabx", "does not hold what was written")],
)
def test_a_damaged_pack_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with table_of(tmp_path, [{0: b"abc"}]) as table:
        path = tmp_path / "pack-0"
        path.write_bytes(content)
        with pytest.raises(OSError, match=said) as error:
            table.read("X/data", 0)
        assert error.value.filename == str(path)


def test_few_packs_are_open_at_once(tmp_path: Path) -> None:
    n = 3 * OPEN_PACKS
    process = psutil.Process()
    before = process.num_fds()
    with table_of(tmp_path, [{i: b"%d" % i} for i in range(n)]) as table:
        assert [table.read("X/data", i) for i in range(n)] == [b"%d" % i for i in range(n)]
        assert process.num_fds() <= before + OPEN_PACKS
    assert process.num_fds() == before
