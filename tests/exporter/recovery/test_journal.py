"""Whatever the journal holds, the resumed run makes the same bytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from importlib import import_module

import pytest
from atlas import tree
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scenes import Scene

from cellucid_dask.exporter.recovery.journal import JOURNAL

# As a module, for setattr.
publish = import_module("cellucid_dask.exporter.recovery.publish")


Change = tuple[str, float, float]


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["cut", "flip", "drop", "repeat", "swap", "insert"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
    ),
    min_size=1,
    max_size=6,
)


def change_journal(raw: bytes, change: Change) -> bytes:
    """Return the journal with one change; `one` and `other` are places, as fractions of it."""
    what, one, other = change
    at = int(one * len(raw))
    if what == "cut":
        return raw[:at]
    if what == "flip":
        return raw[:at] + bytes([raw[at] ^ (1 << int(other * 8))]) + raw[at + 1 :] if raw else raw
    if what == "insert":
        return raw[:at] + bytes([int(other * 256)]) * 3 + raw[at:]
    lines = raw.split(b"\n")
    i, j = int(one * len(lines)), int(other * len(lines))
    if what == "drop":
        del lines[i]
    elif what == "repeat":
        lines.insert(j, lines[i])
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


@pytest.mark.parametrize("state", ["genes", "transpose", "publish"])
@settings(max_examples=12)
@given(changes=CHANGES)
@example(changes=[("cut", 0.0, 0.0)])
@example(changes=[("cut", 0.999, 0.0)])
@example(changes=[("drop", 0.0, 0.0), ("drop", 0.0, 0.0)])  # the line that says what it is of
def test_any_journal_leads_to_the_same_bytes(
    small: Scene, monkeypatch: pytest.MonkeyPatch, state: str, changes: Sequence[Change]
) -> None:
    monkeypatch.setattr(publish, "sync_disk", lambda _: None)
    getattr(small, {"publish": "left_at_publish"}.get(state, f"left_in_{state}"))()
    path = small.staging / JOURNAL
    raw = path.read_bytes()
    for change in changes:
        raw = change_journal(raw, change)
    path.write_bytes(raw)
    small.make()
    small.check(changes)


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"[]", b"[" * 100_000, b'{"chunk": {"nope": 1}}', b'{"published": 5}'],
    ids=range(6),
)
def test_journal_lines_that_no_run_wrote(small: Scene, record: bytes) -> None:
    small.left_in_genes()
    with (small.staging / JOURNAL).open("ab") as journal:
        journal.write(b"\n%08x %s\n" % (zlib.crc32(record), record))
    small.make()
    small.check()


def test_receipts_of_other_genes_and_of_files_elsewhere(small: Scene) -> None:
    """Journals with checksums that fit, which only a person can make."""
    small.left_in_genes()
    (small.at / "mine.txt").write_text("mine")
    journal = small.staging / JOURNAL
    lines = [line.partition(b" ")[2] for line in journal.read_bytes().split(b"\n") if line]
    records = [json.loads(line) for line in lines]
    for record in records:
        if "genes" in record:
            numbers = record["genes"]["gene"]
            record["genes"]["gene"] = [numbers[-1] + 1000, *numbers[:-1]]
        if "edges" in record:
            mine = {"path": "../../mine.txt", "size": 4, "crc32": zlib.crc32(b"mine"), "span": None}
            record["edges"]["receipts"] = [mine, mine]
    texts = [json.dumps(record).encode() for record in records]
    journal.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts))
    small.make()
    assert (small.at / "mine.txt").read_text() == "mine"
    assert tree(small.out) == small.whole
