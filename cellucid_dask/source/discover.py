"""Which arrays of an AnnData are embeddings, vector fields and the latent space.

Pure rules over names and shapes; the rules are those of the format's section on discovery.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cellucid_dask.format import DIMENSIONS
from cellucid_dask.source.model import MUDATA_PREFIX

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

LATENT = ("scanvi", "scvi", "X_scvi", "X_pca", "harmony", "X_harmony")
MORE_LATENT = (  # names that the reference does not know, taken after all of its own
    "X_spectral",
    "X_spectral_harmony",
    "X_mnn",
    "X_totalVI",
    "X_emb",
    "X_scanorama",
    "X_bbknn_pca",
)
GUESSED_COLUMNS = 1000  # of a latent space whose name says nothing, at most
# Names of other embeddings than UMAP, the likelier first; and of what is rather something else.
_LIKELY = ("umap", "tsne", "pacmap", "trimap", "mde", "phate", "draw_graph", "force")
_UNLIKELY = ("spatial", "pca", "diffmap", "velocity")
_FIELD = re.compile(r"(?!X_).*_umap(_[123]d)?")  # a vector field
_EXPLICIT = re.compile(r"(.*)_([123])d")


@dataclass(slots=True)
class Discovery:
    """What discovery decided.

    Parameters
    ----------
    embeddings
        obsm key of the default embedding of each dimension.
    additional
        Dimension of each additional embedding, by its obsm key.
    vectors
        obsm key by field and dimension.
    resolution
        ``umap_resolution`` of the identity, when there is an ``X_umap``.
    ignored
        Why a key that looks like an embedding or a vector field is not one.
    """

    embeddings: dict[int, str] = field(default_factory=dict)
    additional: dict[str, int] = field(default_factory=dict)
    vectors: dict[str, dict[int, str]] = field(default_factory=dict)
    resolution: dict[str, Any] | None = None
    ignored: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> list[str]:
        """The obsm keys of all embeddings, those of the defaults first."""
        return [*self.embeddings.values(), *self.additional]

    def add(self, additional: Mapping[str, int]) -> None:
        """Add additional embeddings; what is shown is not ignored."""
        self.additional |= additional
        for key in additional:
            self.ignored.pop(key, None)


def discover(
    shapes: Shapes,
    chosen: Mapping[int, str],
    vectors: Mapping[str, Mapping[int, str]] | None = None,
) -> Discovery:
    """Apply the rules to the shapes of obsm.

    Parameters
    ----------
    chosen
        Embeddings that the user names, by dimension.
    vectors
        Vector fields by name and dimension, where they are known: then none is looked for.
    """
    found = Discovery(embeddings=dict(chosen))
    shapes = {key: shape for key, shape in shapes.items() if not key.startswith(MUDATA_PREFIX)}
    _explicit_embeddings(shapes, found)
    _plain_umap(shapes, found)
    found.embeddings = dict(sorted(found.embeddings.items()))
    if vectors is None:
        _vectors(shapes, found)
    else:
        found.vectors = {name: dict(dims) for name, dims in vectors.items()}
    return found


def _explicit_embeddings(shapes: Shapes, found: Discovery) -> None:
    for dim in DIMENSIONS:
        key = f"X_umap_{dim}d"
        if key not in shapes or key in found.embeddings.values():
            continue
        if shapes[key][1:] != (dim,):
            found.ignored[key] = f"has {shapes[key][1]} columns, its name says {dim}"
        elif dim in found.embeddings:
            found.ignored[key] = f"{found.embeddings[dim]} was chosen for {dim}d"
        else:
            found.embeddings[dim] = key


def _plain_umap(shapes: Shapes, found: Discovery) -> None:
    key = "X_umap"
    if key not in shapes or key in found.embeddings.values():
        return
    dim = shapes[key][1]
    entry: dict[str, Any] = {"source_key": key, "action": "ignored"}
    if dim not in DIMENSIONS:
        entry |= {"reason": "unsupported_dim", "n_dims": dim}
        found.ignored[key] = f"has {dim} columns; 1 to 3 can be shown"
    elif dim in found.embeddings:
        entry |= {"reason": "explicit_key_present", "dim": dim, "alias_key": f"X_umap_{dim}d"}
        found.ignored[key] = f"{found.embeddings[dim]} is there for {dim}d"
    else:
        found.embeddings[dim] = key
        entry |= {"action": "used_as", "dim": dim, "alias_key": f"X_umap_{dim}d"}
    found.resolution = entry


def _vectors(shapes: Shapes, found: Discovery) -> None:
    explicit: list[tuple[str, str, int]] = []
    plain: list[tuple[str, str, int]] = []
    for key in shapes:
        match = _EXPLICIT.fullmatch(key)
        name = match[1] if match else key
        if name.endswith("_umap") and not name.startswith("X_"):
            (explicit if match else plain).append((key, name, int(match[2]) if match else 0))
    for key, name, said in explicit + plain:
        dim = shapes[key][1]
        if said and said != dim:
            found.ignored[key] = f"has {dim} columns, its name says {said}"
        elif dim not in found.embeddings:
            found.ignored[key] = f"is a vector field of {dim} dimensions, which no embedding has"
        elif dim in found.vectors.setdefault(name, {}):
            found.ignored[key] = f"{found.vectors[name][dim]} is there for {dim}d"
        else:
            found.vectors[name][dim] = key
    found.vectors = {name: dims for name, dims in found.vectors.items() if dims}


def guess_embedding(shapes: Shapes) -> tuple[int, str] | None:
    """Which array of 2 or 3 columns most likely is an embedding, where there is no UMAP.

    Returns
    -------
    Its dimension and key; None when obsm has no such array.
    """
    found = []
    for key, (_, width) in shapes.items():
        if width in (2, 3) and not _FIELD.fullmatch(key):
            name = key.casefold()
            rank = next((i for i, word in enumerate(_LIKELY) if word in name), len(_LIKELY))
            last = any(word in name for word in _UNLIKELY)
            found.append((last, rank, width, key))
    return min(found)[2:] if found else None


def choose_latent_key(
    shapes: Shapes, embeddings: Iterable[str], sparse: Container[str] = ()
) -> str | None:
    """Which obsm key is the latent space; None when nothing can be taken for one.

    A name decides; without a known one it is a guess.

    Parameters
    ----------
    sparse
        Keys of sparse arrays: peaks, tiles or fragments, which are never guessed. Neither are
        arrays of more than `GUESSED_COLUMNS` columns.
    """
    shown = set(embeddings)
    return named_latent_key(shapes, shown) or next(
        (
            key
            for key, shape in shapes.items()
            if key not in shown
            and key not in sparse
            and not key.startswith(MUDATA_PREFIX)
            and shape[1] <= GUESSED_COLUMNS
        ),
        None,
    )


def named_latent_key(keys: Iterable[str], shown: Iterable[str] = ()) -> str | None:
    """Which obsm key has the name of a latent space: those of `LATENT` in their order, then others.

    Names with other case, or with ``X_`` before them, follow the exact ones of their list.
    """
    present, taken = list(keys), set(shown)
    hidden = [key for key in present if key not in taken]
    for names, exact in ((LATENT, present), (MORE_LATENT, hidden)):
        found = [name for name in names if name in exact]
        for name in names:
            forms = {name.casefold(), f"x_{name}".casefold()}
            found += [key for key in hidden if key.casefold() in forms]
        if found:
            return found[0]
    return None
