"""Packages of JavaScript that read AnnData in web pages, installed once with npm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ready_oracle import make_once

PACKAGES = ("zarrita@0.7.5", "@zarrita/storage@0.2.0", "h5wasm@0.10.3", "esbuild@0.25.0")
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
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"there is no {command}")
    name = "javascript"
    return make_once(shared_folder, name, INSTALL, shared_folder / name, *PACKAGES) / "node_modules"


def beside_packages(folder: Path, packages: Path, program: Path, *modules: Path) -> Path:
    """Copy a program and modules of it into a folder where they find the packages; its path."""
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(packages)
    for module in modules:
        shutil.copy(module, folder)
    return Path(shutil.copy(program, folder))
