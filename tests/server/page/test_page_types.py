"""The types of the page's modules, as their JSDoc says them."""

from __future__ import annotations

import json
from pathlib import Path

from check_page_types import PROJECT, describe_error, run_compiler


def test_the_modules_of_the_page_have_the_types_that_they_say(packages: Path) -> None:
    assert [describe_error(error) for error in run_compiler(packages)] == []


def test_the_check_finds_a_wrong_call_and_a_parameter_without_a_type(
    packages: Path, tmp_path: Path
) -> None:
    options = json.loads((PROJECT / "tsconfig.json").read_text())["compilerOptions"]
    config = {"compilerOptions": options, "include": ["*.js"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    module = "/** @param {number} n */\nexport const half = (n) => n / 2;\nhalf('1');\n"
    (tmp_path / "module.js").write_text(module + "export const same = (x) => x;\n")
    found = [(error["line"], error["code"]) for error in run_compiler(packages, tmp_path)]
    assert found == [("3", "TS2345"), ("4", "TS7006")]
