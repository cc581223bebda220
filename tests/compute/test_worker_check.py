"""The check of a worker against this process, and values that all tasks share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cellucid_dask.compute import shared
from cellucid_dask.compute.worker_check import (
    describe_requirements,
    find_differences,
    refuse_differences,
)
from cellucid_dask.errors import EngineError
from cellucid_dask.native.library import SWITCH


def test_a_worker_is_compared_with_this_process(tmp_path: Path) -> None:
    file, folder, none = tmp_path / "a file", tmp_path / "folder", tmp_path / "none"
    file.write_text("12345")
    folder.mkdir()
    what = describe_requirements(map(str, (file, folder, none)))
    seen = find_differences(what)
    assert (seen.versions, seen.paths) == ((), ())
    refuse_differences("w", seen)

    file.write_text("1234")  # another file by the same name
    folder.rmdir()
    seen = find_differences(what)
    assert seen.paths == (str(file), str(folder))
    with pytest.raises(EngineError, match=r"worker w on .*does not see .*a file, .*folder") as told:
        refuse_differences("w", seen)
    assert "share" in str(told.value)


def test_different_versions_are_reported_for_both_sides() -> None:
    what = describe_requirements([])
    assert ("python", "{}.{}".format(*sys.version_info)) in what.versions
    other = type(what)((("cellucid-dask", "9.9"), ("no-such-package", "1"), *what.versions), ())
    seen = find_differences(other)
    assert [name for name, *_ in seen.versions] == ["cellucid-dask", "no-such-package"]
    with pytest.raises(EngineError, match=r"this process has cellucid-dask 9\.9") as told:
        refuse_differences("w", seen)
    assert "no-such-package none" in str(told.value)


def test_a_worker_needs_the_native_library_when_this_process_uses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SWITCH, "0")  # on the worker
    refuse_differences("w", find_differences(describe_requirements([], native=False)))
    seen = find_differences(describe_requirements([], native=True))
    with pytest.raises(EngineError, match=r"worker w on .*cannot use the native library") as told:
        refuse_differences("w", seen)
    assert "CELLUCID_DASK_NATIVE=0 is set" in str(told.value)
    assert "python -m cellucid_dask.native.build" in str(told.value)


def test_values_that_all_tasks_share_are_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "spill 100%"
    folder.mkdir()
    value = {"a": range(3), "b": ("x", None)}
    first = shared.share(str(folder), "first", value)
    second = shared.share(str(folder), "second", [1])
    assert [path.name for path in sorted(folder.iterdir())] == ["first.pickle", "second.pickle"]
    assert first.load() == value
    assert first.load() is first.load()  # read once
    assert second.load() == [1]
    with pytest.raises(FileNotFoundError):
        shared.Shared(str(folder / "none.pickle")).load()
