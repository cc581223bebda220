"""What the package says of itself in several files: its address, version, Pythons and extras."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import cellucid_dask
from cellucid_dask.compute.queues.problems import INSTALL as INSTALL_SLURM
from cellucid_dask.options.preview_path import INSTALL as INSTALL_PREVIEW

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SOURCE: str = PROJECT["urls"]["Source"]
DEVELOPERS = {"docs", "test"}  # extras that are not for users
NAME = SOURCE.rpartition("/")[2]
# Files for people and for machines; what only a build leaves is not among them.
TEXTS = {".cff", ".def", ".md", ".toml", ".yaml", ".yml"}
FOLDERS = (".", ".github", "docs", "slurm", "recipe")


def texts() -> list[Path]:
    """Every text file of the top folder, and below the folders for people."""
    here = [path for path in ROOT.iterdir() if path.is_file()]
    below = [path for name in FOLDERS[1:] for path in (ROOT / name).rglob("*")]
    return sorted(path for path in (*here, *below) if path.suffix in TEXTS)


def names(requirements: list[str]) -> list[str]:
    return [Requirement(text).name for text in requirements]


def test_the_address_of_the_repository_is_that_of_pyproject() -> None:
    """A page may link to other repositories; what is called like ours is ours."""
    found = {
        (path.name, link)
        for path in texts()
        for link in re.findall(r"https://github\.com/[\w.-]+/[\w.-]+", path.read_text("utf-8"))
        if link.endswith(f"/{NAME}")
    }
    assert {link for _, link in found} == {SOURCE}, found
    assert all(
        url.startswith(SOURCE) for name, url in PROJECT["urls"].items() if name != "Documentation"
    )


def test_the_oldest_python_is_the_first_of_the_classifiers() -> None:
    listed = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={listed[0]}"
    minors = [int(version[2:]) for version in listed]
    assert minors == list(range(minors[0], minors[-1] + 1))


@pytest.mark.parametrize(
    ("command", "extra"), [(INSTALL_SLURM, "slurm"), (INSTALL_PREVIEW, "preview")]
)
def test_messages_install_what_an_extra_has(command: str, extra: str) -> None:
    """They name its packages: that works wherever the package itself came from."""
    assert command.split() == ["pip", "install", *names(PROJECT["optional-dependencies"][extra])]


def test_the_version_is_that_of_pyproject() -> None:
    """The installed package says it from its metadata; some files repeat it, with one date."""
    version = PROJECT["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## \[(\d[^]]*)\] - (\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    assert newest, "CHANGELOG.md has no release with a date"
    assert newest.groups() == (version, citation["date-released"])
    assert citation["version"] == cellucid_dask.__version__ == version
    assert f"[{version}]: {SOURCE}/releases/tag/v{version}" in changes


# What conda-forge calls differently than PyPI.
CONDA = {"dask": "dask-core", "matplotlib": "matplotlib-base", "zlib-ng": "python-zlib-ng"}


def for_conda(requirements: list[str]) -> dict[str, str]:
    """Names and versions as conda-forge has them."""
    read = [Requirement(text) for text in requirements]
    return {CONDA.get(each.name, each.name): str(each.specifier) for each in read}


def listed(dependencies: list[Any]) -> dict[str, str]:
    """Names and versions of a recipe or an environment."""
    pairs = (text.partition(" ")[::2] for text in dependencies if isinstance(text, str))
    return {name: str(SpecifierSet(versions)) for name, versions in pairs}


def test_conda_installs_what_pip_installs() -> None:
    """The recipe has the dependencies, the environment those of all extras for users as well."""
    extras = PROJECT["optional-dependencies"]
    needed = for_conda(PROJECT["dependencies"]) | {"python": PROJECT["requires-python"]}
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text("utf-8"))
    assert recipe["context"]["version"] == PROJECT["version"]
    assert listed(recipe["requirements"]["run"]) == needed

    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    users = [text for name in sorted(extras) if name not in DEVELOPERS for text in extras[name]]
    build = listed(recipe["requirements"]["host"]) | {"c-compiler": ""}
    assert listed(environment) == needed | for_conda(users) | build
    assert environment[-1] == {"pip": ["."]}
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert for_conda(tomllib.load(file)["build-system"]["requires"]).items() <= build.items()


@pytest.mark.parametrize("name", ["Dockerfile", "apptainer.def"])
def test_containers_have_what_the_wheel_is_built_from(name: str) -> None:
    """`compute/slurm/scripts` is a link to `slurm`; the sdist has more, which a wheel has not."""
    text = (ROOT / name).read_text("utf-8")
    for needed in (
        "LICENSE",
        "README.md",
        "cellucid_dask",
        "hatch_build.py",
        "pyproject.toml",
        "slurm",
    ):
        assert re.search(rf"^\s*(COPY )?(\S+ )*{re.escape(needed)} ", text, re.MULTILINE), needed
    version = re.search(r"3\.\d+", text)
    assert version
    assert f"Programming Language :: Python :: {version[0]}" in PROJECT["classifiers"]
