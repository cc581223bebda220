"""A scratch file that cannot be written is named, and not the file that is written beside it."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from cellucid_dask.encode import Box
from cellucid_dask.exporter.on_demand import make_folders
from cellucid_dask.exporter.stages.embeddings import write_points
from cellucid_dask.exporter.stages.obs.distances import open_at
from cellucid_dask.format import Resource
from cellucid_dask.source.arrays.row_array import RowArray

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not Path(FULL).exists(), reason="there is no /dev/full here")


@needs_full
def test_points_in_scratch(tmp_path: Path) -> None:
    points = np.zeros((10_000, 2), np.float32)
    box = Box.of(points.min(axis=0), points.max(axis=0))
    folder, resource = str(make_folders(tmp_path).export), Resource("points", dim=2, gz=True)
    with pytest.raises(OSError, match="No space") as caught:
        write_points(folder, resource, RowArray.of(points), box, 6, FULL)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, FULL)


@needs_full
def test_files_of_several_tasks_know_their_path() -> None:
    with open_at(FULL, 0) as file:
        assert file.name == FULL
