"""Colors of categories in uns: in the manifest of an export and live, or a warning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from multimodal import write_mudata
from oracle import make_atlas, silent
from serving import ask, serving
from versions import ZARR_KINDS, write_zarr

from cellucid_dask import export
from cellucid_dask.exporter.checks.survey import Catalog, survey
from cellucid_dask.format import color_code
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source
from cellucid_dask.verify import verify

Save = Callable[..., Path]
GIVEN = ["#FF0000", "#0f0", "tab:blue", "#00000080", "Grey"]
CODES = ["#ff0000", "#00ff00", "#1f77b4", "#000000", "#808080"]


def colored() -> AnnData:
    """An atlas with colors of three columns: enough of one, more, and of truth values."""
    atlas = make_atlas()
    atlas.obs["flag"] = np.arange(220) % 2 == 0
    atlas.uns["group_colors"] = GIVEN
    atlas.uns["rare_colors"] = np.array(["#111111", "#222222", "#333333"])
    atlas.uns["flag_colors"] = ["black", "white"]
    atlas.uns["score_colors"] = ["#123456"]  # of a column of numbers
    return atlas


def look(data: Any, **options: Any) -> Catalog:
    modality = options.pop("modality", None)
    return survey(open_source(data, modality), ExportOptions(**options))


def colors_of(catalog: Catalog) -> dict[str, list[str]]:
    return {column.key: list(column.colors) for column in catalog.obs if column.colors}


ALL = {"group": CODES, "rare": ["#111111", "#222222"], "flag": ["#000000", "#ffffff"]}


@pytest.mark.parametrize("kind", ["memory", "h5ad", *ZARR_KINDS])
def test_colors_of_any_input(tmp_path: Path, saved: Save, kind: str) -> None:
    data: Any = colored()
    if kind in ZARR_KINDS:
        data = write_zarr(data, tmp_path / "atlas.zarr", kind)
    elif kind == "h5ad":
        data = saved(data)
    found = look(data)
    assert colors_of(found) == ALL
    assert not found.warnings


def test_an_export_and_a_server_have_them_and_verify_reads_them(
    tmp_path: Path, saved: Save
) -> None:
    path, out = saved(colored()), tmp_path / "out"
    export(path, out, quiet=True)
    manifest = json.loads((out / "obs_manifest.json").read_text())
    assert manifest["_categoryColors"] == ALL
    assert verify(out, path).problems == ()
    with serving(path) as server:
        assert json.loads(ask(server, "/obs_manifest.json").body)["_categoryColors"] == ALL


def test_without_colors_there_is_no_member(tmp_path: Path, atlas: AnnData) -> None:
    export(atlas, tmp_path / "out", quiet=True)
    assert "_categoryColors" not in json.loads((tmp_path / "out/obs_manifest.json").read_text())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (GIVEN[:4], "has colors for 4 of 5 categories"),
        ([*GIVEN[:4], "no color"], "has 'no color' for 'e', which is no known color"),
        (np.arange(5), "has 0 for 'a', which is no known color"),
        ({"a": "red"}, "is "),
        (np.zeros((5, 3)), ""),
        ("red", "has colors for 1 of 5 categories"),
    ],
)
def test_what_is_no_list_of_colors_is_a_warning(saved: Save, given: Any, reason: str) -> None:
    atlas = colored()
    atlas.uns["group_colors"] = given
    for data in (atlas, saved(atlas)):
        found = look(data)
        assert set(colors_of(found)) == {"rare", "flag"}
        (warning,) = found.warnings
        assert warning.startswith("colors of obs['group'] are not used: uns['group_colors'] ")
        assert reason in warning


def test_colors_of_cells_that_are_left_out_stay_with_their_categories(saved: Save) -> None:
    atlas = colored()
    gone = atlas.obs["group"].to_numpy() == "b"
    atlas.obsm["X_umap_2d"][gone] = np.nan
    path = saved(atlas)
    left = [code for code in CODES if code != "#00ff00"]
    assert colors_of(look(path, drop_cells_without_embedding=True))["group"] == left
    out = path.with_name("out")
    export(path, out, quiet=True, drop_cells_without_embedding=True)
    assert verify(out, path, drop_cells_without_embedding=True).problems == ()


def test_a_modality_has_colors_of_its_own(tmp_path: Path) -> None:
    own = colored()
    whole = pd.DataFrame({"group": own.obs["group"], "joint": own.obs["group"]})
    uns = {"group_colors": ["red"] * 5, "joint_colors": ["blue"] * 5, "rare_colors": ["red"] * 2}
    path = write_mudata(tmp_path / "joint.h5mu", {"rna": own}, whole, uns=uns)
    found = colors_of(look(path, modality="rna"))
    assert found == {**ALL, "joint": ["#0000ff"] * 5}
    out = tmp_path / "out"
    export(path, out, modality="rna", quiet=True)
    assert verify(out, path, modality="rna").problems == ()


def test_only_as_many_are_read_as_there_are_categories(
    saved: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    atlas = colored()
    atlas.uns["group_colors"] = [*GIVEN, *["#123456"] * 100_000]
    atlas.uns["large"] = np.zeros(1000)
    path, read = saved(atlas), []
    get = h5py.Dataset.__getitem__

    def recorded(self: h5py.Dataset, *index: Any, **options: Any) -> Any:
        if self.name.startswith("/uns"):
            read.append((self.name, *index))
        return get(self, *index, **options)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", recorded)
    assert colors_of(look(path))["group"] == CODES
    assert ("/uns/group_colors", slice(None, 5)) in read
    assert {name for name, *_ in read} == {f"/uns/{key}_colors" for key in ALL}


def test_damaged_colors_are_a_warning(saved: Save) -> None:
    path = saved(colored())
    with h5py.File(path, "r+") as file:
        del file["uns/group_colors"]
        file["uns/group_colors"] = h5py.SoftLink("/nowhere")
    found = look(path)
    assert set(colors_of(found)) == {"rare", "flag"}
    assert "is a link to /nowhere, which is not there" in found.warnings[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"group": CODES[:4]}, "has 4 colors for 5 categories"),
        ({"group": [*CODES[:4], "red"]}, "'red' is not written as #rrggbb"),
        ({"score": []}, "is no column of categories"),
        ({"group": [*CODES[:4], "#123456"]}, "the colors are not those of the data"),
        ({"group": 5}, "is 5"),
    ],
)
def test_verify_finds_wrong_colors(
    tmp_path: Path, saved: Save, change: dict[str, Any], problem: str
) -> None:
    path, out = saved(colored()), tmp_path / "out"
    silent(export, path, out, quiet=True, expression=False)
    manifest = json.loads((out / "obs_manifest.json").read_text())
    manifest["_categoryColors"] |= change
    (out / "obs_manifest.json").write_text(json.dumps(manifest))
    assert any(problem in line for line in verify(out, path).problems)


@given(st.binary(min_size=3, max_size=3), st.booleans())
def test_codes_of_colors(raw: bytes, upper: bool) -> None:
    code = f"#{raw.hex()}"
    assert color_code(code.upper() if upper else code) == code
    assert color_code(code + "80") == code
    short = "#" + "".join(digit for digit in code[1::2])
    assert color_code(short) == "#" + "".join(2 * digit for digit in short[1:])
    assert color_code(code[:-1]) == color_code(code + "8") == ""
