"""The choice of the latent space, and the row blocks of the arrays that are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellucid_dask.errors import Problem, suggest
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.row_blocks import RowBlocks
from cellucid_dask.source.discover import choose_latent_key, named_latent_key
from cellucid_dask.source.model import Source


def survey_latent(
    source: Source, options: ExportOptions, arrays: Mapping[str, RowArray], catalog: Any
) -> None:
    """Choose the latent space, and set the row blocks of the obsm arrays that are used.

    Parameters
    ----------
    arrays
        The readable arrays of obsm.
    """
    blocks = {key: RowBlocks.of(array) for key, array in arrays.items()}
    if options.latent_key is not None:
        if options.latent_key not in source.obsm:
            fix = suggest(options.latent_key, list(source.obsm))
            what = f"there is no obsm key {options.latent_key!r}"
            catalog.problems.append(Problem(what, "--latent-key", fix))
        catalog.latent = options.latent_key
        if catalog.latent in source.obsm:
            catalog.notes.append(f"latent    obsm/{catalog.latent}")
    else:
        catalog.latent = _choose_key(blocks, arrays, catalog)
    vectors = [key for dims in catalog.found.vectors.values() for key in dims.values()]
    used = {catalog.latent, *catalog.found.shown, *vectors}
    catalog.blocks = {key: blocks[key] for key in blocks if key in used}


def _choose_key(
    blocks: Mapping[str, RowBlocks], arrays: Mapping[str, RowArray], catalog: Any
) -> str:
    """Key of the latent space, by name or by guess, or of an embedding; "" if there is none."""
    embeddings, shown = catalog.found.embeddings, catalog.found.shown
    shapes = {key: array.shape for key, array in arrays.items()}
    sparse = [key for key, block in blocks.items() if block.sparse]
    latent = choose_latent_key(shapes, shown, sparse)
    if latent is not None:
        catalog.notes.append(f"latent    obsm/{latent}")
        if named_latent_key(shapes, shown) is None:
            catalog.notes[-1] += ", a guess: the first array that is no embedding (--latent-key)"
        return latent
    if not embeddings:
        return ""
    taken: str = embeddings[max(embeddings)]
    warning = f"no latent space in obsm: outlier quantiles are computed on {taken}"
    left = [key for key in shapes if key not in shown]
    if left:
        warning += f"; sparse and very wide arrays are not guessed: {', '.join(left)}"
    catalog.warnings.append(warning)
    catalog.notes.append(f"latent    obsm/{taken}")
    return taken
