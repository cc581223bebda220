"""A `Source` from what is in memory: an AnnData, also a backed one, or loose arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellucid_dask.errors import CellucidDaskError, InputError, ReadError
from cellucid_dask.source.arrays.matrix import Matrix, open_matrix, wrap_matrix
from cellucid_dask.source.arrays.obsm import wrap_obsm_array
from cellucid_dask.source.model import ARGUMENTS, COLORS_ENDING, Source, wrap_table
from cellucid_dask.source.storage.damage import DAMAGE, describe_damage, result_or_error
from cellucid_dask.source.storage.elements import encoding_of, find_element, require_element
from cellucid_dask.source.storage.store import Store, locate_store
from cellucid_dask.versions import layer_names

if TYPE_CHECKING:
    import pandas as pd

HERE = "AnnData in memory"
_UNREADABLE: tuple[type[Exception], ...] = (*DAMAGE, AttributeError)  # also of old encodings


def wrap_anndata(adata: Any) -> Source:
    """Describe an AnnData; of a backed one, X and raw are read from its file.

    Raises
    ------
    InputError
        For a view of a backed AnnData, whose rows are not those of the file.
    """
    store = _store_behind(adata)
    found: dict[str, Any] = {}
    if adata.X is not None:
        found["X"] = _matrix(adata.X, "X", store)
    raw_var = None
    if adata.raw is not None:
        found["raw/X"] = _matrix(adata.raw.X, "raw/X", store)
        raw_var = wrap_table(_table(adata.raw.var))
    for name in layer_names(adata):
        found[f"layers/{name}"] = _matrix(adata.layers[name], f"layers/{name}", store)
    for name in adata.obsp:
        found[f"obsp/{name}"] = _matrix(adata.obsp[name], f"obsp/{name}", store)
    return Source(
        name=Path(store.path).stem if store else "dataset",
        where=store.path if store else HERE,
        path=store.path if store else None,
        obs=wrap_table(_table(adata.obs)),
        var=wrap_table(_table(adata.var)),
        obsm={
            str(k): result_or_error(wrap_obsm_array, _plain(v), f"obsm/{k}")
            for k, v in adata.obsm.items()
        },
        matrices=found,
        raw_var=raw_var,
        record=_record(adata.uns),
        colors=_colors(adata.uns),
        local=True,
    )


def wrap_arrays(
    obs: pd.DataFrame,
    var: pd.DataFrame,
    obsm: Mapping[str, Any],
    matrices: Mapping[str, Any],
    name: str,
) -> Source:
    """Describe loose arrays as if an AnnData held them; used by `cellucid_dask.prepare`."""
    made: dict[str, Matrix | CellucidDaskError] = {
        key: result_or_error(wrap_matrix, value, key) for key, value in matrices.items()
    }
    arrays = {key: result_or_error(wrap_obsm_array, value, key) for key, value in obsm.items()}
    return Source(name, ARGUMENTS, None, wrap_table(obs), wrap_table(var), arrays, made, local=True)


def _store_behind(adata: Any) -> Store | None:
    if not adata.isbacked:
        return None
    if adata.is_view:
        raise InputError(
            "is a view of a backed AnnData",
            where=str(adata.filename),
            fix="call .to_memory() on it, or write it to a file and export that",
        )
    return locate_store(adata.filename)


def _matrix(value: Any, key: str, store: Store | None) -> Any:
    """In memory, or for what anndata left on disk its place there."""
    if store is None or (not hasattr(value, "file") and not hasattr(value, "group")):
        return result_or_error(wrap_matrix, _plain(value), key)
    with store.open() as root:
        # Its own name: raw.X before anndata 0.7, and mod/NAME/X of a MuData.
        there = getattr(value, "group", value).name.strip("/")
        return result_or_error(open_matrix, store, there, require_element(root, there))


def read_into_memory(store: Store) -> Any:
    """Read an AnnData file into memory, but for ``uns`` and what is never shown.

    Raises
    ------
    ReadError
        When anndata cannot read it.
    """
    import anndata

    try:
        with store.open() as root:
            if encoding_of(root) == "anndata":
                return _read_parts(root)
            if store.kind != "hdf5":
                return anndata.read_zarr(root)
        return anndata.read_h5ad(store.path)
    except _UNREADABLE as error:
        what, fix = describe_damage(error)
        raise ReadError(what, where=store.path, fix=fix) from error


def _read_parts(root: Any) -> Any:
    import anndata

    read = anndata.io.read_elem
    names = ("X", "obs", "var", "obsm", "obsp", "layers")
    parts = {
        name: read(require_element(root, name))
        for name in names
        if find_element(root, name) is not None
    }
    if find_element(root, "raw/X") is not None:
        parts["raw"] = {name: read(require_element(root, f"raw/{name}")) for name in ("X", "var")}
    return anndata.AnnData(**parts)


def _record(uns: Any) -> Any:
    """What the AnnData says of itself; an empty dict, not None, where it says nothing."""
    record = uns.get("cellucid")
    return {} if record is None else record


def _colors(uns: Any) -> dict[str, Any]:
    """What ``uns`` says of the colors of categories, by the name of the column."""
    names = [name for name in uns if isinstance(name, str) and name.endswith(COLORS_ENDING)]
    return {name.removesuffix(COLORS_ENDING): uns[name] for name in names}


def _plain(value: Any) -> Any:
    """What anndata.experimental.read_lazy holds in place of a DataFrame, as one."""
    return value.to_memory() if hasattr(value, "to_memory") else value


def _table(value: Any) -> pd.DataFrame:
    table: pd.DataFrame = _plain(value)
    return table
