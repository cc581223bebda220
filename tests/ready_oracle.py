"""`cellucid` 0.9.5, which writes ready files, in an environment of its own.

It excludes the release that writes export folders, so it cannot be installed beside it. The
environment is made once: in pytest's cache, or, without one, for this run. Tests that need it are
skipped where it cannot be made, as without internet.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

VERSION = "0.9.5"
GIVEN = "CELLUCID_0_9_5_PYTHON"  # names the Python of an environment that is there already
PROGRAM = Path(__file__).parent / "ready_parity" / "oracle_program.py"
MAKE = """
set -e
"$1" -m venv --clear "$2"
"$2/bin/python" -m pip install --quiet --disable-pip-version-check "cellucid==$3"
"$2/bin/python" -c 'import anndata, cellucid'
touch "$2/made"
"""


class OracleRefusedError(Exception):
    """The oracle refuses the data or an option."""


class ReadyOracle:
    """A process that answers jobs; it is started by the first of them."""

    def __init__(self, python: Path) -> None:
        self.python = python
        self._process: subprocess.Popen[str] | None = None

    def prepare(
        self, data: Path, files: Sequence[tuple[Path, str, int | None]], **options: Any
    ) -> None:
        """Write ready files of `data`: path, format and version of zarr of each.

        Raises
        ------
        OracleRefusedError
            With what the oracle says.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [self.python, PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        named = [(str(path), kind, version) for path, kind, version in files]
        print(
            json.dumps({"data": str(data), "files": named, "options": options}),
            file=stdin,
            flush=True,
        )
        answer = json.loads(stdout.readline())
        if "error" in answer:
            raise OracleRefusedError(answer["error"])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()


def _shared_folder(factory: pytest.TempPathFactory, config: pytest.Config) -> Path:
    """A folder of all processes of this run, and of later runs where pytest keeps a cache."""
    if getattr(config, "cache", None) is not None:
        return config.cache.mkdir("ready-oracle")
    base = factory.getbasetemp()
    return base.parent if hasattr(config, "workerinput") else base


def make_once(folder: Path, name: str, script: str, *arguments: object) -> Path:
    """Run a script of the shell that makes `folder/name`, unless a process did that already.

    The script gets the arguments, and ends with a file ``made`` in the folder. Skips the test
    where it fails, and does not try again in this folder.
    """
    made = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        failure = folder / f"{name}.failed.{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
        if not (made / "made").exists() and not failure.exists():
            command = ["sh", "-c", script, "sh", *map(str, arguments)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                failure.write_text((done.stderr or done.stdout).strip()[-300:])
        if not (made / "made").exists():
            pytest.skip(f"{name} cannot be made: {failure.read_text().splitlines()[-1:]}")
    return made


def _find_python(factory: pytest.TempPathFactory, config: pytest.Config) -> Path:
    if given := os.environ.get(GIVEN):
        return Path(given)
    folder, name = _shared_folder(factory, config), f"cellucid-{VERSION}"
    made = make_once(folder, name, MAKE, sys.executable, folder / name, VERSION)
    return made / "bin" / "python"


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder of all processes of this run, for what takes long to make."""
    return _shared_folder(tmp_path_factory, pytestconfig)


@pytest.fixture(scope="session")
def ready_oracle(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[ReadyOracle]:
    """The oracle of ready files; skips where it cannot be had."""
    oracle = ReadyOracle(_find_python(tmp_path_factory, pytestconfig))
    yield oracle
    oracle.close()
