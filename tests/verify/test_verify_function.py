"""The function `verify`: its arguments, its report, its threads, and what it reads."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from atlas import atlas as make_atlas
from verifying import files_of

from cellucid_dask import format as fmt
from cellucid_dask.errors import InputError, OptionError, ReadError
from cellucid_dask.verify import verify
from cellucid_dask.verify.source_data.anndata_file import open_source_data


def test_wrong_arguments_are_refused(exports: dict[Any, Path], atlas: Path, tmp_path: Path) -> None:
    export = exports[8, 6]
    with pytest.raises(InputError, match="is not a folder"):
        verify(tmp_path / "nothing")
    with pytest.raises(InputError, match="does not exist"):
        verify(export, tmp_path / "nothing.h5ad")
    (tmp_path / "text.h5ad").write_text("text")
    with pytest.raises(ReadError, match="as an AnnData"):
        verify(export, tmp_path / "text.h5ad")
    with pytest.raises(ReadError, match="as an AnnData"):
        verify(export, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a regular file"):
        verify(export, tmp_path / "pipe")
    with pytest.raises(OptionError, match="sample"):
        verify(export, atlas, sample=-1)
    with pytest.raises(OptionError, match="layer and raw"):
        verify(export, atlas, layer="x", raw=True)
    with pytest.raises(InputError, match="'twice'"):
        verify(export, atlas, layer="x")
    with pytest.raises(InputError, match="raw"):
        verify(export, atlas, raw=True)
    with pytest.raises(OptionError, match="name the data"):
        verify(export, sample=1)
    with pytest.raises(OptionError, match="0 workers"):
        verify(export, workers=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"is not an export: it has no {fmt.IDENTITY}"):
        verify(tmp_path / "empty")
    with pytest.raises(InputError, match=f"such as {export.parent}"):
        verify(export.parent)


def test_report_is_frozen(exports: dict[Any, Path]) -> None:
    report = verify(exports[8, 6])
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.files = 0  # type: ignore[misc]


@pytest.mark.parametrize("against", [False, True])
def test_the_report_does_not_depend_on_workers(native: Path, tmp_path: Path, against: bool) -> None:
    folder = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    for name in files_of(folder)[1::2]:
        raw = bytearray((folder / name).read_bytes())
        raw[len(raw) // 2] ^= 1
        (folder / name).write_bytes(raw)
    data = native / "a.h5ad" if against else None
    one, *others = (verify(folder, data, workers=n) for n in (1, 2, 3, 16, None))
    assert len(one.problems) > 5
    assert all(other == one for other in others)


def test_each_file_is_read_once(native: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: seen.append(path.name) or read(path))
    report = verify(native / "gzip", native / "a.h5ad")
    assert report.ok
    assert sorted(seen) == sorted(Path(name).name for name in files_of(native / "gzip"))


def test_csr_is_read_in_few_passes_with_bounded_memory(
    native: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_source_data(native / "a.h5ad") as data:
        kind = type(data.matrices["X"])
    entries = make_atlas(genes=6).X.nnz
    rows: list[int] = []
    get = kind.__getitem__

    def counting(self: Any, index: Any) -> Any:
        found = get(self, index)
        rows.append(found.shape[0])
        return found

    monkeypatch.setattr(kind, "__getitem__", counting)
    where = "cellucid_dask.verify.source_data.gene_columns."
    monkeypatch.setattr(where + "_BAND_BYTES", 8 * entries // 5)
    for held, passes in ((entries, {1}), (entries // 2 + 1, {1 + 2, 1 + 3}), (1, {1 + 6})):
        rows.clear()
        monkeypatch.setattr(where + "_RUN_BYTES", 8 * held)
        assert verify(native / "plain", native / "a.h5ad").problems == ()
        assert sum(rows) / 60 in passes
        assert max(rows) <= 12
