"""The docs against the program: options, messages, links and commands are those there are."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import cellucid_dask
from cellucid_dask import CheckResult, ExportResult, check, export, prepare
from cellucid_dask.commands.cli import cli
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.serve import ServeOptions

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cellucid_dask"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "slurm" / "README.md", *DOCS]
TROUBLESHOOTING = ROOT / "docs" / "how-to" / "troubleshooting"
LEAST = 12  # characters of a piece of a message that is looked for
OURS = {"Problem", "NotImplementedError"}  # besides every error class of this package


def _named(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        yield prefix + name, command
        if isinstance(command, click.Group):
            yield from _named(command, f"{prefix}{name} ")


COMMANDS = dict(_named(cli))


def words(text: str) -> str:
    """Text with single spaces, as a message may be wrapped in a page."""
    return " ".join(text.split())


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


# ------------------------------------------------------------------------- options


def options_of(command: click.Command) -> list[str]:
    return [
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    ]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_in_the_docs(name: str) -> None:
    text = page("reference/options.md")
    assert f"cellucid-dask {name}" in text
    written = set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", text))
    missing = [option for option in options_of(COMMANDS[name]) if option not in written]
    assert not missing, f"not in options.md: {missing}"


# ------------------------------------------------------------------------- Python


@pytest.mark.parametrize(
    "cls", [ExportOptions, RunOptions, JobOptions, ServeOptions, ExportResult, CheckResult]
)
def test_every_field_is_in_the_reference(cls: type) -> None:
    text = page("reference/python.md")
    missing = [f.name for f in dataclasses.fields(cls) if f"`{f.name}`" not in text]
    assert not missing, f"fields of {cls.__name__} not in python.md: {missing}"


@pytest.mark.parametrize(
    "function",
    [
        export,
        check,
        prepare,
        cellucid_dask.catalog,
        cellucid_dask.preview,
        cellucid_dask.CellucidServer,
        cellucid_dask.serve,
        cellucid_dask.serve_anndata,
        cellucid_dask.show,
        cellucid_dask.show_anndata,
    ],
)
def test_every_parameter_is_in_the_reference(function: object) -> None:
    text = page("reference/python.md")
    parameters = inspect.signature(function).parameters  # type: ignore[arg-type]
    missing = [name for name in parameters if f"`{name}`" not in text and f"`**{name}" not in text]
    assert not missing, f"not in python.md: {missing}"


# ------------------------------------------------------------------------- messages


class Messages:
    """Constant text of the messages of the package, found in its syntax trees.

    A message is an argument of a problem, an error or ``warnings.append``. Where the argument is
    a name, what is assigned to that name in the same function is part of it, and so is a text
    constant of any module; where it is a call of a function of this package, what that returns.
    """

    def __init__(self) -> None:
        self.trees = {
            path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8"))
            for path in sorted(PACKAGE.rglob("*.py"))
            if not {"synthetic", "synthetic.py", "verify", "verify.py"} & set(path.parts)
        }
        every = [node for tree in self.trees.values() for node in ast.walk(tree)]
        self.classes = OURS | {
            node.name
            for node in every
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
        }
        self.functions = {n.name: n for n in every if isinstance(n, ast.FunctionDef)}
        self.constants: dict[str, str] = {}
        for tree in self.trees.values():
            for node in tree.body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    value = node.value
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        self.constants[node.targets[0].id] = value.value

    def all(self) -> Iterator[tuple[str, str]]:
        """``(where it is raised, piece of the message)``."""
        for name, tree in self.trees.items():
            for function, call in calls(tree, None):
                if self.speaks(call):
                    given = [*call.args, *(keyword.value for keyword in call.keywords)]
                    seen: set[ast.AST] = set()
                    for node in given:
                        for text in self.texts(node, function, seen):
                            yield f"{name}:{call.lineno}", words(text)
        for name, text in self.constants.items():
            if " " in text:  # such as the sentence on complex numbers
                yield name, words(text)

    def speaks(self, call: ast.Call) -> bool:
        called = call.func
        if isinstance(called, ast.Name):
            return called.id in self.classes
        if isinstance(called, ast.Attribute) and called.attr == "append":
            owner = called.value
            named = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            return named in ("warnings", "told")
        return False

    def texts(self, node: ast.AST, function: ast.AST | None, seen: set[ast.AST]) -> Iterator[str]:
        """Constant text below `node`, through names and calls, of each value once."""
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node.value
            return
        for value, place in self.behind(node, function):
            if value not in seen:
                seen.add(value)
                yield from self.texts(value, place, seen)
        for child in ast.iter_child_nodes(node):
            yield from self.texts(child, function, seen)

    def behind(
        self, node: ast.AST, function: ast.AST | None
    ) -> Iterator[tuple[ast.AST, ast.AST | None]]:
        """What a name is set to or a function returns; with the function that is in."""
        if isinstance(node, ast.Name):
            if node.id in self.constants:
                yield ast.Constant(self.constants[node.id]), None
            for value in assigned(node.id, function):
                yield value, function
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            inner = self.functions.get(node.func.id)
            for returned in [] if inner is None else ast.walk(inner):
                if isinstance(returned, ast.Return) and returned.value is not None:
                    yield returned.value, inner


def calls(node: ast.AST, function: ast.AST | None) -> Iterator[tuple[ast.AST | None, ast.Call]]:
    """Every call below `node`, each with the function it is in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield function, child
        yield from calls(child, child if isinstance(child, ast.FunctionDef) else function)


