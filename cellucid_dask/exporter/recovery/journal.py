"""The journal of an export: a line for every finished piece, each with its own checksum.

A run that is killed leaves complete lines and perhaps an incomplete one, which is ignored. After
a crash of the machine, a line does not prove that the files it names are intact:
`cellucid_dask.exporter.recovery.resume` reads them before they are used.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from cellucid_dask import format as fmt
from cellucid_dask.encode import Range
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.receipts import (
    CellIdsFile,
    Edges,
    GeneReceipts,
    Spill,
    StripSpill,
    columns_of,
    latest,
    no_genes,
    receipts_of,
)
from cellucid_dask.files import Receipt, write_all

JOURNAL = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class ObsFiles:
    """What the obs stages made.

    Parameters
    ----------
    arrays
        Receipts of points and vectors.
    columns
        Of the values or codes of each column, by its name.
    outliers
        Of the outlier quantiles.
    manifest
        Of ``obs_manifest.json``.
    warnings
        What was noticed meanwhile.
    """

    arrays: list[Receipt]
    columns: dict[str, Receipt]
    outliers: list[Receipt]
    manifest: Receipt
    warnings: list[str]

    @property
    def receipts(self) -> list[Receipt]:
        """All of them."""
        return [*self.arrays, *self.columns.values(), *self.outliers, self.manifest]


@dataclass(slots=True)
class FinishedWork:
    """The pieces of an export that are finished according to a journal.

    Parameters
    ----------
    cell_ids, obs, edges
        None until they are finished.
    spills
        Spilled chunks, all of one kind.
    strips
        Bounds of the strips at which they are cut, if they are.
    genes
        Receipts of genes, in the order of the genes.
    ready
        Finished work of ready files, each key once.
    aside
        Where what others made was moved so that an output could have its name.
    published
        What the report says of the export, and the crc32 of the checksums of every output by its
        format, once all were complete.
    """

    cell_ids: CellIdsFile | None = None
    obs: ObsFiles | None = None
    edges: Edges | None = None
    spills: list[Any] = field(default_factory=list)
    strips: list[int] | None = None
    genes: GeneReceipts = field(default_factory=no_genes)
    ready: list[ReadyWork] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    published: dict[str, Any] | None = None

    @property
    def other_files(self) -> list[Receipt]:
        """Receipts of the files of the export that are no genes."""
        found = [] if self.obs is None else self.obs.receipts
        if self.cell_ids is not None:
            found.append(self.cell_ids.receipt)
        if self.edges is not None:
            found += self.edges.receipts
        return found

    @property
    def spill_files(self) -> set[str]:
        """Paths of the spill files it needs."""
        stored = (part for work in self.ready for part in (*work.chunks, *work.pieces))
        return {*(spill.path for spill in self.spills), *(part.pack for part in stored)} - {""}

    @property
    def n(self) -> int:
        """Number of files, and of parts of ready files."""
        return len(self.genes) + len(self.other_files) + len(self.spills) + len(self.ready)

    @property
    def file_sizes(self) -> list[int]:
        """Bytes of each file of the export."""
        return [*self.genes["size"].tolist(), *(receipt.size for receipt in self.other_files)]


@dataclass(frozen=True, slots=True)
class Entries:
    """A journal as read: the provenance of its export, and its records."""

    provenance: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]

    def finished_work(self) -> FinishedWork:
        """Combine the records; a later record replaces an earlier one."""
        done, blocks, ready = FinishedWork(), list[GeneReceipts](), dict[str, ReadyWork]()
        for record in self.records:
            with suppress(*_MALFORMED):
                _understand(record, done, blocks, ready)
        done.genes, done.ready = latest(blocks), list(ready.values())
        return done


# What reading a record raises that no run of this version wrote.
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


def _understand(
    record: Mapping[str, Any],
    done: FinishedWork,
    blocks: list[GeneReceipts],
    ready: dict[str, ReadyWork],
) -> None:
    match record:
        case {"cell ids": _} | {"obs": _} | {"edges": _}:
            _understand_stage(record, done)
        case {"chunk": found}:
            done.spills.append(_chunk(found))
        case {"strips": found}:
            done.strips, done.spills = list(map(int, found)), []  # chunks cut elsewhere are no use
        case {"genes": found}:
            blocks.append(receipts_of(found))
        case {"ready": found}:
            work = ReadyWork.of(found)
            for stored in work.chunks:
                _refuse_outside(stored.array)
            ready[work.key] = work
        case {"aside": found}:
            done.aside.append(str(found))
        case {"published": found}:
            sums = {str(name): int(crc32) for name, crc32 in found["crc32"].items()}
            done.published = {**found, "crc32": sums}


def _understand_stage(record: Mapping[str, Any], done: FinishedWork) -> None:
    """Take over a record of a stage that is finished as a whole."""
    match record:
        case {"cell ids": found}:
            done.cell_ids = CellIdsFile(
                _receipt(found["receipt"]), list(map(int, found["offsets"]))
            )
        case {"obs": found}:
            done.obs = _obs(found)
        case {"edges": found}:
            src, dst = map(_receipt, found["receipts"])
            done.edges = Edges((src, dst), found["n_edges"], found["max_neighbors"])


def _refuse_outside(array: str) -> None:
    """Refuse an array whose files would lead out of the store."""
    if not {"", ".", ".."}.isdisjoint(array.split("/")):
        raise ValueError(f"no path of an array: {array!r}")


def _chunk(found: Mapping[str, Any]) -> Spill | StripSpill:
    if "sizes" not in found:
        return Spill(**found)
    return StripSpill(**{**found, "sizes": np.array(found["sizes"], np.uint32)})


def _obs(found: Mapping[str, Any]) -> ObsFiles:
    return ObsFiles(
        [_receipt(r) for r in found["arrays"]],
        {key: _receipt(r) for key, r in found["columns"].items()},
        [_receipt(r) for r in found["outliers"]],
        _receipt(found["manifest"]),
        found["warnings"],
    )


def _receipt(found: Mapping[str, Any]) -> Receipt:
    if found["path"] not in fmt.MANIFESTS:
        fmt.parse(found["path"])  # refuses what leads out of the export
    span = found["span"]
    return Receipt(**{**found, "span": None if span is None else Range(**span)})


def read_journal(path: Path) -> Entries | None:
    """Read a journal; None if there is none, or its first line is damaged.

    Damaged and incomplete lines are skipped; their pieces are made again.
    """
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    lines = list(_lines(raw))
    if not lines or not isinstance(lines[0].get("origin"), dict):
        return None
    return Entries(lines[0]["origin"], lines[1:])


def _lines(raw: bytes) -> Iterator[dict[str, Any]]:
    for line in raw.split(b"\n"):
        crc, _, text = line.partition(b" ")
        if crc == b"%08x" % zlib.crc32(text):
            with suppress(ValueError, RecursionError):
                if isinstance(found := json.loads(text), dict):
                    yield found


class Journal:
    """A journal that is written; any thread may add records.

    Parameters
    ----------
    path
        Its file; None keeps none, for a run that cannot be resumed.
    n
        Records there are.
    """

    def __init__(self, path: Path | None, n: int = 0) -> None:
        self.n = n
        self._path = path
        self._lock = threading.Lock()

    def begin(self, provenance: Mapping[str, Any]) -> None:
        """Start a new journal."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._write({"origin": provenance})

    def cell_ids(self, found: CellIdsFile) -> None:
        """Note that the ids of cells are done."""
        self._add({"cell ids": asdict(found)})

    def obs(self, found: ObsFiles) -> None:
        """Note that the obs stages are done."""
        self._add({"obs": asdict(found)})

    def edges(self, found: Edges) -> None:
        """Note that the graph is done."""
        self._add({"edges": asdict(found)})

    def strips(self, bounds: Sequence[int]) -> None:
        """Note the bounds of the strips, before the first chunk that is cut at them."""
        self._add({"strips": bounds})

    def chunk(self, found: Spill | StripSpill) -> None:
        """Note a spilled chunk."""
        record = {field.name: getattr(found, field.name) for field in fields(found)}
        self._add({"chunk": record})

    def genes(self, found: GeneReceipts) -> None:
        """Note the files of a block of genes."""
        self._add({"genes": columns_of(found)})

    def ready(self, work: ReadyWork) -> None:
        """Note what a task of a ready file has done."""
        self._add({"ready": work.as_dict()})

    def aside(self, path: Path) -> None:
        """Note where what others made is about to be moved."""
        self._add({"aside": str(path)})

    def published(self, facts: Mapping[str, Any]) -> None:
        """Note that all outputs are complete and about to get their names."""
        self._add({"published": facts})

    def _add(self, record: Mapping[str, Any]) -> None:
        if self._path is not None:
            with self._lock:
                self._write(record)
                self.n += 1

    def _write(self, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, default=lambda array: array.tolist()).encode()
        assert self._path is not None
        # From a new line on: the last one may be torn.
        line = b"\n%08x %s\n" % (zlib.crc32(text), text)
        with self._path.open("ab", buffering=0) as file:
            write_all(file, line)
