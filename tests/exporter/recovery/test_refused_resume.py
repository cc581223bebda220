"""A run does not resume an export of other options, other input or other software."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from atlas import atlas, leftovers, save
from recovering import count_genes, record_calls, tree_with_times
from scenes import NAMES, Scene

from cellucid_dask import CellucidDaskError, export
from cellucid_dask.native.library import SWITCH, find_library

# As a module, for setattr.
origin = import_module("cellucid_dask.exporter.recovery.provenance")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"compression": 1}, "option compression was 6, is 1"),
        ({"created_at": "2025-01-31T12:00:00Z"}, "option created_at was"),
        ({"created_at": None}, "is the present"),
        ({"genes": ["Gene1"]}, "option genes was None"),
        ({"obs_keys": ["cell_type"]}, "option obs_keys"),
        ({"var_quantization": 16}, "option var_quantization was 8, is 16"),
        ({"dataset_name": "other"}, "option dataset_name was 'd', is 'other'"),
        ({"layer": "counts"}, "option layer was None, is 'counts'"),
        ({"connectivity": False}, "option connectivity was True"),
    ],
)
def test_other_options_are_refused(small: Scene, options: dict[str, Any], named: str) -> None:
    small.left_in_genes()
    before = tree_with_times(small.at)
    with pytest.raises(CellucidDaskError) as caught:
        small.make(**options)
    assert named in str(caught.value)
    assert "restart=True" in str(caught.value)
    assert tree_with_times(small.at) == before


def test_other_options_are_refused_by_the_command(
    small: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    small.left_in_genes()
    before = tree_with_times(small.at)
    ended = small.command(capfd, "--compression", 1, "--obs-quantization", 16)
    assert ended.code == 2
    assert ended.err.count("error:") == 1
    assert "option compression was 6, is 1; option obs_quantization was 8, is 16" in ended.err
    assert str(small.staging) in ended.err
    assert tree_with_times(small.at) == before


def test_input_that_was_touched_is_refused(small: Scene) -> None:
    small.left_in_genes()
    before, found = tree_with_times(small.at), small.data.stat()
    os.utime(small.data, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    try:
        with pytest.raises(CellucidDaskError, match=r"mtime was .*, is ") as caught:
            small.make()
        assert str(caught.value).count(" was ") == 1
        assert tree_with_times(small.at) == before
    finally:
        os.utime(small.data, ns=(found.st_atime_ns, found.st_mtime_ns))
    small.make()
    small.check()


def test_another_input_is_refused(small: Scene, tmp_path: Path) -> None:
    small.left_in_genes()
    before = tree_with_times(small.at)
    other = save(atlas(genes=25), tmp_path / "other.h5ad")
    for data, named in ((other, "other.h5ad"), (atlas(genes=24), "is in memory")):
        with pytest.raises(CellucidDaskError, match=named):
            export(data, small.out, quiet=True, workers=1, **NAMES)
        assert tree_with_times(small.at) == before


def test_other_software_is_refused(small: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    small.left_in_genes()
    before = tree_with_times(small.at)
    monkeypatch.setattr(origin, "version", lambda name: "9.9")
    with pytest.raises(CellucidDaskError, match=r"zlib-ng was .*, is 9\.9"):
        small.make()
    assert tree_with_times(small.at) == before


def test_the_other_gene_path_is_refused(small: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its spill files and its compressed genes differ."""
    if reason := find_library().reason:
        pytest.skip(reason)
    small.left_in_genes()
    before = tree_with_times(small.at)
    monkeypatch.setenv(SWITCH, "0")
    with pytest.raises(CellucidDaskError, match="gene path was native, is numpy"):
        small.make()
    assert tree_with_times(small.at) == before
    monkeypatch.delenv(SWITCH)
    small.make()
    small.check()


def test_restart_discards(small: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the work of the same export."""
    for options in ({}, {"compression": 1}):
        small.left_in_genes()
        made = record_calls(monkeypatch)
        assert small.make(restart=True, **options).resumed == ""
        assert count_genes(made) == 24
        assert leftovers(small.at) == []
    small.reset()
    small.make(restart=True)  # where there is nothing
    small.check()
