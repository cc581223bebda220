"""Rules of ``uns``: the record that a viewer reads first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cellucid_dask.verify.ready_file.contents import ReadyContents
from cellucid_dask.verify.ready_file.names import is_address, is_id, is_shown_as_stored

_UNS: Final = "uns/cellucid"
_KEYS: Final = frozenset(
    {"schema", "id", "name", "description", "citation", "source", "defaults", "outlierQuantiles"}
)
_OPTIONAL: Final = frozenset({"priority"})  # of later releases of the viewer
_SLOTS: Final = {f"embedding{n}d": n for n in (1, 2, 3)}
_TEXTS: Final = ("modality", "geneIdColumn", "latentKey", "vectorFieldDefault", "knn", "expression")
_DEFAULTS: Final = {*_SLOTS, *_TEXTS, "obsKeys", "normalizeEmbeddings", "centroidMinPoints"}


def check_record(contents: ReadyContents) -> Iterator[str]:
    """Check ``uns``, and that what it names is there; takes the facts of outlier quantiles."""
    uns = contents.record
    for name in uns.keys() - {"title", "cellucid"}:
        yield f"uns/{name}: is not an element of a ready file"
    record = uns.get("cellucid")
    if not isinstance(record, dict):
        yield f"{_UNS}: is not a dict"
        return
    for name in record.keys() - _KEYS - _OPTIONAL:
        yield f"{_UNS}/{name}: is not a key of a ready file"
    if record.get("schema") != 1 or isinstance(record.get("schema"), bool):
        yield f"{_UNS}/schema: is {record.get('schema')!r}, not 1"
    yield from _check_identity(uns, record)
    for name, key in (("citation", "text"), ("source", "name")):
        if name in record:
            yield from _check_linked(f"{_UNS}/{name}", record[name], key)
    if "defaults" in record:
        yield from _check_defaults(contents, record["defaults"])
    if "outlierQuantiles" in record:
        yield from _check_quantile_facts(contents, record)


def _check_identity(uns: Mapping[str, Any], record: Mapping[str, Any]) -> Iterator[str]:
    identity, name = record.get("id"), record.get("name")
    if not isinstance(identity, str) or not is_id(identity):
        yield f"{_UNS}/id: {identity!r} is not an id"
    if not isinstance(name, str) or not name or not is_shown_as_stored(name):
        yield f"{_UNS}/name: {name!r} is not shown as it is stored"
    if uns.get("title") != name:
        yield f"uns/title: is {uns.get('title')!r}, but {_UNS}/name is {name!r}"
    if "description" in record:
        text = record["description"]
        if not isinstance(text, str) or not is_shown_as_stored(text):
            yield f"{_UNS}/description: is not shown as it is stored"


def _check_linked(path: str, linked: Any, key: str) -> Iterator[str]:
    if not isinstance(linked, dict):
        yield f"{path}: is not a dict"
        return
    for name in linked.keys() - {key, "url"}:
        yield f"{path}/{name}: is not a key of a ready file"
    text = linked.get(key)
    if not isinstance(text, str) or not text or not is_shown_as_stored(text):
        yield f"{path}/{key}: {text!r} is not shown as it is stored"
    if "url" in linked and not (isinstance(linked["url"], str) and is_address(linked["url"])):
        yield f"{path}/url: {linked['url']!r} is not an address that begins with http or https"


def _check_defaults(contents: ReadyContents, defaults: Any) -> Iterator[str]:
    path = f"{_UNS}/defaults"
    if not isinstance(defaults, dict):
        yield f"{path}: is not a dict"
        return
    for name in defaults.keys() - _DEFAULTS:
        yield f"{path}/{name}: is not a key of a ready file"
    for slot, n in _SLOTS.items():
        if slot in defaults:
            yield from _check_embedding(contents, f"{path}/{slot}", defaults[slot], n)
    known: dict[str, tuple[Any, str]] = {
        "latentKey": (contents.obsm, "obsm"),
        "geneIdColumn": ({*contents.var, "index"}, "var"),
        "vectorFieldDefault": (_vector_fields(contents), "obsm"),
    }
    for name, (keys, table) in known.items():
        if name in defaults and defaults[name] not in keys:
            yield f"{path}/{name}: {table} has no {defaults[name]!r}"
    yield from _check_numbers(path, defaults)
    names = defaults.get("obsKeys", [])
    absent = set(names if isinstance(names, list) else [names]) - contents.obs.keys()
    yield from (f"{path}/obsKeys: obs has no {name!r}" for name in sorted(map(str, absent)))


def _check_numbers(path: str, defaults: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(defaults.get("normalizeEmbeddings", True), bool):
        yield f"{path}/normalizeEmbeddings: is not true or false"
    least = defaults.get("centroidMinPoints", 1)
    if not _is_positive(least):
        yield f"{path}/centroidMinPoints: is {least!r}, not a positive number"


def _check_embedding(contents: ReadyContents, path: str, chosen: Any, n: int) -> Iterator[str]:
    key, columns = chosen, None
    if isinstance(chosen, dict):
        key, columns = chosen.get("key"), chosen.get("columns")
    array = contents.obsm.get(key) if isinstance(key, str) else None
    if array is None:
        yield f"{path}: obsm has no {key!r}"
    elif columns is None:
        if array.shape[1] < n:
            yield f"{path}: obsm[{key!r}] has {array.shape[1]} columns, not {n}"
    elif (
        not isinstance(columns, list)
        or len(columns) != n
        or not all(isinstance(i, int) and 0 <= i < array.shape[1] for i in columns)
    ):
        yield f"{path}: the columns {columns!r} are not {n} of obsm[{key!r}]"


def _vector_fields(contents: ReadyContents) -> set[str]:
    """Names of vector fields: ``a`` of the key ``a_umap`` where obsm has ``X_umap``."""
    found = set()
    for key, array in contents.obsm.items():
        for base, other in contents.obsm.items():
            ending = f"_{base.removeprefix('X_')}"
            same = array.shape == other.shape and not key.startswith("X_")
            if same and base.startswith("X_") and key.endswith(ending):
                found.add(key.removesuffix(ending))
    return found


def _check_quantile_facts(contents: ReadyContents, record: Mapping[str, Any]) -> Iterator[str]:
    path, quantiles = f"{_UNS}/outlierQuantiles", record["outlierQuantiles"]
    if not isinstance(quantiles, dict) or quantiles.keys() != {"latentKey", "minPoints", "fields"}:
        yield f"{path}: has not the keys latentKey, minPoints and fields"
        return
    latent, least = quantiles["latentKey"], quantiles["minPoints"]
    defaults = record.get("defaults")
    if not isinstance(defaults, dict) or defaults.get("latentKey") != latent:
        yield f"{path}/latentKey: is {latent!r}, not that of the defaults"
    if latent not in contents.obsm:
        yield f"{path}/latentKey: obsm has no {latent!r}"
    if not _is_positive(least):
        yield f"{path}/minPoints: is {least!r}, not a positive number"
    elif latent in contents.obsm:
        contents.quantile_facts = latent, least
    for name in contents.quantiles.keys() - contents.obs.keys():
        yield f"{path}/fields/{name}: obs has no such column"


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