def assigned(name: str, function: ast.AST | None) -> Iterator[ast.AST]:
    """What `name` is set to in `function`: by assignment, or by a loop over what is written out."""
    return iter(() if function is None else assignments(function).get(name, ()))


@cache
def assignments(function: ast.AST) -> dict[str, list[ast.AST]]:
    """What each name is set to in `function`; every function is asked about many."""
    found: dict[str, list[ast.AST]] = {}
    for node in ast.walk(function):
        targets: Iterable[ast.AST] = ()
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value:
            targets, value = [node.target], node.value
        elif isinstance(node, ast.For | ast.comprehension):
            targets, value = [node.target], node.iter
        for target in targets:
            for name in {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}:
                found.setdefault(name, []).append(value)
    return found


@cache
def pieces() -> list[tuple[str, str]]:
    """Pieces worth looking for: words, not keys and patterns that are no part of a sentence."""
    found = ((w, text) for w, text in Messages().all() if len(text) >= LEAST and " " in text)
    return [(w, text) for w, text in found if "\\" not in text]


def test_every_message_is_in_troubleshooting() -> None:
    found = pieces()
    assert len(found) > 120, "the messages of the package are not found any more"
    text = "\n".join(words(path.read_text("utf-8")) for path in TROUBLESHOOTING.glob("*.md"))
    missing = [f"{where}: {piece!r}" for where, piece in found if piece not in text]
    assert not missing, "not in the pages on troubleshooting:\n" + "\n".join(dict.fromkeys(missing))


def test_every_section_on_messages_is_in_the_index() -> None:
    """Who searches by stage finds each section from the first page."""
    links = set(re.findall(r"\]\(([^)\s]+)\)", (TROUBLESHOOTING / "index.md").read_text("utf-8")))
    for path in set(TROUBLESHOOTING.glob("*.md")) - {TROUBLESHOOTING / "index.md"}:
        _, *others = headings(path)
        missing = [anchor for anchor in others if f"{path.name}#{anchor}" not in links]
        assert path.name in links
        assert not missing, f"sections of {path.name} that the index does not list: {missing}"


def test_messages_are_found_through_names_and_calls() -> None:
    """What the test above relies on."""
    found = {piece for _, piece in pieces()}
    for text in (
        "has no cells",  # an argument
        "cells have NaN or Inf (rows",  # a piece of an f-string
        "; it is transposed",  # added to a name
        "the file is truncated or corrupt: copy or write it again",  # a constant of a module
        "leave it out by naming the others:",  # returned by a function
        "is needed for the outlier quantiles",  # from a table
        "complex numbers, which have no place on a color scale",
    ):
        assert any(text in piece for piece in found), text


