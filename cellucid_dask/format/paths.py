"""The paths of binary files: `parse` is the inverse of `Resource.path`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cellucid_dask.format.codes import value_ext
from cellucid_dask.format.names import safe

Kind = Literal[
    "points", "embedding", "vectors", "values", "codes", "outliers", "ids", "gene", "src", "dst"
]

_PATTERNS: Final[Mapping[Kind, str]] = {
    "points": "points_{dim}d.bin",
    "embedding": "points/{name}_{dim}d.bin",
    "vectors": "vectors/{name}_{dim}d.bin",
    "values": "obs/{name}.values.{ext}",
    "codes": "obs/{name}.codes.{ext}",
    "outliers": "obs/{name}.outliers.{ext}",
    "ids": "obs/_index.ids",  # the safe name of no column begins with _
    "gene": "var/{name}.values.{ext}",
    "src": "connectivity/edges.src.bin",
    "dst": "connectivity/edges.dst.bin",
}
_GROUPS: Final = {"dim": "(?P<dim>[123])", "name": "(?P<name>[A-Za-z0-9._-]+)"}
_EXTS: Final[Mapping[Kind, str]] = {"codes": "u8|u16"}


def _regex(kind: Kind) -> re.Pattern[str]:
    pattern = re.escape(_PATTERNS[kind]).replace(r"\{", "{").replace(r"\}", "}")
    ext = f"(?P<ext>{_EXTS.get(kind, 'f32|u8|u16')})"
    return re.compile(pattern.format(ext=ext, **_GROUPS) + r"(?P<gz>\.gz)?")


_REGEXES: Final[Mapping[Kind, re.Pattern[str]]] = {kind: _regex(kind) for kind in _PATTERNS}


@dataclass(frozen=True, slots=True)
class Resource:
    """One binary file of an export.

    Parameters
    ----------
    kind
        Which array the file holds; ``embedding`` is an additional one, ``points`` the default of
        its dimension.
    name
        Safe name of the obs column, gene, vector field or additional embedding; empty for points
        and edges.
    dim
        Dimension of points, embeddings and vectors, else 0.
    ext
        ``f32``, ``u8`` or ``u16`` for obs and genes, else ``bin``.
    gz
        Whether the file is a gzip member.
    """

    kind: Kind
    name: str = ""
    dim: int = 0
    ext: str = "bin"
    gz: bool = False

    @property
    def path(self) -> str:
        """Path relative to the export, with forward slashes."""
        base = _PATTERNS[self.kind].format(name=self.name, dim=self.dim, ext=self.ext)
        return base + (".gz" if self.gz else "")


def gene_paths(genes: Iterable[str], bits: int | None, *, gz: bool) -> list[str]:
    """Paths of the files of genes, as `Resource.path` gives each; fast for many."""
    before, after = Resource("gene", "*", ext=value_ext(bits), gz=gz).path.split("*")
    return [f"{before}{safe(gene)}{after}" for gene in genes]


def parse(path: str) -> Resource:
    """Resource of a relative path: the inverse of `Resource.path`.

    Raises
    ------
    ValueError
        For every other spelling.
    """
    for kind, regex in _REGEXES.items():
        found = regex.fullmatch(path)
        if found is None:
            continue
        parts = found.groupdict()
        name = parts.get("name") or ""
        if name and safe(name) != name:
            break
        dim, ext = int(parts.get("dim") or 0), parts.get("ext") or "bin"
        return Resource(kind, name, dim, ext, parts["gz"] is not None)
    raise ValueError(f"not a path of an export: {path!r}")
