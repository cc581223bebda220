"""Results of commands as lines of text."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cellucid_dask.exporter.result import ExportResult
    from cellucid_dask.verify import VerifyReport


def print_lines(lines: Iterable[str]) -> None:
    """Print lines until the output closes, as `head` does, or the disk of a log is full.

    The work is done by then: an error here must not become exit code 1.
    """
    try:
        for line in lines:
            click.echo(line)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def format_result(result: ExportResult) -> Iterator[str]:
    """Lines that tell the plan of a dry run, or what a run did."""
    outputs = ", ".join(result.outputs.values())
    if not result.written:
        yield from _format_plan(result)
    for line in result.warnings:
        yield f"warning: {line}"
    if result.gene_path == "numpy":
        yield f"note: genes go through numpy, which is slower: {result.gene_path_reason}"
    if not result.written:
        yield f"dry run: nothing was written to {outputs}"
        return
    yield from _format_written(result, outputs)


def _format_plan(result: ExportResult) -> Iterator[str]:
    for name, value in result.plan.items():
        yield f"{name:>18}  {value}"
    if result.resumed:
        yield f"{'done already':>18}  {result.resumed}"
    yield "inputs"
    for line in result.discovered:
        yield f"  {line}"


def _format_written(result: ExportResult, outputs: str) -> Iterator[str]:
    from rich.filesize import decimal

    head = "latent "
    yield from (
        f"latent space: {line.removeprefix(head).strip()}"
        for line in result.discovered
        if line.startswith(head)
    )
    edges = "no graph" if result.n_edges is None else f"{result.n_edges:,} edges"
    files = "1 file" if result.files == 1 else f"{result.files:,} files"
    yield (
        f"wrote {outputs}: {result.n_cells:,} cells, {result.n_genes:,} genes, "
        f"{result.n_obs_fields} obs columns, {edges}; {files}, {decimal(result.bytes)}"
    )
    if result.verified is not None:
        yield "verified: every file was read and is correct"
    if result.preview is not None:
        yield f"preview: {_short(Path(result.preview))}"
    slow = ", ".join(
        f"{name} {spent:.1f}" for name, spent in result.seconds.items() if spent >= 0.05
    )
    yield f"seconds: {slow or 'none of note'}; {result.total_seconds:.1f} in all"
    yield from _format_peaks(result)
    yield f"next: cellucid-dask serve {_short(Path(result.out))}"


def _format_peaks(result: ExportResult) -> Iterator[str]:
    """Peak of this process, and of the workers elsewhere; the last line says what to ask for."""
    from rich.filesize import decimal

    lines = [f"peak memory of {result.peak_memory_of}: {decimal(result.peak_memory_bytes)}"]
    if peaks := result.worker_peaks.values():
        workers = "the worker" if len(peaks) == 1 else f"each of {len(peaks)} workers"
        least = f"{decimal(min(peaks))} to " if len(peaks) > 1 else ""
        lines.append(f"peak memory of {workers}: {least}{decimal(max(peaks))}")
    if result.memory_advice:
        lines[-1] += f"; next time {result.memory_advice} is enough"
    yield from lines


def _short(path: Path) -> str:
    try:
        near = os.path.relpath(path)
    except OSError:  # the current folder was deleted
        return shlex.quote(str(path))
    return shlex.quote(str(path) if near.startswith("../..") else near)


def format_verification(export: str, against: str | None, report: VerifyReport) -> str:
    """One sentence that sums up a verification."""
    from rich.filesize import decimal

    if not report.ok:
        count = len(report.problems)
        # A file that differs from the data can be as it was written.
        verdict = "is damaged" if against is None else f"is damaged, or differs from {against}"
        return f"{export} {verdict}: {count:,} problem{'s' if count > 1 else ''}"
    files = f"{report.files:,} file{'s' if report.files != 1 else ''}"
    text = f"{export} is intact: {files}, {decimal(report.bytes)}"
    if against is None:
        return text
    text = f"{text}; {report.genes_compared:,} genes compared with {against}"
    if report.format != "folder":  # values of ready files are equal, or a problem
        return text
    return f"{text}, largest error {report.largest_error:.2f} quantization steps"
