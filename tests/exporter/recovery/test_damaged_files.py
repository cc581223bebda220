"""Files in the staging folder that are damaged, unknown or still being written do no harm."""

from __future__ import annotations

import shutil
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from atlas import tree
from recovering import count_genes, cut_in_half, leave_spill_in_scratch, record_calls
from scenes import Scene, done_at

from cellucid_dask.exporter.receipts import StripSpill


def flip_a_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def append_a_byte(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def remove_all_bytes(path: Path) -> None:
    path.write_bytes(b"")


def is_intact(spill: StripSpill) -> bool:
    """Whether a chunk is in its file as the journal records it."""
    if not Path(spill.path).exists():
        return False
    part = Path(spill.path).read_bytes()[spill.offset : spill.offset + spill.size]
    return len(part) == spill.size and zlib.crc32(part) == spill.crc32


@pytest.mark.parametrize(
    "damage", [cut_in_half, flip_a_byte, append_a_byte, remove_all_bytes, Path.unlink]
)
@pytest.mark.parametrize(
    "what", ["gene", "spill", "ids", "points", "codes", "manifest", "edges", "all"]
)
def test_files_that_are_not_whole_are_made_again(
    small: Scene, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], what: str
) -> None:
    small.left_in_genes()
    done, made, inside = done_at(small.out), record_calls(monkeypatch), small.inside
    assert done.obs is not None
    assert done.edges is not None
    assert done.cell_ids is not None
    paths = {
        "gene": [inside / f"var/Gene{done.genes['gene'][0]}.values.u8.gz"],
        "spill": [Path(done.spills[1].path)],
        "ids": [inside / done.cell_ids.receipt.path],
        "points": [inside / done.obs.arrays[0].path],
        "codes": [inside / done.obs.columns["cell_type"].path],
        "manifest": [inside / done.obs.manifest.path],
        "edges": [inside / done.edges.receipts[1].path],
        "all": [path for path in small.inside.rglob("*.gz") if path.is_file()],
    }[what]
    for path in paths:
        damage(path)
    lost = [spill for spill in done.spills if not is_intact(spill)]
    result = small.make()
    small.check()
    if what == "gene":
        assert f"{len(done.genes) - 1} of 24 genes" in result.resumed
        assert count_genes(made) == 25 - len(done.genes)
    if what == "spill":
        assert bool(lost) == (damage is not append_a_byte)
        assert len(made["cut_chunk"]) == len(lost)
    assert ("points and obs" in result.resumed) == (what in ("gene", "spill", "ids", "edges"))
    assert ("the graph" in result.resumed) == (what not in ("edges", "all"))


def test_files_that_the_journal_does_not_know_are_not_published(small: Scene) -> None:
    small.left_in_genes()
    inside = small.inside
    gene = next((inside / "var").glob("Gene*"))
    for name in (f"{gene.name}.01234567.part", gene.name.replace("Gene", "Other")):
        shutil.copy(gene, inside / "var" / name)
    (inside / "checksums.json").write_text("{}")
    (inside / "dataset_identity.json").write_text("{}")
    small.make()
    small.check()


def test_workers_of_a_dead_run_that_still_write(small: Scene) -> None:
    """They take seconds to see that their run is dead; the next one may begin before."""
    ended = threading.Event()

    def write() -> None:
        n = 0
        while not ended.is_set():
            with suppress(OSError):
                n += 1
                (small.staging / "parts" / f"genes-{n}").mkdir()
            time.sleep(0.001)

    for _ in range(3):
        small.left_in_genes()
        thread = threading.Thread(target=write)
        thread.start()
        try:
            small.make()
        finally:
            ended.set()
            thread.join()
            ended.clear()
        assert tree(small.out) == small.whole


def test_files_of_others_in_it_are_not_published_and_not_lost(small: Scene) -> None:
    small.left_in_genes()
    (small.inside / "letter.txt").write_text("years of work")
    small.make()
    assert tree(small.out) == small.whole
    assert [path.read_text() for path in small.at.rglob("letter.txt")] == ["years of work"]


def test_spill_in_a_scratch_folder_is_used_by_a_run_without(
    small: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_spill_in_scratch(small)
    made = record_calls(monkeypatch)
    assert "60 of 60 cells transposed" in small.make().resumed
    assert made["cut_chunk"] == []
    small.check()
    assert sorted(path.name for path in (small.at / "spill").iterdir()) == ["mine.txt"]


@pytest.mark.parametrize("now", [Path.mkdir, Path.touch, lambda path: None])
def test_a_scratch_folder_that_is_gone(small: Scene, now: Callable[[Path], None]) -> None:
    spill = leave_spill_in_scratch(small)
    shutil.rmtree(spill)
    now(spill)
    result = small.make()
    assert "transposed" not in result.resumed
    assert "genes" in result.resumed
    small.check()
