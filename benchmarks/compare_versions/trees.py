"""The two versions of the package: trees of the source, and processes that run their commands."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import click

GENE_PATH = "from cellucid_dask.native.library import load; print(load() is not None)"
RUNNER = Path(__file__).with_name("runner.py")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: its exit code and what it printed."""

    code: int
    text: str


class Version:
    """One version of the package, which runs as many commands at a time as it has runners.

    Parameters
    ----------
    name
        ``before`` or ``after``.
    root
        The folder that holds the folder ``cellucid_dask``.
    python
        The interpreter that runs it, with the libraries it needs.
    runners
        Commands that run at the same time.
    """

    def __init__(self, name: str, root: Path, python: str, runners: int) -> None:
        self.name = name
        self.root = root
        self.package = Path()
        self._processes = [_start_runner(root, python) for _ in range(runners)]
        self._idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()

    def wait_until_ready(self) -> None:
        """Wait for the runners and check that they use the package of this tree.

        Raises
        ------
        click.ClickException
            The package comes from elsewhere, so that a comparison would show nothing.
        """
        for process in self._processes:
            assert process.stdout is not None
            self.package = Path(process.stdout.readline().strip())
            if not self.package.is_relative_to(self.root):
                raise click.ClickException(
                    f"{self.name}: the package is imported from {self.package}, not {self.root}"
                )
            self._idle.put(process)

    def run(self, arguments: Sequence[str], folder: Path, output: Path) -> Outcome:
        """Run ``cellucid-dask`` with `arguments` in `folder`, and keep its output in a file."""
        request = {"arguments": list(arguments), "folder": str(folder), "output": str(output)}
        process = self._idle.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            code = int(process.stdout.readline())
        finally:
            self._idle.put(process)
        return Outcome(code, output.read_text(encoding="utf-8", errors="replace"))

    def close(self) -> None:
        """End the runners."""
        for process in self._processes:
            process.communicate()


def _start_runner(root: Path, python: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, str(RUNNER)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def running_versions(
    trees: Sequence[tuple[str, Path, str]], runners: int
) -> Iterator[tuple[Version, ...]]:
    """Start the versions ``(name, root, python)``, and end them."""
    versions = tuple(Version(*tree, runners) for tree in trees)
    try:
        for version in versions:
            version.wait_until_ready()
        yield versions
    finally:
        for version in versions:
            version.close()


def compile_library(root: Path, python: str) -> str:
    """Compile the native library of a tree that has one; return the line that the build prints."""
    script = root / "cellucid_dask" / "native" / "build.py"
    if not script.is_file():
        return "has no native library"
    done = subprocess.run([python, str(script)], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().rpartition("\n")[2]


def uses_native_library(root: Path, python: str) -> bool:
    """Whether exports of a tree encode genes by its native library; numpy does where it fails."""
    done = subprocess.run(
        [python, "-c", GENE_PATH],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() == "True"


def find_tree(given: str, target: Path) -> Path:
    """Find the tree of a version: a folder, or a git ref of the current repository.

    The tree of a ref is unpacked into the new folder `target`.
    """
    folder = Path(given)
    if (folder / "cellucid_dask").is_dir():
        return folder.resolve()
    if folder.is_dir():
        raise click.ClickException(f"{given}: it has no folder cellucid_dask")
    archive = subprocess.run(
        ["git", "archive", "--format=tar", given, "cellucid_dask"],
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        reason = archive.stderr.decode(errors="replace").strip()
        raise click.ClickException(f"{given} is neither a folder nor a git ref here: {reason}")
    target.mkdir()
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(target, filter="data")
    return target.resolve()
