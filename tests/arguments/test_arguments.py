"""Messages of the Python functions name arguments; wrong types and names are told in words.

Messages are written once, with options of the command line, and translated where Python calls.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from atlas import atlas, here, save, spoil_hdf5

import cellucid_dask
from cellucid_dask import (
    CellucidDaskError,
    CellucidServer,
    catalog,
    check,
    clean,
    create_app,
    export,
    prepare,
    preview,
    show,
)
from cellucid_dask.arguments.boundary import SAME_NAMES, CallerNames
from cellucid_dask.arguments.wording import OTHER_ARGUMENTS, arguments_by_option, translate
from cellucid_dask.commands.cli import cli
from cellucid_dask.errors import Problem
from cellucid_dask.options.argument_names import NEGATIVE, option_of
from cellucid_dask.options.argument_types import convert, hints_of
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.keywords import make_options
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.verify import verify

PACKAGE = Path(cellucid_dask.__file__).parent
CLASSES = (ExportOptions, RunOptions, JobOptions, ServeOptions)
FIELDS = [(cls, f) for cls in CLASSES for f in dataclasses.fields(cls)]
# They make no export, or print what a function returns.
ALONE = {
    "demo": {"--cells", "--genes", "--serve"},
    "slurm-script": {"--data", "--nodes", "--setup", "--log-dir"},
}
PRINTED = {"--debug", "--json"}


def options() -> Iterator[tuple[str, click.Option]]:
    for name, command in cli.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                long = next(s for s in parameter.opts if s.startswith("--"))
                if long not in PRINTED | ALONE.get(name, set()):
                    yield long, parameter


OPTIONS = dict(options())


def problems_of(call: Callable[..., Any], *values: Any, **options: Any) -> list[Problem]:
    with pytest.raises(CellucidDaskError) as caught:
        call(*values, **options)
    return list(caught.value.problems)


# ------------------------------------------------------------------------- all options


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_is_an_argument(name: str) -> None:
    """A new option is found by the field of its name, or must be in a table."""
    argument, option = arguments_by_option()[name], OPTIONS[name]
    assert argument.is_switch == option.is_flag
    assert argument.is_repeatable == (option.multiple or name == "--genes-file")
    assert "--" not in translate(f"use {name} VALUE, or {name}", SAME_NAMES)
    assert translate(name, SAME_NAMES, place=True) == argument.name
    assert (argument.name in NEGATIVE) == name.startswith("--no-")
    if name not in OTHER_ARGUMENTS and argument.name not in NEGATIVE:
        assert option.name == argument.name


def test_every_field_has_an_option() -> None:
    """Of the command line; a message about it could not be translated otherwise.

    Only `jobs` has none: it holds options that have.
    """
    assert [f.name for _, f in FIELDS if option_of(f.name) not in OPTIONS] == ["jobs"]


def constants() -> Iterator[str]:
    for path in PACKAGE.rglob("*.py"):
        if path.name not in ("cli.py", "script.py", "sbatch.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_word_after_an_option_in_a_message_is_known() -> None:
    """A word that is not known to belong to the sentence would be written as a value."""
    found = 0
    for text in constants():
        for match in re.finditer(r"(?<![\w'\"=-])(--[a-z-]+) ([a-z]+)\b", text):
            option = OPTIONS.get(match[1])
            if option is not None and not option.is_flag:
                found += 1
                allowed = re.findall(r"[a-z]+", option.metavar or "")
                word = f" {match[2]}"
                written = translate(match[0], SAME_NAMES)
                assert match[2] in allowed or written.endswith(word), f"{match[0]!r} in {text!r}"
    assert found > 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("use --rename-duplicates", "use rename_duplicates=True"),
        ("or use --no-vectors", "or use vectors=False"),
        ("use --memory 800MB or fewer workers", 'use memory="800MB" or fewer workers'),
        ("add --workers N: how many", "add workers=N: how many"),
        ("or --workers 1 with --memory 5MB.", 'or workers=1 with memory="5MB."'),
        ("with --out or --scratch", "with out_dir or scratch"),
        ("such as --embedding 2d=X_tsne", 'such as embeddings={2: "X_tsne"}'),
        ("--embedding 2d=a --embedding 3d=b", 'embeddings={2: "a", 3: "b"}'),
        ("naming: --obs-key a --obs-key 'b c' ...", 'naming: obs_keys=["a", "b c", ...]'),
        ("choose with --genes-file", "choose with genes"),
        ("use 8, 16 or --var-quantization none", "use 8, 16 or var_quantization=None"),
        ("use --token auto, or say --token none", 'use token="auto", or say token="none"'),
        ("another --port, or --port 0 for any", "another port, or port=0 for any"),
        ("'--time=3' is set by this command", "'--time=3' is set by this call"),
        ("such as --qos=long", "such as --qos=long"),
        ("/data/--out/x --raw-data", "/data/--out/x --raw-data"),
        ("'cellucid-dask clean 'a b'' removes", 'cellucid_dask.clean("a b") removes'),
        ("then run the same command again", "then make the same call again"),
    ],
)
def test_a_message_names_arguments(text: str, expected: str) -> None:
    assert translate(text, SAME_NAMES) == expected
    assert translate(expected, SAME_NAMES) == expected


def test_a_function_may_have_other_names() -> None:
    words = CallerNames(
        {"genes": "gene_identifiers", "graph": "connectivities", "raw": "gene_expression"}
    )
    text = "--gene A, --graph, --raw"
    assert translate(text, words) == 'gene_identifiers=["A"], connectivities, gene_expression'


# ------------------------------------------------------------------------- types


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=lambda part: getattr(part, "name", ""))
def test_every_field_is_checked_against_its_annotation(cls: Any, field: Any) -> None:
    wrong = problems_of(cls, **{field.name: object()})
    assert any(problem.where == option_of(field.name) for problem in wrong), wrong
    assert make_options([cls], {field.name: object()})[1] == wrong, (
        "also where others are read with it"
    )


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int | None, np.int64(3), 3),
        (bool, np.bool_(True), True),
        (float, np.float32(0.5), 0.5),
        (float | str | None, 10**9, 10**9),
        (str | None, Path("a"), "a"),
        (str, np.str_("a"), "a"),
        (tuple[str, ...] | None, pd.Index(["a", "b"]), ("a", "b")),
        (tuple[str, ...], "a", ("a",)),
        (tuple[str, ...], (1, 2), ("1", "2")),
    ],
)
def test_values_of_similar_types_are_converted(hint: Any, value: Any, expected: Any) -> None:
    found = convert(value, hint)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, True),
        (int, 1.0),
        (int, "1"),
        (bool, 1),
        (float, "0.5"),
        (str, 5),
        (tuple[str, ...], {"a", "b"}),
        (tuple[str, ...], ["a", None]),
        (tuple[str, ...] | None, {"a": 1}),
    ],
)
def test_values_of_other_types_are_refused(hint: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        convert(value, hint)


def test_the_problem_names_the_expected_type(tmp_path: Path) -> None:
    told = problems_of(
        export,
        atlas(),
        5,
        workers="1",
        obs_keys={"a": 1},
        embeddings={"2d": "X"},
        genes={"b", "a"},
        dry_run="no",
        slurm="yes",
        scheduler=5,
        workrs=2,
    )
    assert [str(problem).partition("\n")[0] for problem in told] == [
        "out_dir: 5 is an int, not a path or None",
        "dry_run: 'no' is a str, not True or False",
        "slurm: 'yes' is a str, not True or False",
        "'workrs': there is no such option",
        "obs_keys: is a dict, not a list of text or None",
        "genes: is a set, not a list of text or None",
        "embeddings: has the key '2d', not a whole number",
        "workers: '1' is a str, not a whole number or None",
        "scheduler: is of type int, not an address, a scheduler file or a Client",
    ]


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    told = problems_of(CellucidServer, atlas(), token=b"hidden-secret", port="1", quantize="8")
    assert [problem.where for problem in told] == ["quantize", "port", "token"]
    assert "hidden" not in str(told)


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: preview("x", dimension="2", color=3), {"dimension", "color"}),
        (lambda: verify("x", workers="2", embeddings={2: 5}), {"workers", "embeddings"}),
        (lambda: catalog(5), {"root"}),
        (lambda: clean(None), {"out"}),
    ],
)
def test_functions_without_options_check_types(call: Callable[[], Any], where: set[str]) -> None:
    assert {problem.where for problem in problems_of(call)} == where


# ------------------------------------------------------------------------- functions


def test_export_names_arguments() -> None:
    data = atlas()
    data.var_names = ["G"] * data.n_vars
    data.var["a symbol"] = [f"S{i}" for i in range(data.n_vars)]
    [problem] = problems_of(export, data, quiet=True)
    assert problem.fix == 'use gene_id_column="a symbol", or rename_duplicates=True'
    [same] = check(data).problems
    assert same == problem


def test_the_command_names_options(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = atlas()
    data.var_names = [f"G{i // 2}" for i in range(data.n_vars)]
    save(data, tmp_path / "twice.h5ad")
    ended = here(capfd, "export", tmp_path / "twice.h5ad", "-o", tmp_path / "out", "--workers", 0)
    assert "use --rename-duplicates" in ended.err
    assert "--workers: 0 is not" in ended.err
    assert check(tmp_path / "twice.h5ad").problems[0].fix == "use rename_duplicates=True"


def test_servers_name_arguments(tmp_path: Path) -> None:
    for call in (CellucidServer, create_app, show):
        told = problems_of(call, tmp_path, genes=["a"], cache_size="1MB")
        assert {problem.where for problem in told} == {"cache_size", "genes"}, call


def test_notes_on_kept_work_name_calls(tmp_path: Path) -> None:
    """A note on an error that comes from within, also from another process."""
    data = save(atlas(4000, 40), tmp_path / "data.h5ad", compression="gzip")
    spoil_hdf5(data, "X/data", 1)
    with pytest.raises(CellucidDaskError, match="X/data") as caught:
        export(data, tmp_path / "an out", quiet=True, workers=1)
    [note] = caught.value.__notes__
    assert "the same call resumes from there" in note
    assert f'cellucid_dask.clean("{tmp_path / "an out"}") removes it' in note


def prepared(**changed: Any) -> dict[str, Any]:
    data = atlas()
    given = {
        "latent_space": data.obsm["X_pca"],
        "obs": data.obs,
        "var": data.var,
        "gene_expression": data.X,
        "X_umap_2d": data.obsm["X_umap_2d"],
        "quiet": True,
    }
    return given | changed


def test_prepare_names_its_own_arguments() -> None:
    told = problems_of(
        prepare,
        **prepared(
            latent_space=np.zeros((5, 2)),
            connectivities=np.zeros((60, 5)),
            vector_fields={"a b_2d": atlas().obsm["X_umap_2d"], "v": 3},
            var_quantization=7,
            centroid_outlier_quantile=2,
            obs_keys=["nothing"],
            gene_identifiers=["no gene"],
        ),
    )
    assert {problem.where for problem in told} == {
        *("latent_space", "connectivities", "vector_fields", "vector_fields['v']"),
        *("var_quantization", "centroid_outlier_quantile", "obs_keys", "gene_identifiers"),
    }
    assert any(p.fix.endswith("or use vector_fields=None") for p in told)
    assert "use 8, 16 or var_quantization=None" in [p.fix for p in told]


def test_prepare_refuses_unknown_arguments() -> None:
    told = problems_of(
        prepare, **prepared(obs={"a": 1}, gene_identifiers="Gene1", memry="4GB", layer="counts")
    )
    text = "\n".join(map(str, told))
    for part in (
        "gene_identifiers: 'Gene1' is a str, not a list of text or None",
        "'memry': there is no such option\n    did you mean 'memory'",
        "'layer': there is no such option",
        "obs: is a dict, not a DataFrame of pandas\n    give pandas.DataFrame(obs)",
    ):
        assert part in text


def test_prepare_takes_the_options_that_it_names(tmp_path: Path) -> None:
    """What a fix says must be possible."""
    var = pd.DataFrame(index=["G"] * 12)
    [problem] = problems_of(prepare, **prepared(var=var), out_dir=tmp_path / "out")
    assert problem.fix == "use rename_duplicates=True"
    done = prepare(
        **prepared(var=var), out_dir=tmp_path / "out", rename_duplicates=True, workers=np.int64(1)
    )
    assert done.n_genes == 12


def test_annotations_are_those_of_the_classes() -> None:
    for cls in CLASSES:
        assert hints_of(cls).keys() == {f.name for f in dataclasses.fields(cls)}
