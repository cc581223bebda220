"""The result of an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cellucid_dask.display.results import Value, count, html_table


@dataclass(slots=True, repr=False)
class ExportResult:
    """What an export did.

    Parameters
    ----------
    out
        The export; of several outputs the first.
    outputs
        Path of each output, by its format.
    n_cells, n_genes, n_obs_fields, n_edges
        What it holds; `n_edges` is None without a graph.
    n_embeddings
        Embeddings that a viewer can show, of all dimensions.
    files, bytes
        What was written.
    warnings
        What the user should know.
    seconds
        By stage, in order; stages may run at the same time.
    total_seconds, peak_memory_bytes
        Of the whole run; memory is the summed resident memory of all its processes.
    peak_memory_of
        Whose peak it is: that of workers of a joined scheduler is not known here.
    worker_peaks
        Largest memory of each worker on another machine in bytes, by the name of the worker.
    memory_advice
        Option for the memory of the jobs that would have been enough; empty outside of a queue.
    resumed
        What an earlier run had done already; empty when there was nothing.
    gene_path, gene_path_reason
        How genes were transposed and encoded: by the ``native`` library, or by ``numpy`` and why;
        empty without genes.
    verified
        What reading the export found before it was published; None when it was not asked for.
    preview
        The sheet of thumbnails; None when it was not asked for, or could not be drawn.
    plan
        The facts of the plan.
    discovered
        What was taken from where, and what was ignored and why.
    written
        Whether the export was published; not after a dry run.
    """

    out: str
    outputs: dict[str, str] = field(default_factory=dict)
    n_cells: int = 0
    n_genes: int = 0
    n_obs_fields: int = 0
    n_edges: int | None = None
    n_embeddings: int = 0
    files: int = 0
    bytes: int = 0
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    total_seconds: float = 0.0
    peak_memory_bytes: int = 0
    peak_memory_of: str = "all processes"
    worker_peaks: dict[str, int] = field(default_factory=dict)
    memory_advice: str = ""
    resumed: str = ""
    gene_path: str = ""
    gene_path_reason: str = ""
    verified: dict[str, Any] | None = None
    preview: str | None = None
    plan: dict[str, str] = field(default_factory=dict)
    discovered: list[str] = field(default_factory=list)
    written: bool = False

    @classmethod
    def of(cls, outputs: Mapping[str, Path]) -> Self:
        """Result of a run that has not begun to write `outputs`."""
        paths = {name: str(path.absolute()) for name, path in outputs.items()}
        return cls(next(iter(paths.values())), paths)

    def set_usage(self, stages: Mapping[str, float], busy: float, total: float, peak: int) -> None:
        """Set the seconds of each stage, of all together and in total, and the peak in bytes.

        Stages that run at the same time count in full each, so their sum may exceed `busy`.
        """
        self.seconds = {name: round(spent, 3) for name, spent in stages.items()}
        self.seconds["start and stop"] = round(max(total - busy, 0.0), 3)
        self.total_seconds, self.peak_memory_bytes = round(total, 3), peak

    def as_dict(self) -> dict[str, Any]:
        """Fields as plain data, as the report holds them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __repr__(self) -> str:
        warnings = f"; {count(len(self.warnings), 'warning')}" if self.warnings else ""
        return f"<ExportResult {self.out!r}: {self._sum_up()}{warnings}>"

    def _repr_html_(self) -> str:
        rows: dict[str, Value] = {
            "outputs": [f"{name}: {path}" for name, path in self.outputs.items()],
            "contents": self._sum_up(),
        }
        if self.written:
            from rich.filesize import decimal

            verified = "" if self.verified is None else "every file was read and is correct"
            rows |= {
                "verified": verified,
                "preview": self.preview or "",
                "time": f"{self.total_seconds:.1f} s",
                "peak memory": f"{decimal(self.peak_memory_bytes)} of {self.peak_memory_of}",
            }
        else:
            rows |= {f"plan: {name}": value for name, value in self.plan.items()}
        rows |= {
            "done by an earlier run": self.resumed,
            "taken from": self.discovered,
            "warnings": self.warnings,
        }
        return html_table("Export" if self.written else "Plan of an export", rows)

    def _sum_up(self) -> str:
        """What was written, in one line."""
        if not self.written:
            return "nothing was written"
        from rich.filesize import decimal

        numbers = (
            count(self.n_cells, "cell"),
            count(self.n_genes, "gene"),
            count(self.n_obs_fields, "obs column"),
            "no graph" if self.n_edges is None else count(self.n_edges, "edge"),
            count(self.files, "file"),
            decimal(self.bytes),
        )
        return ", ".join(numbers)
