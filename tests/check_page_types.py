"""Check the types of the page's JavaScript with `tsc --checkJs`: its modules, and their JSDoc.

    python tests/check_page_types.py

prints what is wrong. It installs the compiler with npm, once for this checkout.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from javascript import install

ROOT = Path(__file__).parents[1]
PROJECT = Path(__file__).parent / "page_types"
PAGE = ROOT / "cellucid_dask" / "server" / "page"
ERROR = re.compile(r"(?P<path>\S+)\((?P<line>\d+),\d+\): error (?P<code>TS\d+): (?P<text>.*)")


def run_compiler(packages: Path, project: Path = PROJECT) -> list[re.Match[str]]:
    """Errors that the compiler finds in a folder with a ``tsconfig.json``."""
    command = ["node", packages / "typescript" / "bin" / "tsc", "--project", project]
    done = subprocess.run(
        [*command, "--pretty", "false"], capture_output=True, text=True, check=False, cwd=project
    )
    errors = [*ERROR.finditer(done.stdout)]
    assert done.returncode == 0 or errors, done.stdout + done.stderr
    return errors


def describe_error(error: re.Match[str]) -> str:
    """One line on an error of the compiler, with the path of the module below the page."""
    path = (PROJECT / error["path"]).resolve()
    name = path.relative_to(PAGE).as_posix() if path.is_relative_to(PAGE) else path.name
    return f"{name}:{error['line']}: {error['code']} {error['text']}"


def main() -> int:
    """Print problems; the exit status."""
    folder = ROOT / ".pytest_cache" / "d" / "ready-oracle"  # where the suite keeps the packages
    folder.mkdir(parents=True, exist_ok=True)
    try:
        packages = install(folder)
    except pytest.skip.Exception as reason:
        print(f"the types of the page cannot be checked: {reason}", file=sys.stderr)
        return 2
    problems = [describe_error(error) for error in run_compiler(packages)]
    print("\n".join(problems) or "the types of the page are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
