"""Genes go through the native library or numpy: equal files, and a report of which it was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from anndata import AnnData
from atlas import run
from oracle import CREATED, file_bytes

from cellucid_dask import export
from cellucid_dask.compute.local_cluster import start_local_workers
from cellucid_dask.errors import EngineError
from cellucid_dask.native import library

needs_library = pytest.mark.skipif(library.load() is None, reason=library.find_library().reason)


def decoded(files: dict[str, bytes]) -> dict[str, bytes]:
    """Content of each file, without its compression."""
    return {
        name: gzip.decompress(raw) if name.endswith(".gz") else raw for name, raw in files.items()
    }


@needs_library
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("bits", [8, 16, None])
def test_both_ways_write_equal_genes(
    atlas: AnnData,
    saved: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    bits: int | None,
) -> None:
    atlas.X = {"csr": atlas.X.tocsr, "csc": atlas.X.tocsc, "dense": atlas.X.toarray}[layout]()
    data = saved(atlas)
    made = {}
    for path, switch in (("native", "1"), ("numpy", "0")):
        monkeypatch.setenv(library.SWITCH, switch)
        out = tmp_path / path
        options: dict[str, Any] = {"dataset_id": "d", "dataset_name": "d", "created_at": CREATED}
        result = export(data, out, quiet=True, workers=1, var_quantization=bits, **options)
        assert result.gene_path == path
        assert result.gene_path_reason == ("" if switch == "1" else "CELLUCID_DASK_NATIVE=0 is set")
        made[path] = file_bytes(out)
    assert decoded(made["native"]) == decoded(made["numpy"])
    genes = [name for name in made["native"] if name.startswith("var/")]
    assert len(genes) == atlas.n_vars
    if (layout, bits) != ("dense", None):  # float32 of every cell has no background to encode
        assert any(made["native"][name] != made["numpy"][name] for name in genes)
    others = set(made["native"]) - set(genes)
    assert all(made["native"][name] == made["numpy"][name] for name in others)


def test_the_command_says_that_genes_went_through_numpy(
    atlas: AnnData, saved: Callable[..., Path], tmp_path: Path
) -> None:
    data, note = saved(atlas), "note: genes go through numpy, which is slower: "
    for more in (["--dry-run"], ["--report", "report.json"]):
        done = run("export", data, "-o", "out", *more, cwd=tmp_path, CELLUCID_DASK_NATIVE="0")
        assert done.code == 0
        assert f"{note}CELLUCID_DASK_NATIVE=0 is set\n" in done.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["gene_path"] == "numpy"
    assert report["gene_path_reason"] == "CELLUCID_DASK_NATIVE=0 is set"


@needs_library
def test_the_command_is_silent_about_the_usual_way(
    atlas: AnnData, saved: Callable[..., Path], tmp_path: Path
) -> None:
    data = saved(atlas)
    done = run("export", data, "-o", "out", "--report", "report.json", cwd=tmp_path)
    assert (done.code, "note:" in done.out) == (0, False)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["gene_path"], report["gene_path_reason"]) == ("native", "")


def test_an_export_without_genes_has_no_gene_path(
    atlas: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    assert export(atlas, tmp_path / "out", quiet=True, expression=False).gene_path == ""


@needs_library
def test_workers_of_a_scheduler_take_the_way_of_the_run(
    atlas: AnnData,
    saved: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def switch(text: str) -> None:  # pickled by value, as it is defined within a function
        import os

        os.environ["CELLUCID_DASK_NATIVE"] = text

    data, options = saved(atlas), {"quiet": True, "created_at": CREATED}
    with ExitStack() as stack:
        client = start_local_workers(1, tmp_path, stack)
        client.wait_for_workers(1, timeout=120)
        client.run(switch, "0")
        with pytest.raises(EngineError, match="cannot use the native library, as this process"):
            export(data, tmp_path / "out", scheduler=client, **options)

        client.run(switch, "1")
        monkeypatch.setenv(library.SWITCH, "0")
        export(data, tmp_path / "out", scheduler=client, **options)
        there = file_bytes(tmp_path / "out")
    export(data, tmp_path / "out", workers=1, force=True, **options)
    assert there == file_bytes(tmp_path / "out")
