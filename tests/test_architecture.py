"""Which module imports which, that options are documented, and that what is public says what it is.

Read from the sources, not by importing: an import inside a function counts as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import cellucid_dask
from cellucid_dask.cli import cli

PACKAGE = Path(cellucid_dask.__file__).parent
DOCS = sorted((PACKAGE.parent / "docs").glob("*.md"))
MODULES = {
    path.relative_to(PACKAGE)
    .with_suffix("")
    .as_posix()
    .replace("/", ".")
    .removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
BASE = {"format", "errors", "options", "versions"}
WORDS = {"arguments.boundary"}  # how messages speak, which decides no byte
STAGES = {"embeddings", "obs", "transpose", "genes", "edges"}
ORDER = (
    "exporter.run",
    "exporter.job",
    "exporter.fit",
    "exporter.stage",
)  # what ties stages and engine
TIES = {name for name in MODULES if name.startswith(ORDER)}


def _imports(path: Path, *, inside: bool = True) -> Iterator[tuple[str, str]]:
    """(module, name) of ours that a file imports, the module without the name of the package.

    With `inside`, also what is imported within functions and for the type checker only.
    """
    parsed = ast.parse(path.read_text())
    for node in ast.walk(parsed) if inside else parsed.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "cellucid_dask":
                    yield alias.name.removeprefix("cellucid_dask").lstrip("."), ""
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: imports are absolute"
            head, _, module = (node.module or "").partition(".")
            if head == "cellucid_dask":
                for alias in node.names:
                    inner = f"{module}.{alias.name}".lstrip(".")
                    yield (inner, "") if inner in MODULES else (module, alias.name)


def _used(name: str) -> set[str]:
    return {module for module, _ in _imports(MODULES[name])}


def _within(room: str) -> list[str]:
    return [name for name in MODULES if name == room or name.startswith(room + ".")]


def test_the_test_sees_imports() -> None:
    assert len(MODULES) > 20
    assert "format" in _used("exporter.check")
    assert "api" in _used("cli"), "imports inside functions are seen"


@pytest.mark.parametrize("name", ["format", "errors", "versions"])
def test_the_foundation_imports_nothing_of_ours(name: str) -> None:
    assert _used(name) == set()


def test_options_imports_the_foundation_only() -> None:
    assert _used("options") <= {"format", "errors", "arguments.names", "arguments.types"}


@pytest.mark.parametrize("name", _within("source"))
def test_source_imports_the_base_and_itself(name: str) -> None:
    assert _used(name) <= BASE | set(_within("source"))


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("verify")])
def test_verify_shares_nothing_with_what_it_checks(name: str) -> None:
    """A bug in an encoder must not hide itself."""
    ours = {n for n in MODULES if n.startswith("verify")}
    assert _used(name) <= {"format", "errors", "versions"} | WORDS | ours


@pytest.mark.parametrize("name", _within("previewer"))
def test_a_preview_trusts_the_independent_decoder_only(name: str) -> None:
    """What it shows is what is in the files, whatever wrote them; of export it has the renaming."""
    ours = {*_within("previewer"), *_within("verify")}
    assert _used(name) <= BASE | WORDS | ours | {"exporter.files"}


@pytest.mark.parametrize("name", [n for n in _within("exporter") if n not in TIES])
def test_a_stage_does_not_run_things(name: str) -> None:
    """Stages are plain functions of paths; only what ties them knows of engines and of the rest."""
    above = {"cli", "api", "prepare", "demo", "datasets", "engine", "progress", *TIES}
    assert not _used(name) & above


@pytest.mark.parametrize(
    "name", [f"exporter.{s}" for s in sorted(STAGES) if f"exporter.{s}" in MODULES]
)
def test_a_stage_does_not_steer_another(name: str) -> None:
    """A stage may use what another defines, not its tasks: no stage calls the work of another."""
    tasks = {
        (module, function)
        for tie in TIES & MODULES.keys()
        for module, function in _imports(MODULES[tie])
        if module.removeprefix("exporter.") in STAGES and function[:1].islower()
    }
    assert tasks, "what ties the stages imports none of their tasks: this shows nothing"
    assert not [found for found in _imports(MODULES[name]) if found in tasks]


@pytest.mark.parametrize("name", MODULES)
def test_no_module_takes_private_names_of_another(name: str) -> None:
    private = [
        f"{module}.{imported}"
        for module, imported in _imports(MODULES[name])
        if imported.startswith("_") and not imported.startswith("__")
    ]
    assert private == []


def test_imports_have_no_cycle() -> None:
    """Modules can be read one after the other, from the foundation up."""
    left = {
        name: {module for module, _ in _imports(path, inside=False)} & MODULES.keys() - {name}
        for name, path in MODULES.items()
    }
    while left:
        ready = [name for name, used in left.items() if not used & left.keys()]
        assert ready, f"a cycle among {sorted(left)}"
        for name in ready:
            del left[name]


# ------------------------------------------------------------------------- what users read


@pytest.mark.skipif(not DOCS, reason="there are no docs yet")
@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_option_is_in_the_docs(name: str) -> None:
    text = "\n".join(path.read_text() for path in DOCS)
    spellings = [
        spelling
        for parameter in cli.commands[name].params
        if isinstance(parameter, click.Option)
        for spelling in parameter.opts
    ]
    missing = [s for s in spellings if not re.search(rf"(?<![\w-]){s}(?![\w-])", text)]
    assert missing == []
    assert f"cellucid-dask {name}" in text


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_and_option_has_help(name: str) -> None:
    command = cli.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_has_a_docstring(name: str) -> None:
    module = ast.parse(MODULES[name].read_text())
    assert ast.get_docstring(module), "the module itself"
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    assert ast.get_docstring(inner), f"{node.name}.{inner.name}"


def test_public_names_are_there_and_documented() -> None:
    for name in cellucid_dask.__all__:
        if name != "__version__":
            assert getattr(cellucid_dask, name).__doc__, name
