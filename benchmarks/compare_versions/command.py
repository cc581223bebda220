"""The command ``compare-versions``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from benchmarks.compare_versions.cases import Case, find_cases, make_cases, run_scripts
from benchmarks.compare_versions.comparing import Comparison, compare_case
from benchmarks.compare_versions.trees import (
    compile_library,
    find_tree,
    running_versions,
    uses_native_library,
)

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command("compare-versions")
@click.option("--before", required=True, metavar="REF", help="Git ref, or folder with a tree.")
@click.option("--after", default=".", show_default=True, metavar="REF", help="The same, changed.")
@click.option("--inputs", type=FOLDER, multiple=True, help="Compare the files of this folder too.")
@click.option(
    "--scripts",
    type=FOLDER,
    multiple=True,
    help="Run the scripts of this folder, each with an output folder, and compare what they make.",
)
@click.option("--workers", type=int, multiple=True, default=(1, 2), show_default=True)
@click.option("--only", default="", metavar="TEXT", help="Only cases whose name holds this text.")
@click.option("--jobs", default=2, show_default=True, help="Cases that run at the same time.")
@click.option(
    "--genes",
    type=click.Choice(["auto", "bytes", "decoded"]),
    default="auto",
    show_default=True,
    help="How genes are compared; auto decodes them when only one version has a native library.",
)
@click.option("--python-before", default=sys.executable, help="Interpreter. [default: this one]")
@click.option("--python-after", default=sys.executable, help="Interpreter. [default: this one]")
@click.option("--work", type=FOLDER, help="Folder for temporary files. [default: that of Python]")
def command(
    before: str,
    after: str,
    inputs: tuple[Path, ...],
    scripts: tuple[Path, ...],
    workers: tuple[int, ...],
    only: str,
    jobs: int,
    genes: str,
    python_before: str,
    python_after: str,
    work: Path | None,
) -> None:
    """Export many inputs with two versions of the package and compare every file.

    Exit codes must be equal as well. Messages that differ are printed and do not count. The command
    ends with exit code 1 on any difference.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=work, prefix="compare-versions-") as name:
        folder = Path(name).resolve()
        trees = (
            ("before", find_tree(before, folder / "tree-before"), python_before),
            ("after", find_tree(after, folder / "tree-after"), python_after),
        )
        native = []
        for name, root, python in trees:
            click.echo(f"{name}: {compile_library(root, python)}")
            native.append(uses_native_library(root, python))
        decoded = genes == "decoded" or (genes == "auto" and native[0] != native[1])
        click.echo(f"genes are compared {'decoded' if decoded else 'byte for byte'}")
        cases = [case for case in _collect_cases(folder, inputs, scripts) if only in case.name]
        with running_versions(trees, jobs) as versions, ThreadPoolExecutor(jobs) as pool:
            for version in versions:
                click.echo(f"{version.name} is imported from {version.package}")
            results = pool.map(
                lambda item: compare_case(
                    item[1], versions, workers, folder / f"case{item[0]}", decoded=decoded
                ),
                enumerate(cases),
            )
            comparisons = [_report(comparison) for comparison in results]
    _summarize(cases, comparisons, time.monotonic() - start)
    sys.exit(any(comparison.differences for comparison in comparisons))


def _collect_cases(
    folder: Path, inputs: tuple[Path, ...], scripts: tuple[Path, ...]
) -> Iterator[Case]:
    made = folder / "inputs"
    made.mkdir()
    yield from make_cases(made)
    for i, path in enumerate(scripts):
        target = folder / f"scripts{i}"
        target.mkdir()
        run_scripts(path, target)
        yield from find_cases(target)
    for path in inputs:
        yield from find_cases(path)


def _report(comparison: Comparison) -> Comparison:
    """Print the row of a case, and what differs below it."""
    state = "DIFFERS" if comparison.differences else "equal"
    click.echo(
        f"{state:8} exit {comparison.code}  {comparison.files:5,} files  {comparison.name}"
        + ("  (message differs)" if comparison.messages else "")
    )
    for line in (*comparison.differences, *comparison.messages):
        click.echo("    " + line.rstrip().replace("\n", "\n    "))
    return comparison


def _summarize(cases: list[Case], comparisons: list[Comparison], seconds: float) -> None:
    codes = Counter(comparison.code for comparison in comparisons)
    rows = {
        "inputs": len({case.path for case in cases}),
        "cases": len(cases),
        "pairs of exports": sum(comparison.exports for comparison in comparisons),
        "pairs of files": sum(comparison.files for comparison in comparisons),
        "differences": sum(len(comparison.differences) for comparison in comparisons),
        "messages that differ": sum(len(comparison.messages) for comparison in comparisons),
        **{f"cases with exit code {code}": count for code, count in sorted(codes.items())},
        "seconds": round(seconds),
    }
    click.echo("\n| | |\n|---|---:|")
    for name, value in rows.items():
        click.echo(f"| {name} | {value:,} |")
