"""What the bytes of an export depend on: its input, the options, and the software."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from cellucid_dask.errors import InputError
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.model import Source
from cellucid_dask.source.storage.fingerprint import short_digest, take_fingerprint

SOFTWARE = ("cellucid-dask", "numpy", "zlib-ng")
Provenance = Mapping[str, str]
LONG = 160  # characters of a value beyond which a digest stands for it


def collect_provenance(
    source: Source, catalog: Catalog, options: ExportOptions, gene_path: str
) -> dict[str, str] | None:
    """Facts by name; runs with equal facts may resume one another's work.

    None for data that lives in memory, which has no fingerprint.

    Parameters
    ----------
    gene_path
        ``native`` or ``numpy``, whose spill files and compressed genes differ.

    Raises
    ------
    InputError
        When the input is gone.
    """
    if source.path is None or source.local:
        return None
    facts = {**_input(source.path), **_shapes(source, catalog), **_options(options), **_software()}
    return facts if catalog.genes is None else {**facts, "gene path": gene_path}


def differences(was: Provenance, now: Provenance | None) -> list[str]:
    """Say what is not the same; all of it when there is nothing `now`."""
    if now is None:
        return [f"input was {was.get('input', 'another')}, is in memory"]
    return [
        f"{name} was {was.get(name, 'not there')}, is {now.get(name, 'not there')}"
        for name in dict.fromkeys([*was, *now])
        if was.get(name) != now.get(name)
    ]


def refuse_changed_input(source: Source, provenance: Provenance | None) -> None:
    """Refuse to publish what was read partly before and partly after a change of the input.

    Raises
    ------
    InputError
        With what is not as it was.
    """
    if provenance is None or source.path is None:
        return
    now = _input(source.path)
    if found := differences({name: provenance.get(name, "") for name in now}, now):
        raise InputError(
            f"was changed while it was being exported: {'; '.join(found)}",
            where=source.path,
            fix="run again with --restart once nobody writes to it",
        )


def _input(path: str) -> dict[str, str]:
    try:
        found = take_fingerprint(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    facts = {"input": found.path, "size": f"{found.size:,} bytes", "mtime": _time(found.mtime_ns)}
    return facts | ({"times of its files": found.digest} if found.digest else {})


def _time(ns: int) -> str:
    moment = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09d}Z"


def _shapes(source: Source, catalog: Catalog) -> dict[str, str]:
    """Encodings and shapes of all that is read."""
    facts = {"cells": str(catalog.n_cells)}
    found = catalog.found
    vectors = {key for dims in found.vectors.values() for key in dims.values()}
    for key in sorted({*found.shown, *vectors, catalog.latent} - {""}):
        array: Any = source.obsm[key]
        facts[f"obsm/{key}"] = f"{array.dtype} {array.shape}"
    for column in catalog.obs:
        kind = "continuous"
        if column.code is not None:
            kind = f"{len(column.categories)} categories ({short_digest(column.categories)})"
        facts[f"obs/{column.key}"] = kind
    if catalog.genes is not None:
        facts["expression"] = _matrix(catalog.genes.matrix)
        facts["genes"] = _text(catalog.genes.ids)
    if catalog.graph is not None:
        facts[f"obsp/{catalog.graph_key}"] = _matrix(catalog.graph)
    return facts if catalog.ready is None else facts | _ready_shapes(catalog.ready)


def _ready_shapes(ready: ReadyCatalog) -> dict[str, str]:
    """What ready files hold."""
    facts = {"ready genes": _text(ready.gene_names), "ready record": _text(ready.record)}
    for name, columns in (("obs", ready.obs), ("var", ready.var)):
        for column in columns:
            facts[f"ready {name}/{column.layout.key}"] = _text(column.layout)
    for key, array in ready.obsm.items():
        facts[f"ready obsm/{key}"] = f"{array.dtype} {array.shape}"
    if ready.graph is not None:
        facts["ready graph"] = _matrix(ready.graph)
    return facts


def _matrix(matrix: Matrix) -> str:
    stored = f", {matrix.nnz:,} values" if isinstance(matrix, SparseMatrix) else ""
    return f"{matrix.layout} {matrix.dtype} {matrix.shape}{stored}"


def _options(options: ExportOptions) -> dict[str, str]:
    facts = {f"option {f.name}": _text(getattr(options, f.name)) for f in fields(options)}
    return facts | {"option created_at": options.fixed_timestamp() or "the present"}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        value = sorted(value.items())
    text = repr(value)
    if len(text) <= LONG:
        return text
    items = f"{len(value)}, " if isinstance(value, Sized) else ""
    return f"{text[:60]}... ({items}{short_digest(value)})"


def _software() -> dict[str, str]:
    return {name: version(name) for name in SOFTWARE}
