"""Every key of a virtual store is that of the export of the same data, whatever the data are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ready_inputs import INPUTS
from ready_sides import NAMES, save
from virtual_stores import assert_equals_export, export_store, opened


@pytest.mark.parametrize("name", INPUTS)
def test_each_key_is_that_of_the_export(tmp_path: Path, name: str) -> None:
    given = INPUTS[name]
    data = save(given.make(), tmp_path / "atlas.h5ad")
    options = {NAMES.get(key, key): value for key, value in given.options.items()}
    options["rename_duplicates"] = True
    exported = export_store(data, tmp_path, "atlas", **options)
    with opened(data, tmp_path, **options) as store:
        assert_equals_export(store, exported)


@pytest.mark.parametrize("name", ["pbmc68k_reduced", "cellrank_50"])
def test_each_key_of_real_files(
    tmp_path: Path, name: str, real_file: Callable[[str], Path]
) -> None:
    data = real_file(f"{name}.h5ad")
    exported = export_store(data, tmp_path, name)
    with opened(data, tmp_path) as store:
        assert_equals_export(store, exported)
