"""Chunks that were copied in part are refused, whatever their codec makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from atlas import atlas, here
from chunked import KINDS, chunk_name, write_chunked
from numcodecs import Blosc

from cellucid_dask import CellucidDaskError, export
from cellucid_dask.verify import verify


def with_blosc(path: Path, key: str, zarr_format: int) -> Path:
    """Write the array at `key` anew with Blosc, which is what anndata gives zarr v2."""
    root = zarr.open_group(path, mode="r+")
    old = root[key]
    values, attrs = old[...], dict(old.attrs)
    group, _, name = key.rpartition("/")
    codec = Blosc("lz4") if zarr_format == 2 else zarr.codecs.BloscCodec(cname="lz4")
    made = root[group].create_array(
        name, shape=old.shape, chunks=(20,), dtype=old.dtype, compressors=codec, overwrite=True
    )
    made[...] = values
    made.attrs.update(attrs)
    return path / chunk_name(path, key, 1)


@pytest.mark.parametrize("kind", ["v2 .", "v3"])
@pytest.mark.parametrize("bytes_left", [0, 10, 60, -1])
def test_a_chunk_of_blosc_that_is_cut_off(tmp_path: Path, kind: str, bytes_left: int) -> None:
    path = write_chunked(atlas(), tmp_path / "atlas.zarr", KINDS[kind])
    export(path, tmp_path / "whole", quiet=True, workers=1, obs_keys=["cell_type"])
    chunk = with_blosc(path, "obs/n_counts", KINDS[kind].zarr_format)
    chunk.write_bytes(chunk.read_bytes()[:bytes_left])
    with pytest.raises(CellucidDaskError) as raised:
        export(path, tmp_path / "out", quiet=True, workers=1)
    (problem,) = raised.value.problems
    if bytes_left:
        assert "obs/n_counts, chunk 1 (items 20 to 39)" in problem.where
    else:  # which is found without reading it
        assert "1 is empty: its copy ended early" in problem.what
        assert problem.where.endswith("obs/n_counts")
    assert "truncated" in problem.fix
    assert not (tmp_path / "out").exists()


def test_the_same_for_genes_on_the_command_line_and_for_verify(tmp_path: Path, capfd: Any) -> None:
    path = write_chunked(atlas(), tmp_path / "atlas.zarr", KINDS["v2 ."], chunk=60)
    chunk = with_blosc(path, "X/data", 2)
    export(path, tmp_path / "whole", quiet=True, workers=1)
    assert not verify(tmp_path / "whole", path).problems
    chunk.write_bytes(chunk.read_bytes()[:-9])
    refused = here(capfd, "export", path, "-o", tmp_path / "out", "--workers", "1")
    assert refused.code != 0
    assert "X/data, chunk 1 (items 20 to 39): cannot be read" in refused.err
    with pytest.raises(CellucidDaskError, match="is cut off after"):
        verify(tmp_path / "whole", path)


def test_whole_chunks_are_read_as_before() -> None:
    from cellucid_dask.versions import refuse_cut_blosc

    refuse_cut_blosc()
    values, codec = np.arange(1000.0), Blosc("zstd")
    coded = codec.encode(values)
    out = np.empty_like(values)
    codec.decode(coded, out)
    np.testing.assert_array_equal(out, values)
    np.testing.assert_array_equal(np.frombuffer(codec.decode(bytes(coded))), values)
    with pytest.raises(RuntimeError, match="cut off after 0 bytes"):
        codec.decode(b"")
