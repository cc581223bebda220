"""`verify` finds ids of cells that are not those of the manifest or of the data."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from oracle import make_atlas
from verifying import OPTIONS, seal

from cellucid_dask import export
from cellucid_dask.verify import verify

CELLS = 4500  # three blocks


@pytest.mark.parametrize("level", [0, 6])
def test_verify_finds_wrong_ids(tmp_path: Path, saved: Callable[..., Path], level: int) -> None:
    path, out = saved(make_atlas(CELLS)), tmp_path / "out"
    export(path, out, compression=level, expression=False, **OPTIONS)
    manifest, stored = out / "obs_manifest.json", next((out / "obs").glob("_index*"))
    good, raw = json.loads(manifest.read_text()), stored.read_bytes()
    other = tmp_path / "other.h5ad"
    changed = make_atlas(CELLS)
    changed.obs_names = [*changed.obs_names[:-1], "another"]
    changed.write_h5ad(other)
    (problem,) = verify(out, other).problems
    assert "1 ids are not those of the index of obs" in problem
    index = good["_index"]
    for change, text in (
        ({"offsets": index["offsets"][:-1]}, "are not 3 blocks at the stated offsets"),
        ({"offsets": [0, 1, 2, len(raw)]}, "block 0"),
        ({"offsets": [0, 9, 8, len(raw)]}, "are not 3 blocks"),
        ({"blockSize": 2047}, "blockSize: is 2047, not 2048"),
        ({"blockSize": 0}, "blockSize: is 0, not 2048"),
        ({"path": "obs/other.ids"}, "path: is 'obs/other.ids'"),
        ({"offsets": "x"}, "offsets: is 'x'"),
    ):
        manifest.write_text(json.dumps({**good, "_index": {**index, **change}}))
        problems = verify(seal(out)).problems
        assert any(text in problem for problem in problems), (change, problems)
    manifest.write_text(json.dumps({key: good[key] for key in good if key != "_index"}))
    assert any("is not named in any manifest" in p for p in verify(seal(out)).problems)
    manifest.write_text(json.dumps(good))
    fewer = json.dumps(["a"]).encode()
    first = gzip.compress(fewer, mtime=0) if level else fewer
    stored.write_bytes(first.ljust(index["offsets"][1]) + raw[index["offsets"][1] :])
    assert any("block 0" in problem for problem in verify(seal(out)).problems)
