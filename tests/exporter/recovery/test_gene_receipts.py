"""Receipts of genes go through the journal unchanged, and damage never changes one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.exporter.receipts import GENE_RECEIPT, GeneReceipts, columns_of, receipts_of
from cellucid_dask.exporter.recovery.journal import Journal, read_journal

ROWS = st.tuples(
    st.integers(0, 12),
    st.integers(0, 2**62),
    st.integers(0, 2**32 - 1),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
    st.integers(0, 2**62),
    st.integers(0, 2**62),
    st.booleans(),
    st.booleans(),
)
BLOCKS = st.lists(st.lists(ROWS, max_size=5).map(lambda rows: np.array(rows, GENE_RECEIPT)))


def by_gene(receipts: GeneReceipts) -> dict[int, tuple[Any, ...]]:
    return {row[0]: row for row in receipts.tolist()}


def write_journal(path: Path, blocks: Sequence[GeneReceipts]) -> bytes:
    journal = Journal(path)
    journal.begin({"input": "x"})
    for block in blocks:
        journal.genes(block)
    return path.read_bytes()


@given(BLOCKS)
def test_the_last_receipt_of_each_gene_is_read_back(blocks: Sequence[GeneReceipts]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        write_journal(path, blocks)
        entries = read_journal(path)
    assert entries is not None
    found = entries.finished_work().genes
    assert found.dtype == GENE_RECEIPT
    assert found["gene"].tolist() == sorted(set(found["gene"].tolist()))
    expected = {gene: row for block in blocks for gene, row in by_gene(block).items()}
    assert by_gene(found) == expected


@given(BLOCKS, st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_damage_loses_blocks_and_changes_none(
    blocks: Sequence[GeneReceipts], place: float, byte: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        raw = write_journal(path, blocks)
        at = int(place * len(raw))
        rows = {row for block in blocks for row in block.tolist()}
        for damaged in (raw[:at], raw[:at] + bytes([byte]) + raw[at + 1 :]):
            path.write_bytes(damaged)
            entries = read_journal(path)
            if entries is not None:
                assert set(entries.finished_work().genes.tolist()) <= rows


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("gene", None),
        ("gene", [2**63, 1]),
        ("size", [1]),
        ("size", [[1], [2]]),
        ("size", ["a", "b"]),
        ("size", {"a": 1}),
        ("crc32", [-1, 0]),
        ("crc32", [2**32, 0]),
        ("lo", 0.5),
        ("lo", [None, {}]),
        ("empty", [True]),
    ],
)
def test_columns_that_no_run_wrote_are_no_receipts(tmp_path: Path, name: str, column: Any) -> None:
    good = np.zeros(2, GENE_RECEIPT)
    good["gene"] = 4, 7
    assert receipts_of(columns_of(good)).tolist() == good.tolist()
    journal = Journal(tmp_path / "journal")
    journal.begin({"input": "x"})
    journal.genes(good)
    journal._add({"genes": {**columns_of(good), name: column}})
    journal._add({"genes": {key: v for key, v in columns_of(good).items() if key != name}})
    # As versions before this one wrote them.
    receipt = {"path": "var/a.values.u8.gz", "size": 1, "crc32": 2, "span": None}
    journal._add({"block": 9, "genes": [receipt]})
    entries = read_journal(tmp_path / "journal")
    assert entries is not None
    assert entries.finished_work().genes.tolist() == good.tolist()
