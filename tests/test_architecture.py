"""The layers of the package, documented options, and docstrings of what is public.

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
from cellucid_dask.commands.cli import cli

PACKAGE = Path(cellucid_dask.__file__).parent
DOCS = sorted((PACKAGE.parent / "docs").rglob("*.md"))
MODULES = {
    path.relative_to(PACKAGE)
    .with_suffix("")
    .as_posix()
    .replace("/", ".")
    .removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# The layers, lowest first: each room, and the rooms that it may import besides itself. A room is a
# package or a module; what lies in a room that is named by itself belongs to that one alone.
# CONTRIBUTING.md says in one line what each of them is for.
LAYERS: dict[str, str] = {
    "format": "",
    "errors": "",
    "versions": "",
    "hdf5_filters": "errors",
    "display": "",
    "native": "",
    "encode": "format native",
    "files": "encode format",
    "block_writer": "",
    "ready": "errors files native",
    "options": "errors format ready",
    "arguments": "errors options",
    "synthetic": "errors",
    "source.zarr_chunks": "",
    "source.storage": "errors hdf5_filters native source.zarr_chunks versions",
    "source.arrays": "errors source.storage",
    "source.rows": "errors source.arrays source.storage",
    "source.model": "errors source.arrays source.rows",
    "source.inputs": "errors hdf5_filters source.arrays source.model source.rows "
    "source.storage versions",
    "source.chunks": "errors source.arrays source.inputs source.rows source.storage "
    "source.zarr_chunks",
    "source": "errors format source.inputs source.model source.rows source.storage",
    "compute": "arguments display errors files format hdf5_filters native options",
    "verify": "arguments display errors format hdf5_filters versions",
    "previewer": "arguments errors files format options verify",
    "datasets": "arguments errors files format",
    "exporter.checks": "encode errors format options ready source source.arrays source.chunks "
    "source.model source.rows source.storage",
    "exporter.receipts": "files",
    "exporter.ready_receipts": "",
    "exporter.planning": "errors exporter.checks format native options ready source.arrays "
    "source.storage",
    "exporter.recovery": "arguments encode errors exporter.checks exporter.ready_receipts "
    "exporter.receipts files format options ready source.arrays source.model source.storage",
    "exporter.result": "display",
    "exporter.job": "compute exporter.checks exporter.planning exporter.receipts exporter.recovery "
    "files options "
    "source.arrays "
    "source.model",
    "exporter.stages": "block_writer compute encode errors exporter.checks exporter.job "
    "exporter.planning exporter.ready_receipts exporter.receipts exporter.recovery exporter.result "
    "files format native options previewer ready source.arrays source.model source.storage verify",
    "exporter": "arguments compute encode errors exporter.checks exporter.job exporter.planning "
    "exporter.ready_receipts exporter.receipts exporter.recovery exporter.result exporter.stages "
    "files format native options ready source.model source.storage",
    "api": "arguments compute display errors exporter exporter.checks exporter.result options "
    "source",
    "prepare_arrays": "arguments compute errors exporter exporter.result options source.inputs "
    "source.model",
    "server.cache_folder": "format source.storage",
    "server.precedence": "",
    "server.http": "errors options",
    "server.hosted": "errors format options server.cache_folder server.http",
    "server.gene_index": "compute encode errors exporter.checks exporter.planning "
    "exporter.receipts exporter.recovery exporter.stages files native server.cache_folder "
    "server.precedence source.arrays source.storage source.zarr_chunks",
    "server.datasets": "compute datasets encode errors exporter exporter.checks "
    "exporter.planning exporter.receipts exporter.stages files format options server.cache_folder "
    "server.gene_index server.http server.precedence source source.arrays source.chunks "
    "source.inputs source.model source.rows source.storage",
    "server.ready": "compute errors exporter exporter.checks exporter.planning "
    "exporter.receipts exporter.stages format native options ready server.cache_folder "
    "server.datasets server.gene_index server.http source source.arrays source.chunks "
    "source.inputs source.model source.rows source.storage",
    "server": "arguments compute datasets display errors exporter.planning options "
    "server.cache_folder server.datasets server.gene_index server.hosted server.http server.ready "
    "source source.arrays source.chunks source.model",
    "notebook": "arguments display errors options server server.datasets server.http",
    "anndata_server": "options server",
    "jupyter": "arguments display notebook options server",
    "": "api datasets errors exporter.recovery exporter.result notebook prepare_arrays previewer "
    "server",
    "commands": "api arguments compute datasets errors exporter.recovery exporter.result format "
    "native options package previewer server server.hosted synthetic verify",
    "__main__": "commands",
}
# The independent decoder may know how messages name arguments and how a notebook shows its report,
# which decides no byte.
WORDING = {"arguments.boundary", "display.results"}
STAGES = {
    "stages.embeddings",
    "stages.obs.columns",
    "stages.obs.means",
    "stages.obs.distances",
    "stages.obs.ranks",
    "stages.genes.transpose",
    "stages.genes.blocks",
    "stages.edges",
}
DRIVERS = {name for name in MODULES if name.startswith("exporter.stages.")} - {
    f"exporter.{stage}" for stage in STAGES
}


def _named(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        yield prefix + name, command
        if isinstance(command, click.Group):
            yield from _named(command, f"{prefix}{name} ")


COMMANDS = dict(_named(cli))


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


def _room(module: str) -> str:
    """Name of the room that a module lies in: the longest that is in the table."""
    while module not in LAYERS:
        module = module.rpartition(".")[0]
    return module


def _allowed(room: str) -> set[str]:
    """Rooms that the table allows a room to import; the package itself is named "package"."""
    return {"" if name == "package" else name for name in LAYERS[room].split()}


def _used_rooms(room: str) -> set[str]:
    """Rooms that the modules of a room import, other than itself."""
    modules = [name for name in MODULES if _room(name) == room]
    return {_room(used) for name in modules for used in _used(name)} - {room}


def test_the_test_sees_imports() -> None:
    assert len(MODULES) > 20
    assert "format" in _used("exporter.checks.survey")
    assert "api" in _used("commands.export_commands"), "imports inside functions are seen"


@pytest.mark.parametrize("room", LAYERS)
def test_a_room_imports_what_the_table_allows(room: str) -> None:
    allowed = _allowed(room)
    assert _used_rooms(room) <= allowed
    assert not allowed - _used_rooms(room), "the table allows what no module needs"


@pytest.mark.parametrize("room", LAYERS)
def test_imports_point_down(room: str) -> None:
    order = list(LAYERS)
    assert [low for low in _allowed(room) if order.index(low) >= order.index(room)] == []


def test_every_room_has_modules_and_a_line_in_the_map() -> None:
    """CONTRIBUTING.md names the rooms of the table, in its order."""
    assert [room for room in LAYERS if not any(_room(name) == room for name in MODULES)] == []
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"^\| `(?:cellucid_dask/)?([\w/]+?)(?:\.py|/)?` \|", text, re.MULTILINE)
    assert [name.replace("/", ".") for name in named] == [room for room in LAYERS if room]


def test_the_places_of_common_changes_exist() -> None:
    """What CONTRIBUTING.md names under "Where do I add" is there."""
    root = PACKAGE.parent
    text = (root / "CONTRIBUTING.md").read_text("utf-8")
    table = text.partition("## Where do I add")[2].partition("## ")[0]
    named = re.findall(r"`([\w./]+(?:/|\.(?:py|js|html|md)))`", table)
    assert len(named) > 10
    assert [p for p in named if not (root / p).exists() and not (PACKAGE / p).exists()] == []


@pytest.mark.parametrize("name", [name for name in MODULES if _room(name) == "verify"])
def test_verify_shares_nothing_with_what_it_checks(name: str) -> None:
    """A bug in an encoder must not hide itself."""
    ours = {name for name in MODULES if _room(name) == "verify"}
    assert _used(name) <= {"format", "errors", "hdf5_filters", "versions"} | WORDING | ours


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_does_not_steer_another(stage: str) -> None:
    """A stage may use what another defines, not its tasks: no stage calls the work of another."""
    tasks = {
        (module, function)
        for driver in DRIVERS | {"exporter.run"}
        for module, function in _imports(MODULES[driver])
        if module.removeprefix("exporter.") in STAGES and function[:1].islower()
    }
    assert tasks, "what drives the stages imports none of their tasks: this shows nothing"
    assert not [found for found in _imports(MODULES[f"exporter.{stage}"]) if found in tasks]


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
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_in_the_docs(name: str) -> None:
    text = "\n".join(path.read_text() for path in DOCS)
    spellings = [
        spelling
        for parameter in COMMANDS[name].params
        if isinstance(parameter, click.Option)
        for spelling in parameter.opts
    ]
    missing = [s for s in spellings if not re.search(rf"(?<![\w-]){s}(?![\w-])", text)]
    assert missing == []
    assert f"cellucid-dask {name}" in text


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_has_help(name: str) -> None:
    command = COMMANDS[name]
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
