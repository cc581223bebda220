"""zarrita and h5wasm in one process of node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from javascript import beside_packages
from stored_tree import Tree, tree_of_nodes

HERE = Path(__file__).parent
NOTHING = "\0"  # is in no path
READER = HERE / "store_reader.mjs"


@pytest.fixture(scope="session")
def node_client(
    packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Tree]]:
    """Read the store at a URL; skips where there is no node."""
    folder = tmp_path_factory.mktemp("node")
    program = beside_packages(folder, packages, HERE / "node_client.mjs", READER)
    process = subprocess.Popen(
        ["node", "--no-warnings", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def read(url: str) -> Tree:
        print(url, file=process.stdin, flush=True)
        answer = json.loads(process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return tree_of_nodes(answer["nodes"])

    yield read
    process.communicate()


def zarrita_misses(url: str) -> str:
    """What is in the paths that zarrita cannot open; see ``store_reader.mjs``."""
    return NOTHING if url.endswith(".h5ad") else "%"
