"""The command `cellucid-dask verify`: its output, its options and its exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import pytest
from atlas import atlas as make_atlas
from atlas import command, here, save
from verifying import KINDS, OPTIONS, files_of, make_adata, reference

from cellucid_dask import export
from cellucid_dask import format as fmt
from cellucid_dask.verify import verify


@KINDS
def test_intact_exports(capfd: Any, native: Path, kind: str) -> None:
    done = here(capfd, "verify", native / kind, "--quiet")
    assert (done.code, done.err) == (0, "")
    size = sum((native / kind / name).stat().st_size for name in files_of(native / kind))
    assert done.out == f"{native / kind} is intact: 19 files, {size / 1000:.1f} kB\n"
    done = here(capfd, "verify", native / kind, "--against", native / "a.h5ad", "--workers", 2)
    assert done.code == 0
    assert f"6 genes compared with {native / 'a.h5ad'}, largest error " in done.out


def test_many_genes_that_differ_are_counted(capfd: Any, tmp_path: Path) -> None:
    adata = make_atlas(genes=30)
    data = save(adata, tmp_path / "a.h5ad")
    export(data, tmp_path / "out", **OPTIONS)
    adata.X = adata.X * 2
    other = save(adata, tmp_path / "b.h5ad")
    gene = tmp_path / "out/var/Gene29.values.u8.gz"
    gene.write_bytes(gene.read_bytes()[:-1] + b"?")
    damage = verify(tmp_path / "out").problems
    assert len(damage) == 1
    reports = [verify(tmp_path / "out", other, workers=n) for n in (1, 4)]
    assert reports[0] == reports[1]
    differ = [line for line in reports[0].problems if line not in damage]
    assert set(damage) < set(reports[0].problems)
    assert len(differ) == 21
    assert differ[-1] == "... and 9 more genes differ; is it the right data, layer or raw=True?"
    done = here(capfd, "verify", tmp_path / "out", "--against", other, "--json", "-q")
    told = [line.replace("--layer or --raw", "layer or raw=True") for line in
            json.loads(done.out)["problems"]]  # fmt: skip
    assert told == list(reports[0].problems)
    assert "--layer or --raw?" in done.out
    gene.write_bytes(gene.read_bytes()[:-1])
    lines = here(capfd, "verify", tmp_path / "out", "--against", other, "-q").out.splitlines()
    assert (
        lines[-1]
        == f"{tmp_path / 'out'} is damaged, or differs from {other}: {len(lines) - 1} problems"
    )
    assert not any(re.search(r"\.\d{12}", line) for line in lines)  # as a float32 in float64 has


def test_outlier_quantiles_that_are_not_compared_are_reported(capfd: Any, tmp_path: Path) -> None:
    adata = make_adata()
    data, folder = save(adata, tmp_path / "a.h5ad"), tmp_path / "reference"
    reference(adata, folder, 8, None)
    done = here(capfd, "verify", folder, "--against", data, "-q")
    lines = done.out.splitlines()
    assert (done.code, len(lines)) == (0, 2)
    assert lines[0] == (
        "  not compared: outlier quantiles of 3 columns: obsm has no 'latent_space';"
        " name the latent space with --latent-key"
    )
    arguments = ("verify", folder, "--against", data, "--latent-key", "X_pca", "-q")
    done = here(capfd, *arguments)
    assert (done.code, len(done.out.splitlines())) == (0, 1)
    done = here(capfd, *arguments[:-2], "X_umap_3d", "--json", "-q")
    assert done.code == 1
    found = json.loads(done.out)
    assert found["not_compared"] == []
    assert (
        sum("quantiles are not those of obsm['X_umap_3d']" in line for line in found["problems"])
        == 3
    )
    assert here(capfd, *arguments[:-2], "X_none").code == 2
    assert verify(folder).not_compared == ()


def test_each_problem_is_one_line(capfd: Any, native: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    (folder / "var/Gene1.values.u8").unlink()
    done = here(capfd, "verify", folder, "-q")
    assert (done.code, done.err) == (1, "")
    assert done.out == (f"  var/Gene1.values.u8: is missing\n{folder} is damaged: 1 problem\n")
    (folder / "var/Gene2.values.u8").unlink()
    assert f"{folder} is damaged: 2 problems" in here(capfd, "verify", folder).out


def test_json_has_the_whole_report(capfd: Any, native: Path, tmp_path: Path) -> None:
    data = native / "a.h5ad"
    done = here(capfd, "verify", native / "gzip", "--against", data, "--sample", 4, "--json")
    found = json.loads(done.out)
    assert done.code == 0
    assert 0.5 < found.pop("largest_error") <= 1.02
    assert found == {
        "export": str(native / "gzip"),
        "against": str(data),
        "ok": True,
        "problems": [],
        "files": 19,
        "bytes": sum((native / "gzip" / name).stat().st_size for name in files_of(native / "gzip")),
        "genes_compared": 4,
        "not_compared": [],
        "format": "folder",
    }
    folder = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()
    done = here(capfd, "verify", folder, "--json", "-q")
    assert (done.code, done.err) == (1, "")
    assert json.loads(done.out)["problems"] == ["\\udcff: is not a file of an export"]
    assert json.loads(done.out)["against"] is None


def test_exports_of_the_reference_are_verified(capfd: Any, tmp_path: Path) -> None:
    adata = make_adata()
    data, folder = save(adata, tmp_path / "a.h5ad"), tmp_path / "reference"
    reference(adata, folder, 8, 6)
    done = here(capfd, "verify", folder, "--against", data, "-q")
    assert (done.code, "is intact" in done.out) == (0, True)
    (folder / "var_manifest.json").unlink()
    assert here(capfd, "verify", folder, "-q").code == 1


def test_options_must_be_those_of_the_export(capfd: Any, native: Path, tmp_path: Path) -> None:
    adata = make_atlas(genes=6)
    adata.layers["counts"] = adata.X * 2
    adata.raw = make_atlas(genes=6, seed=5)
    adata.obsm["X_tsne"] = adata.obsm["X_umap_2d"][::-1].copy()
    adata.obsp["other"] = adata.obsp["connectivities"][::-1].copy()
    data = save(adata, tmp_path / "a.h5ad")
    more = {"embeddings": {2: "X_tsne"}, "graph": "other"}
    given = ["--embedding", "2d=X_tsne", "--graph", "other"]
    for options, words in (
        ({"layer": "counts"}, ["--layer", "counts"]),
        ({"raw": True}, ["--raw"]),
    ):
        folder = tmp_path / words[0]
        export(data, folder, **options, **more, **OPTIONS)
        assert here(capfd, "verify", folder, "--against", data, *given, *words).code == 0
        assert here(capfd, "verify", folder, "--against", data, *given).code == 1
        assert here(capfd, "verify", folder, "--against", data, *words, *given[:2]).code == 1
        done = here(capfd, "verify", folder, "--against", data, *words, *given[2:])
        assert done.code == 0, "the export names the embedding"
        wrong = ["--embedding", "2d=X_umap_2d"]
        done = here(capfd, "verify", folder, "--against", data, *words, *wrong, *given[2:])
        assert done.code == 1
        assert "name the key of the embedding with --embedding 2d=KEY" in done.out


def test_wrong_options_exit_with_2(capfd: Any, native: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.h5ad").write_text("text")
    plain = native / "plain"
    for arguments, text in (
        ([tmp_path / "nothing"], "is not a folder"),
        ([native / "a.h5ad"], "is not a ready file: it has no uns['cellucid']"),
        ([tmp_path / "empty"], "is not an export: it has no dataset_identity.json"),
        ([native], f"name the folder of one export, such as {native / 'gzip'}"),
        ([plain, "--against", tmp_path / "nothing"], "does not exist"),
        ([plain, "--against", tmp_path / "text.h5ad"], "cannot be read as an AnnData"),
        ([plain, "--sample", "2"], "name the data with --against"),
        ([plain, "--sample", "-1"], "--sample"),
        ([plain, "--workers", "0"], "--workers"),
        ([plain, "--against", native / "a.h5ad", "--embedding", "X"], "write 2d=KEY"),
        ([plain, "--against", native / "a.h5ad", "--embedding", "2d=X"], "there is no obsm['X']"),
        ([plain, "--against", native / "a.h5ad", "--layer", "X"], "there is no layer 'X'"),
        ([plain, "--against", native / "a.h5ad", "--raw"], "there is no raw"),
    ):
        done = here(capfd, "verify", *arguments, "--json", "-q")
        assert (done.code, done.out) == (2, ""), arguments
        assert text in done.err, arguments
        assert "Traceback" not in done.err


def test_an_export_without_its_identity_is_damaged(
    capfd: Any, native: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    (folder / fmt.IDENTITY).unlink()
    done = here(capfd, "verify", folder, "-q")
    assert (done.code, done.out.splitlines()[:-1]) == (1, [f"  {fmt.IDENTITY}: is missing"])


def test_damaged_data_exits_with_2(capfd: Any, native: Path, tmp_path: Path) -> None:
    data = tmp_path / "a.h5ad"
    save(make_atlas(genes=6), data, compression="gzip")
    with h5py.File(data) as file:
        stored = file["X/data"].id.get_chunk_info(0)
    with data.open("r+b") as raw:
        raw.seek(stored.byte_offset + stored.size // 3)
        raw.write(b"\xff\x00\xff" * (stored.size // 9))
    done = here(capfd, "verify", native / "plain", "--against", data, "-q")
    assert done.code == 2
    assert done.err.startswith(f"error: {data}: gene 'Gene0' cannot be read (")


@pytest.mark.parametrize(("damage", "code"), [(False, 0), (True, 1)])
def test_the_exit_code_stays_when_head_closes_the_pipe(
    native: Path, tmp_path: Path, damage: bool, code: int
) -> None:
    """The exit code still says whether the export is intact."""
    folder = Path(shutil.copytree(native / "plain", tmp_path / "copy"))
    for i in range(500 * damage):
        (folder / f"{'long' * 50}{i}").touch()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command("verify", folder, "-q"), stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (code, b"")
