"""Columns of the page: quantized and live values, edges of any width."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import CELLS, STORAGE_OPTIONS, atlas, outlier_quantiles, score

from cellucid_dask import AnnDataServer, export
from cellucid_dask.native.library import load

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser

pytestmark = needs_browser
NATIVE_HEAD = bytes([31, 139, 8, 0, 0, 0, 0, 0, 0, 255])  # of gzip members of the encoder in C


def test_live_data_looks_like_its_export(page: Page, serve: Any, served: Any) -> None:
    page.open(served("float32"), "edges=1&vectors=velocity_umap&outliers=0.9")
    exported = page.picture()
    state = page.open(serve(atlas(), AnnDataServer), page.hash())
    assert state["drawn"] == CELLS - (outlier_quantiles(atlas(), "the group (x)") > 0.9).sum()
    assert np.array_equal(page.picture(), exported)
    assert page.color_by("score")["colorBy"] == "obs:score"


DECODE = """
const [folder, columnId, done] = arguments;
(async () => {
  const part = (name) => import(new URL(`_cellucid/page/data/${name}.js`, document.baseURI));
  const [{ Dataset }, { Reader }] = await Promise.all([part("dataset"), part("reader")]);
  const { signal } = new AbortController();
  const reader = new Reader(new URL(folder, document.baseURI), signal, () => {});
  const dataset = new Dataset(await reader.readJson("dataset_identity.json"));
  await Promise.all([dataset.readFields(reader), dataset.readGenes(reader)]);
  const column = await dataset.readColumn(reader, columnId);
  const values = [...column.codes.keys()].map((i) => column.value(i));
  const { lo, hi, missingCount } = column;
  done({ values, lo, hi, missingCount, edges: [...(await dataset.readEdges(reader, 1e6))] });
})();
"""


def test_all_quantizations_and_compressions_are_decoded(
    page: Page, serve: Any, exports: Path
) -> None:
    """Quantized and float32 values, compressed or not, and edges of any width."""
    adata = atlas()
    for name, dtype in (("uint16", "uint32"), ("float32", "uint64")):
        widen_edges(exports / name, dtype)
    packed = {**STORAGE_OPTIONS["float32"], "compression": 6}
    ids = {"dataset_id": "packed", "dataset_name": "Packed"}
    export(adata, exports / "packed", quiet=True, **ids, **packed)
    page.open(serve(exports), "dataset=uint8")
    expected = edges_of(exports / "float32", "uint64").ravel().tolist()
    columns = {"obs:score": score(), "gene:Gene7": adata[:, "Gene7"].X.toarray().ravel()}
    for form, options in {**STORAGE_OPTIONS, "packed": packed}.items():
        stored = [path.read_bytes() for path in (exports / form / "var").glob("Gene7.*")]
        if load() is not None and options["compression"]:
            assert [content[:10] for content in stored] == [NATIVE_HEAD]
        for color, values in columns.items():
            found = page.driver.execute_async_script(DECODE, f"{form}/", color)
            lo, hi = np.nanmin(values), np.nanmax(values)
            assert (found["lo"], found["hi"]) == pytest.approx((lo, hi))
            assert found["missingCount"] == np.isnan(values).sum()
            bits = options["var_quantization"]
            step = (hi - lo) / (2**bits - 2) if bits else 1e-9
            read = np.array(found["values"], float)
            assert np.array_equal(np.isnan(read), np.isnan(values))
            assert np.nanmax(np.abs(read - values)) <= 1.01 * step, (form, color)
        assert found["edges"] == expected


def edges_of(folder: Path, dtype: str) -> np.ndarray[Any, Any]:
    parts = (np.fromfile(folder / f"connectivity/edges.{end}.bin", dtype) for end in ("src", "dst"))
    return np.column_stack(list(parts))


def widen_edges(folder: Path, dtype: str) -> None:
    """Give the edges of an export a wider integer type, as an export of many cells has."""
    manifest = json.loads((folder / "connectivity_manifest.json").read_text())
    for key in ("sourcesPath", "destinationsPath"):
        stored = (folder / manifest[key]).read_bytes()
        raw = gzip.decompress(stored) if manifest[key].endswith(".gz") else stored
        wide = np.frombuffer(raw, manifest["index_dtype"]).astype(dtype).tobytes()
        (folder / manifest[key]).write_bytes(
            gzip.compress(wide) if manifest[key].endswith(".gz") else wide
        )
    manifest.update(index_dtype=dtype, index_bytes=np.dtype(dtype).itemsize)
    (folder / "connectivity_manifest.json").write_text(json.dumps(manifest))
