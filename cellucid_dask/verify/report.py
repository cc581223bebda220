"""The result of a verification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cellucid_dask.arguments.boundary import reword_all
from cellucid_dask.display.results import count, html_table


@dataclass(frozen=True, slots=True, repr=False)
class VerifyReport:
    """The problems of an export, and how much was checked.

    Parameters
    ----------
    problems
        Every problem, each in one line; empty for a good export.
    files, bytes
        Number of files of the export, and their size on disk.
    genes_compared
        Number of genes that were compared with their source.
    largest_error
        Largest ``|decoded - source|`` of the quantized genes and obs values that were compared,
        in quantization steps ``(hi - lo) / max_quant``. Codes are truncated, so it is at most 1,
        and a little more where float32 rounds.
    not_compared
        What could not be compared with the data, and why, each in one line. These are not
        problems of the export.
    format
        What was verified: ``folder``, or the ready file ``zarr``, ``zarr.zip`` or ``h5ad``.
    """

    problems: tuple[str, ...]
    files: int
    bytes: int
    genes_compared: int = 0
    largest_error: float = 0.0
    not_compared: tuple[str, ...] = ()
    format: str = "folder"

    @property
    def ok(self) -> bool:
        """Whether the export has no problem."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, and `ok`, as strict JSON can hold them."""
        lines = {"problems": list(self.problems), "not_compared": list(self.not_compared)}
        return {"ok": self.ok, **asdict(self), **lines}

    def __repr__(self) -> str:
        return f"<VerifyReport: {self._verdict()}, {self._size()}>"

    def _repr_html_(self) -> str:
        compared = count(self.genes_compared, "gene") if self.genes_compared else ""
        rows = {
            "problems": self.problems,
            "read": self._size(),
            "compared with the data": compared,
            "largest error": f"{self.largest_error:.2f} quantization steps" if compared else "",
            "not compared": self.not_compared,
        }
        return html_table(f"Verification: {self._verdict()}", rows)

    def _verdict(self) -> str:
        return "intact" if self.ok else count(len(self.problems), "problem")

    def _size(self) -> str:
        from rich.filesize import decimal

        return f"{count(self.files, 'file')}, {decimal(self.bytes)}"


@dataclass(slots=True)
class Findings:
    """What a verification has found so far; the fields become those of `VerifyReport`."""

    problems: list[str]
    not_compared: list[str] = field(default_factory=list)
    genes_compared: int = 0
    largest_error: float = 0.0

    def report(self, sizes: Mapping[str, int], kind: str = "folder") -> VerifyReport:
        """Return the report: each line once, as two checks may meet the same damaged file.

        Parameters
        ----------
        sizes
            Bytes of every file, by its path.
        kind
            What was verified.
        """
        return VerifyReport(
            problems=_report_lines(dict.fromkeys(map(_one_line, self.problems))),
            files=len(sizes),
            bytes=sum(sizes.values()),
            genes_compared=self.genes_compared,
            largest_error=self.largest_error,
            not_compared=_report_lines(map(_one_line, self.not_compared)),
            format=kind,
        )


def _report_lines(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(reword_all(lines))


def _one_line(problem: str) -> str:
    """Escape what a terminal cannot show in one line, whatever the name of a file is."""
    if problem.isprintable():
        return problem
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in problem)
