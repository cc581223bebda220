"""The other name of each gene: in the manifest of an export and live, where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from oracle import make_atlas
from serving import ask, serving

from cellucid_dask import export
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source
from cellucid_dask.verify import verify

IDS = [f"ENSG{i:011d}" for i in range(30)]
NAMES = [f"S{i}" for i in range(30)]


def atlas_with(index: list[str], **columns: Any) -> AnnData:
    atlas = make_atlas()
    atlas.var = pd.DataFrame(columns, index=index)
    return atlas


def symbols(data: Any, **options: Any) -> tuple[str, list[str | None]] | None:
    genes = survey(open_source(data), ExportOptions(**options)).genes
    assert genes is not None
    found = genes.symbols
    return None if found is None else (found.column, list(found.names))


def test_symbols_of_ids_and_ids_of_symbols() -> None:
    both = {"gene_ids": IDS, "Gene_Symbol": NAMES, "feature_name": NAMES}
    assert symbols(atlas_with(IDS, Gene_Symbol=NAMES)) == ("Gene_Symbol", NAMES)
    assert symbols(atlas_with(IDS, **both)) == ("feature_name", NAMES), "the first of the list"
    assert symbols(atlas_with(NAMES, **both)) == ("gene_ids", IDS)
    by_name = atlas_with(IDS, **both)
    assert symbols(by_name, gene_id_column="feature_name") == ("index", IDS)
    by_id = atlas_with(NAMES, **both)
    assert symbols(by_id, gene_id_column="gene_ids") == ("feature_name", NAMES)
    assert symbols(atlas_with(NAMES, ensembl=IDS), gene_id_column="ensembl") == ("index", NAMES)


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert symbols(atlas_with(NAMES)) is None
    assert symbols(atlas_with(NAMES, symbol=NAMES)) is None, "which are the ids"
    assert symbols(atlas_with(IDS, symbol=np.arange(30))) is None, "which are numbers"
    numbered = atlas_with([str(i) for i in range(30)], feature_name=NAMES)
    assert symbols(numbered, gene_id_column="feature_name") is None, "row numbers are no names"
    assert symbols(atlas_with(IDS, symbol=[None] * 30)) is None


def test_genes_without_another_name() -> None:
    names = pd.Categorical([None, IDS[1], "", *NAMES[3:]])
    found = symbols(atlas_with(IDS, symbol=names), genes=tuple(IDS[4::-1]))
    assert found == ("symbol", ["S4", "S3", None, None, None])


@pytest.mark.parametrize("name", ["atlas.h5ad", "atlas.zarr"])
def test_an_export_and_a_server_have_them_and_verify_reads_them(
    tmp_path: Path, saved: Callable[..., Path], name: str
) -> None:
    path, out = saved(atlas_with(IDS, feature_name=pd.Categorical(NAMES)), name), tmp_path / "out"
    export(path, out, quiet=True, genes=tuple(IDS[10:20]))
    manifest = json.loads((out / "var_manifest.json").read_text())
    assert manifest["_symbols"] == {"column": "feature_name", "names": NAMES[10:20]}
    assert verify(out, path).problems == ()
    with serving(path) as server:
        assert json.loads(ask(server, "/var_manifest.json").body)["_symbols"]["names"] == NAMES
    for change, problem in (
        ({"names": NAMES[10:19]}, "has 9 names for 10 genes"),
        ({"names": [*NAMES[10:19], "other"]}, "1 names are not those of the data"),
        ({"names": [*NAMES[10:19], IDS[19]]}, "repeats the id of 1 genes"),
        ({"column": "other"}, "there is no var['other']"),
        ({"names": 5}, "is 5"),
    ):
        changed = {**manifest, "_symbols": {**manifest["_symbols"], **change}}
        (out / "var_manifest.json").write_text(json.dumps(changed))
        assert any(problem in line for line in verify(out, path).problems), change
