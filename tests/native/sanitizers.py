"""Compile the library with ASan and UBSan, and run the tests of this folder on it.

    python tests/native/sanitizers.py --hypothesis-profile many

Arguments are those of pytest. As a plugin of pytest, which it also is, it has the package use the
library of `LIBRARY`, and brings the profiles ``few`` and ``many`` of hypothesis.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from cellucid_dask.native import build, library

FLAGS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
LIBRARY = "CELLUCID_SANITIZED_LIBRARY"
FOLDER = Path(__file__).parent
NAMES = ("strips", "entries", "encoder", "encoder_bounds", "add_rows", "deflate")
FILES = [str(FOLDER / f"test_{name}.py") for name in NAMES]
PROFILES = {"few": 20, "many": 5000}


def find_sanitizer() -> Path | None:
    """The runtime of ASan that belongs to ``cc``; None where there is none."""
    command = ["cc", "-print-file-name=libasan.so"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    path = Path(done.stdout.strip())
    return path.resolve() if path.is_absolute() and path.exists() else None


def compile_sanitized(folder: Path) -> dict[str, str]:
    """Compile in a copy of the sources below `folder`, as the package wants it.

    Returns
    -------
    The environment of a process that uses it, or the package with this plugin.
    """
    copied = folder / "native"
    shutil.copytree(build.FOLDER, copied, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    command = [sys.executable, str(copied / "build.py"), *FLAGS]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "CC": "cc"})
    return {
        **os.environ,
        LIBRARY: str(copied / build.LIBRARY),
        "LD_PRELOAD": str(find_sanitizer()),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that small arrays have guards too
    }


@pytest.hookimpl(tryfirst=True)  # before the plugin of hypothesis asks for a profile
def pytest_configure() -> None:
    """As a plugin, before tests are imported."""
    library.PATH = Path(os.environ[LIBRARY])
    assert library.load() is not None, library.describe()
    for name, n in PROFILES.items():
        settings.register_profile(name, max_examples=n, deadline=None)


def run_tests(arguments: Sequence[str]) -> int:
    """Run tests on the library; by default those of `FILES`."""
    if not any(Path(argument).exists() for argument in arguments):
        arguments = [*arguments, *FILES]
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "sanitizers"]  # -s: findings are seen
    with tempfile.TemporaryDirectory() as folder:
        environment = compile_sanitized(Path(folder))
        paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        command = [sys.executable, "-m", "pytest", *options, *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1:]))
