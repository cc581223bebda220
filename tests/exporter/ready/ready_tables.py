"""Tables of a source written as the tables of a ready file, and read back with anndata."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from oracle import silent

from cellucid_dask.exporter.checks.genes import survey_genes
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.tables import survey_tables
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, Target
from cellucid_dask.exporter.stages.ready.tables import table_units
from cellucid_dask.exporter.stages.ready.units import do_unit
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.layout import ReadyLayout
from cellucid_dask.ready.zarr_documents import write_zarr_documents
from cellucid_dask.source.model import Source

N = 30


def table(n: int = N) -> pd.DataFrame:
    """A column of each type that a ready file holds."""
    rng = np.random.default_rng(0)

    def turns(*values: Any) -> list[Any]:
        return [values[i % len(values)] for i in range(n)]

    columns = {
        "half": rng.random(n).astype("f2"),
        "float": rng.random(n).astype("f4"),
        "double": np.where(rng.random(n) < 0.3, np.nan, rng.random(n)),
        "byte": rng.integers(-9, 9, n).astype("i1"),
        "word": rng.integers(0, 60_000, n).astype("u2"),
        "long": rng.integers(-(2**60), 2**60, n),
        "flag": rng.random(n) < 0.5,
        "flag_complete": pd.array(turns(True, False), dtype="boolean"),
        "flag_missing": pd.array(turns(True, None, False), dtype="boolean"),
        "int_complete": pd.array(turns(4, -2), dtype="Int16"),
        "int_missing": pd.array(turns(4, None, 255), dtype="UInt8"),
        "ordered": pd.Categorical(turns("z", "a", "m"), categories=list("zmaq"), ordered=True),
        "some": pd.Categorical(turns("b", None, "a")),
        "none": pd.Categorical([None] * n, categories=["a"]),
        "by_int": pd.Categorical(turns(7, 1, 3)),
        "by_float": pd.Categorical(turns(0.5, 2.25)),
        "by_flag": pd.Categorical(turns(True, False, True)),
        "codes": pd.Categorical(turns("x", "y")),  # a name that members of columns have
        "categories": rng.random(n),
        "values": pd.array(turns(1, None), dtype="Int32"),
        "text": turns("t2", "t\u00e9", "t10", ""),
        "unique": [f"u{i}" for i in range(n)],
    }
    return pd.DataFrame(columns, index=[f"cell{i}" for i in range(n)])


def survey(source: Source, **options: Any) -> ReadyCatalog:
    """The catalog of the tables, with its problems."""
    chosen = ExportOptions(format="zarr", **options)
    catalog = ReadyCatalog(source.n_cells, source)
    if options.get("expression", True):
        catalog.genes = survey_genes(source, chosen, catalog)
    survey_tables(source, chosen, catalog)
    return catalog


def store(source: Source, folder: Path, zarr_format: Any = 2, **options: Any) -> Path:
    """Write obs and var, each unit once, as a zarr store."""
    catalog = survey(source, **options)
    assert catalog.problems == []
    out, parts, scratch = (folder / name for name in ("out.zarr", "parts", "scratch"))
    for made in (out, parts, scratch):
        made.mkdir(parents=True)
    coding: Any = f"zarr{zarr_format}"
    stores = ChunkStores((Target("zarr", coding, str(out)),), str(parts), str(scratch))
    units = table_units(catalog, stores)
    works = [do_unit(unit) for unit in reversed(units)]
    assert [work.key for work in works] == [unit.key for unit in reversed(units)]
    layout = ReadyLayout(
        catalog.n_cells,
        len(catalog.gene_names),
        {},
        var=[column.layout for column in catalog.var],
        obs=[column.layout for column in catalog.obs],
    )
    stored: Counter[str] = Counter()
    for receipts in (receipts for work in works for receipts in work.chunks):
        stored[receipts.array] += len(receipts.chunks)
    assert stored == {
        path: node.n_chunks for path, node in layout.arrays().items() if node.n_chunks
    }
    write_zarr_documents(str(out), str(parts), layout.nodes(), zarr_format)
    return out


def as_stored(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column as a ready file has it."""
    if isinstance(column.dtype, pd.StringDtype) or column.dtype == object:
        if column.notna().all() and column.is_unique:
            return column.astype(object)
        texts = sorted(set(column.dropna()))
        return column.astype(object).astype(pd.CategoricalDtype(pd.Index(texts, dtype=object)))
    if isinstance(column.dtype, pd.BooleanDtype) and column.notna().all():
        return column.astype(bool)
    if pd.api.types.is_extension_array_dtype(column.dtype) and column.dtype.kind in "iu":
        return column.astype(column.dtype.numpy_dtype) if column.notna().all() else column
    return column


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Same names, types, values and categories, whatever pandas makes of text."""
    assert list(found.columns) == list(expected.columns)
    assert list(found.index) == list(expected.index)
    for key in expected:
        ours, theirs = found[key], as_stored(expected[key])
        if isinstance(theirs.dtype, pd.CategoricalDtype):
            assert ours.cat.ordered == theirs.cat.ordered, key
            assert list(ours.cat.categories) == list(theirs.cat.categories), key
            text = theirs.cat.categories.dtype.kind == "O"
            assert text or ours.cat.categories.dtype == theirs.cat.categories.dtype, key
            ours, theirs = ours.cat.codes, theirs.cat.codes
        elif theirs.dtype == object:
            ours = ours.astype(object)
        pd.testing.assert_series_equal(ours, theirs, check_names=False, check_index_type=False)


def read(path: Path) -> ad.AnnData:
    """Read a store with anndata."""
    found: ad.AnnData = silent(ad.read_zarr, path)
    return found
