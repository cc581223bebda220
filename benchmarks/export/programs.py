"""The programs that the benchmark ``export`` runs on a file, each in a new process."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import click

from benchmarks.compare_versions.trees import compile_library, find_tree
from benchmarks.export.cases import Case
from benchmarks.export.table import Result
from benchmarks.shared.processes import CommandError, count_bytes, run_command

SCRIPTS = Path(__file__).parent
GENE_STAGES = ("transpose", "genes")


class Program(Protocol):
    """A program under its name in the table."""

    name: str

    def run(self, data: Path, case: Case, out: Path, timeout: float) -> Result:
        """Run once; all that is written is `out`, or beside it under the same name."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference exporter, on some of the genes or columns if so many are given."""

    genes: int | None = None
    columns: int | None = None
    name: str = "cellucid 0.0.9"

    def run(self, data: Path, case: Case, out: Path, timeout: float) -> Result:
        """Run once, and add the extrapolated rest of a sample to the figures."""
        report_path = out.with_suffix(".json")
        script = str(SCRIPTS / "reference.py")
        command = [sys.executable, script, str(data), str(out), "--report", str(report_path)]
        columns = self.columns or case.sampled_columns
        if not case.spec.genes:
            command += ["--no-genes", *(["--columns", str(columns)] if columns else [])]
        elif self.genes:
            command += ["--genes", str(self.genes)]
        measured = run_command(command, out.with_suffix(".log"), timeout=timeout)
        _check_export(self.name, out)
        report = json.loads(report_path.read_text())
        seconds, rest = report["seconds"], report["rest"]
        rest_seconds = sum(part["seconds"] for part in rest)
        rest_bytes = sum(part["bytes"] for part in rest)
        # The run without columns is a second one, which is no part of the job.
        without_columns = seconds.get("prepare_without_columns")
        return Result(
            seconds=measured.seconds - (without_columns or 0) + rest_seconds,
            # The CPU time of that run was not measured apart.
            cpu=None if without_columns else measured.cpu_seconds + rest_seconds,
            work=seconds["prepare"] + rest_seconds,
            obs=None
            if without_columns is None
            else seconds["prepare"] - without_columns + rest_seconds,
            peak=measured.peak_bytes,
            size=count_bytes(out) + rest_bytes,
            gene_size=count_bytes(out / "var") + rest_bytes if case.spec.genes else None,
            sample="; ".join(part["sample"] for part in rest),
        )


@dataclass(frozen=True, slots=True)
class ReadyReference:
    """The reference of ready files, on a backed file.

    Parameters
    ----------
    python
        Python of the environment that has it.
    """

    python: Path
    name: str = "cellucid 0.9.5"

    def run(self, data: Path, case: Case, out: Path, timeout: float) -> Result:
        """Run once."""
        report_path, target = out.with_suffix(".json"), name_output(out, case.format)
        script = str(SCRIPTS / "ready_reference.py")
        command = [str(self.python), script, str(data), str(target)]
        command += ["--format", case.format, "--report", str(report_path)]
        measured = run_command(command, out.with_suffix(".log"), timeout=timeout)
        return Result(
            seconds=measured.seconds,
            cpu=measured.cpu_seconds,
            work=json.loads(report_path.read_text())["prepare"],
            peak=measured.peak_bytes,
            size=count_bytes(target),
        )


@dataclass(frozen=True, slots=True)
class Version:
    """One version of cellucid-dask.

    Parameters
    ----------
    name
        As the table shows it.
    command
        How it is started.
    workers
        Value of ``--workers``; None leaves the default of the version.
    folder
        Where it is started; None is the current folder.
    environment
        Variables to set.
    """

    name: str
    command: tuple[str, ...]
    workers: int | None = None
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, data: Path, case: Case, out: Path, timeout: float) -> Result:
        """Export once."""
        report_path = out.with_suffix(".json")
        target = name_output(out, case.format)
        command = [*self.command, "export", str(data), "-o", str(target)]
        command += ["--format", case.format] if case.format != "folder" else []
        command += ["--report", str(report_path), *case.options]
        command += ["--workers", str(self.workers)] if self.workers else []
        command += ["--memory", case.memory] if case.memory else []
        log = out.with_suffix(".log")
        measured = run_command(
            command, log, timeout=timeout, folder=self.folder, environment=self.environment
        )
        if case.format == "folder":
            _check_export(self.name, out)
        report = json.loads(report_path.read_text())
        stages = report["seconds"]
        return Result(
            seconds=measured.seconds,
            cpu=measured.cpu_seconds,
            # Stages that ran at the same time count once.
            work=min(
                sum(spent for stage, spent in stages.items() if not stage.startswith("start")),
                report["total_seconds"],
            ),
            obs=sum(spent for stage, spent in stages.items() if stage.startswith("obs")),
            gene_stages=sum(stages.get(stage, 0) for stage in GENE_STAGES)
            if case.spec.genes
            else None,
            peak=measured.peak_bytes,
            size=count_bytes(target),
            gene_size=count_bytes(out / "var")
            if case.spec.genes and case.format == "folder"
            else None,
            gene_path=report.get("gene_path", ""),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads the indices and values of X once, with h5py, in one process."""

    name: str = "reading X once"

    def run(self, data: Path, case: Case, out: Path, timeout: float) -> Result:  # noqa: ARG002
        """Read once; the time is that of reading alone."""
        report_path = out.with_suffix(".json")
        command = [sys.executable, str(SCRIPTS / "read_rows.py"), str(data)]
        command += ["--report", str(report_path)]
        measured = run_command(command, out.with_suffix(".log"), timeout=timeout)
        seconds = json.loads(report_path.read_text())["seconds"]
        return Result(seconds=seconds, gene_stages=seconds, peak=measured.peak_bytes)


def find_version_before(given: str, folder: Path, workers: int | None) -> Version:
    """Unpack a version into the new folder `folder`, or take a folder, and compile its library.

    Raises
    ------
    click.ClickException
        There is no such version, or Python imports the package from elsewhere.
    """
    root = find_tree(given, folder)
    click.echo(f"{given}: {compile_library(root, sys.executable)}", err=True)
    environment = {"PYTHONPATH": str(root)}
    # Compiled here, not in the first run. This also shows which package is imported.
    check = (
        "import compileall, cellucid_dask; print(cellucid_dask.__file__); "
        "compileall.compile_dir('cellucid_dask', quiet=2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    found = Path(done.stdout.strip())
    if done.returncode or not found.is_relative_to(root):
        raise click.ClickException(
            f"{given}: the package is imported from {found}, not {root}\n{done.stderr[-2000:]}"
        )
    command = (sys.executable, "-m", "cellucid_dask")
    return Version(given, command, workers, root, environment)


def make_current_version(program: str, workers: int | None) -> Version:
    """The version that is measured: the command line `program`."""
    return Version("cellucid-dask", tuple(shlex.split(program)), workers)


def name_output(out: Path, format_: str) -> Path:
    """Path of the output: of one ready file with its suffix."""
    return out if "," in format_ or format_ == "folder" else out.with_name(f"{out.name}.{format_}")


def _check_export(name: str, out: Path) -> None:
    if not (out / "dataset_identity.json").is_file():
        raise CommandError(f"{name}: exit code 0, but the export {out} is incomplete")
