"""What the record of the input, ``uns['cellucid']``, says in place of options that were not given.

A ready file says so what it is called and how it is shown, in an export folder and in a server too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.exporter.checks.ready.defaults import is_count, stored_defaults
from cellucid_dask.exporter.checks.ready.texts import id_fault, text_fault, url_fault
from cellucid_dask.format import DIMENSIONS
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.vector_fields import find_vector_fields
from cellucid_dask.source.model import Frame, Source
from cellucid_dask.source.record import PLACE, read_record

# Options of a folder by their place in the record, and what finds faults of a text there.
_TEXTS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "dataset_id": ("id", id_fault),
    "dataset_name": ("name", text_fault),
    "description": ("description", text_fault),
    "citation": ("citation/text", text_fault),
    "source_name": ("source/name", text_fault),
    "source_url": ("source/url", url_fault),
}


def use_record(source: Source, options: ExportOptions) -> tuple[Source, ExportOptions]:
    """Fill options of a folder that were not given from the record of the input.

    What cannot be used stays as if the input had no record.

    Returns
    -------
    The source, which warns of what cannot be used, and the options.
    """
    try:
        given = read_record(source)
    except CellucidDaskError as error:
        warning = f"{PLACE} of the data is not used: it {error.problems[0].what}"
        return replace(source, warnings=(*source.warnings, warning)), options
    if not given:
        return source, options
    found = _Found(source, options)
    found.add_texts(given)
    defaults = stored_defaults(given)
    found.add_embeddings(defaults)
    found.add_columns(defaults)
    source = replace(source, warnings=(*source.warnings, *found.warnings))
    return source, replace(options, **found.values)


@dataclass(slots=True)
class _Found:
    """Values of options that the record has, and warnings of what cannot be used.

    Parameters
    ----------
    values
        By the field of the options.
    """

    source: Source
    options: ExportOptions
    values: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add_texts(self, given: Mapping[str, Any]) -> None:
        """Add the texts that describe the dataset."""
        for option, (place, find_fault) in _TEXTS.items():
            text: Any = given
            for key in place.split("/"):
                text = text.get(key) if isinstance(text, Mapping) else None
            own = getattr(self.options, option)  # an empty one leaves out that of the record
            if text in (None, "") or own or (own is not None and option != "description"):
                continue
            fault = find_fault(text)
            if fault:
                self._warn(place, fault)
            else:
                self.values[option] = text

    def add_embeddings(self, defaults: Mapping[str, Any]) -> None:
        """Add the embeddings that are shown, and the latent space."""
        widths = {
            key: array.shape[1]
            for key, array in self.source.obsm.items()
            if not isinstance(array, CellucidDaskError)
        }
        embeddings = dict(self.options.embeddings)
        for dim in DIMENSIONS:
            spec = defaults.get(f"embedding{dim}d")
            if spec is None or dim in self.options.embeddings:
                continue
            key = _whole_array(spec, dim)
            if widths.get(key) == dim and key not in find_vector_fields(widths):
                embeddings[dim] = key
            else:
                why = f"it does not name an array of {dim} columns"
                self._warn(f"defaults/embedding{dim}d", why)
        self.values["embeddings"] = embeddings
        latent = defaults.get("latentKey")
        if latent is None or self.options.latent_key is not None:
            return
        if isinstance(latent, str) and latent in widths:
            self.values["latent_key"] = latent
        else:
            self._warn("defaults/latentKey", f"obsm has no array {latent!r:.60}")

    def add_columns(self, defaults: Mapping[str, Any]) -> None:
        """Add the columns of obs, the smallest category, and the column of gene ids."""
        keys, least = defaults.get("obsKeys"), defaults.get("centroidMinPoints")
        if keys is not None and self.options.obs_keys is None:
            listed = list(dict.fromkeys(map(str, keys))) if isinstance(keys, list) else []
            there = tuple(key for key in listed if key in self.source.obs.columns)
            if there:
                self.values["obs_keys"] = there
            if list(there) != keys:
                self._warn("defaults/obsKeys", "it names what is no column of obs")
        if is_count(least) and self.options.centroid_min_points is None:
            self.values["centroid_min_points"] = least
        column = defaults.get("geneIdColumn")
        # Who chooses genes does so by the ids that the data have without a record.
        if column is None or self.options.gene_id_column != "index" or self.options.genes:
            return
        if self._has_ids(column):
            self.values["gene_id_column"] = column
        else:
            why = f"var has no column {column!r:.60} of unique texts"
            self._warn("defaults/geneIdColumn", why)

    def _has_ids(self, name: Any) -> bool:
        """Whether a column of var can name the genes."""
        table = self.source.raw_var if self.options.raw else self.source.var
        column = table.columns.get(name) if isinstance(table, Frame) else None
        if column is None or isinstance(column, CellucidDaskError):
            return False
        try:
            ids = column.strings()
        except (CellucidDaskError, TypeError):
            return False
        return len(set(ids)) == len(ids)

    def _warn(self, place: str, why: str) -> None:
        self.warnings.append(f"{PLACE}/{place} of the data is left out: {why}")


def _whole_array(spec: Any, dim: int) -> Any:
    """Key of an embedding of the record that is all of an array; None for some columns of one."""
    if not isinstance(spec, Mapping):
        return spec if isinstance(spec, str) else None
    return spec.get("key") if spec.get("columns") in (None, [*range(dim)]) else None
