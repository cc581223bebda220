"""The format of an export: how it is said, and which options go with which format."""

from __future__ import annotations

import re
from typing import Any

import pytest
from atlas import atlas, here

from cellucid_dask import CellucidDaskError, check, export, prepare, serve
from cellucid_dask.errors import OptionError, Problem
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.keywords import read_export_options, read_serve_options

OF_FOLDER: dict[str, Any] = {
    "compression": 6,
    "var_quantization": 8,
    "obs_quantization": 16,
    "categorical_dtype": "auto",
    "centroid_quantile": 0.95,
    "created_at": "2026-01-31T12:00:00Z",
    "preview": "sheet.png",
}


def problems_of(**options: Any) -> list[Problem]:
    return read_export_options(options)[2]


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("folder", ("folder",)),
        ("h5ad,zarr,folder", ("folder", "zarr", "h5ad")),
        ("zarr.zip, zarr", ("zarr", "zarr.zip")),
    ],
)
def test_formats_have_one_order(text: str, formats: tuple[str, ...]) -> None:
    options = ExportOptions(format=text)
    assert options.formats == formats
    assert options == ExportOptions(format=",".join(formats)), "two spellings of the same options"


@pytest.mark.parametrize(
    ("options", "where", "part"),
    [
        ({"format": ""}, "--format", "'' is not a format"),
        ({"format": "h5mu"}, "--format", "'h5mu' is not a format"),
        ({"format": "zarr,zarr"}, "--format", "given twice"),
        ({"format": "zarr,"}, "--format", "'' is not a format"),
        ({"format": "zarr", "zarr_format": 1}, "--zarr-format", "1 is not a format of zarr"),
        ({"format": "h5ad", "zarr_format": 2}, "--zarr-format", "no zarr store"),
        ({"zarr_format": 3}, "--zarr-format", "no zarr store"),
        ({"shards": True}, "--shards", "no zarr store"),
        ({"format": "zarr", "shards": True}, "--shards", "only zarr format 3"),
        ({"format": "zarr", "zarr_format": 2, "shards": True}, "--shards", "only zarr format 3"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], where: str, part: str) -> None:
    with pytest.raises(OptionError) as caught:
        ExportOptions(**options)
    (problem,) = caught.value.problems
    assert (problem.where, part in problem.what) == (where, True), problem


def test_a_url_of_the_citation_needs_who_shows_it() -> None:
    url = {"citation_url": "https://a.org"}
    (problem,) = problems_of(**url)
    assert (problem.where, "a folder holds no such URL" in problem.what) == ("--citation-url", True)
    assert not problems_of(format="folder,zarr", **url)
    for given, is_problem in (
        ({}, True),
        ({"protocol": "ready"}, False),
        ({"viewer": "hosted"}, False),
    ):
        _, _, problems = read_serve_options({**url, **given})
        assert [p.where for p in problems] == ["--citation-url"] * is_problem


def test_options_that_go_together() -> None:
    ExportOptions(format="folder,zarr.zip", zarr_format=3, shards=True, citation_url="https://a")
    assert ExportOptions().min_points == 10
    assert ExportOptions(centroid_min_points=3).min_points == 3


def test_options_of_the_folder_are_refused_when_they_are_given() -> None:
    """All of them together, even with the value that they have anyway."""
    found = problems_of(format="zarr,h5ad", **OF_FOLDER)
    assert [problem.where for problem in found] == [
        "--" + name.replace("_", "-") for name in OF_FOLDER
    ]
    assert all("is of the folder format" in problem.what for problem in found)
    assert not problems_of(format="zarr,h5ad")
    assert not problems_of(format="folder,zarr", **OF_FOLDER)
    assert not problems_of(format="zarr", var_quantization=None, preview=None), "asks for nothing"


def test_the_command_knows_what_was_given(capfd: pytest.CaptureFixture[str]) -> None:
    def places(*words: str) -> list[str]:
        told = here(capfd, *words)
        assert told.code == 2
        return re.findall(r"^(?:error|\d+[.:]?):? (\S+): ", told.err, re.MULTILINE)

    assert places("check", "nowhere", "--format", "zarr") == ["nowhere"]
    options = ("--format", "h5ad", "--compression", "6", "--obs-quantization", "8")
    found = places("export", "nowhere", *options, "--var-quantization", "none")
    assert found == ["--compression", "--obs-quantization", "nowhere"]
    assert places("export", "nowhere") == ["nowhere"], "defaults are not given"


def test_messages_name_arguments() -> None:
    found = check(atlas(cells=20, genes=3), format="zarr", var_quantization=8)
    (problem,) = found.problems
    assert problem.where == "var_quantization"
    assert problem.fix == "leave it out, or add 'folder' to format"
    with pytest.raises(CellucidDaskError, match=r"leave it out, or use zarr_format=3"):
        export(atlas(cells=20, genes=3), format="zarr", shards=True)


def test_a_server_has_no_format(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CellucidDaskError, match="'format': is of export"):
        serve("nowhere", format="zarr")
    told = here(capfd, "serve", "nowhere", "--format", "zarr")
    assert "No such option '--format'" in told.err


def test_prepare_writes_a_folder() -> None:
    adata = atlas(cells=20, genes=3)
    with pytest.raises(CellucidDaskError) as caught:
        prepare(
            adata.obsm["X_pca"],
            adata.obs,
            X_umap_2d=adata.obsm["X_umap_2d"],
            format="zarr",
            citation_url="https://a.org",
        )
    assert [p.where for p in caught.value.problems] == ["format", "citation_url"]
    assert all("prepare writes a folder" in p.what for p in caught.value.problems)