# ------------------------------------------------------------------------- links and commands


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", path.read_text("utf-8")):
        target, _, anchor = (link[0] or link[1]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (path.parent / target) if target else path
        if not there.exists() or (anchor and anchor not in headings(there)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert not broken, f"{path.name} links to {broken}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_other_sites_are_well_formed(path: Path) -> None:
    """Whether they lead somewhere is not tried: that would need the internet."""
    links = re.findall(r"\]\(([a-z]+:[^)\s]*)\)", path.read_text("utf-8"))
    wrong = [link for link in links if not re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(/\S*)?", link)]
    assert not wrong, f"{path.name} links to {wrong}"


def headings(path: Path) -> list[str]:
    """Anchors of the headings of a page, in order, by the rule of GitHub."""
    body = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", body, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads]


def test_tests_that_promises_name_are_there() -> None:
    """Each is in the file that is named before it."""
    files = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(test_\w+(?:\.py)?)`", page("explanation/promises.md"))
    place = ""
    for name in named:
        if name.endswith(".py"):
            place = files[name]
        else:
            assert f"def {name}(" in place, name
    assert len(named) > 60


def test_the_package_is_installed_from_a_clone() -> None:
    """One section says how the package is installed; a release on PyPI changes that section alone.

    Messages of the program name the packages that are missing, not the package with an extra.
    """
    page = ROOT / "docs" / "how-to" / "install.md"
    section = re.search(r"^## Install\n.*?^##", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert section, "install.md has no section on the installation"
    install = r"(?:(?:pip|pipx|tool|conda|mamba) install|add|uvx)"
    named = re.compile(rf"\b{install} [^\n|;&]*?(?<![\w./-])cellucid-dask\b")
    told = [path for path in PAGES if named.search(path.read_text("utf-8").replace(section[0], ""))]
    sources = [p for p in PACKAGE.rglob("*") if p.suffix in {".py", ".js", ".html", ".sbatch"}]
    told += [path for path in sources if named.search(path.read_text("utf-8"))]
    assert not told, f"link to install.md#install instead: {told}"


def command_lines(path: Path) -> list[str]:
    """Lines of code blocks, and inline code, that call the program."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    inline = re.findall(r"(?<!`)`(cellucid-dask [^`\n]+)`", text)
    typed = re.findall(r"(?:^|[;&|(] *)(?:\$ )?(cellucid-dask [^\n]*)", blocks, re.MULTILINE)
    return [*typed, *inline]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_use_options_that_exist(path: Path) -> None:
    wrong = []
    for line in command_lines(path):
        tokens = shlex.split(re.split(r"\s*(?:[|;)]|&&|>)", line)[0], comments=True)[1:]
        called = next(
            (words for words in (" ".join(tokens[:2]), *tokens[:1]) if words in COMMANDS), ""
        )
        command = COMMANDS.get(called)
        known = [*options_of(command or cli), "--help", "-h"]
        if command is None and not tokens[0].startswith(("-", ",")):
            wrong.append(line)
        given = [token.partition("=")[0] for token in tokens if re.match(r"--?[a-zA-Z]", token)]
        wrong += [f"{line}: {option}" for option in given if option not in known]
    assert not wrong, f"{path.name} has commands that do not exist: {wrong}"


def test_what_each_dependency_is_for() -> None:
    """The tables name those of pyproject.toml, and the extras that users install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "docs" / "reference" / "dependencies.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", text, re.MULTILINE)

    def names(requirements: Iterable[str]) -> list[str]:
        return [re.split(r"[^\w-]", requirement)[0] for requirement in requirements]

    required = names(project["dependencies"])
    extras = project["optional-dependencies"]
    own = {"docs", "test"}  # for work on the package itself
    assert [name for name, _ in rows if name in required] == required
    found = {name.strip("`"): set(used.split(", ")) for name, used in rows if name[0] == "`"}
    assert found == {name: set(names(of)) for name, of in extras.items() if name not in own}
