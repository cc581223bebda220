"""Everything that can be wrong with an input, found before anything is written.

`survey` makes the `Catalog`: what an export will hold, by which keys. It collects problems
instead of stopping at the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cellucid_dask import format as fmt
from cellucid_dask.encode import Box
from cellucid_dask.errors import (
    CellucidDaskError,
    InputError,
    Problem,
    ReadError,
    TextError,
)
from cellucid_dask.exporter.checks.additional_embeddings import named_embeddings
from cellucid_dask.exporter.checks.cell_ids import survey_cell_ids
from cellucid_dask.exporter.checks.chunks import survey_chunks
from cellucid_dask.exporter.checks.genes import Genes, survey_genes
from cellucid_dask.exporter.checks.graph_choice import choose_graph
from cellucid_dask.exporter.checks.latent_space import survey_latent
from cellucid_dask.exporter.checks.obs import ObsField, survey_obs
from cellucid_dask.exporter.checks.placed_cells import find_placed_cells
from cellucid_dask.exporter.checks.points import show_other, survey_embeddings, survey_vectors
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.format import DIMENSIONS, LONGEST_NAME
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.row_blocks import RowBlocks
from cellucid_dask.source.arrays.typed_column import TypedColumn
from cellucid_dask.source.chunks.missing import Findings
from cellucid_dask.source.discover import Discovery, discover, named_latent_key
from cellucid_dask.source.model import ARGUMENTS, Source
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.select_cells import select_cells

_POINTS = re.compile(r"X_umap(_[123]d)?")  # what discovery takes for an embedding
_VECTORS = re.compile(r"(?!X_).*_umap(_[123]d)?")  # and for a vector field


@dataclass(slots=True)
class Catalog:
    """What an export will hold.

    Parameters
    ----------
    source
        What is exported: the input, or its cells that have coordinates in every embedding.
    boxes
        Bounding box of the default embedding of each dimension.
    additional_boxes
        Those of additional embeddings by obsm key; a server measures what it offers when it is
        asked for it.
    latent
        obsm key of the latent space.
    blocks
        Row blocks of the obsm arrays that are used, by key.
    cell_ids
        Ids of the cells; None where the export shows none.
    graph
        Neighbor graph and its key; None without one.
    missing_chunks
        What was found of chunks that the store lacks; among `warnings` and `problems` as well.
    ready
        What the ready files of the same run hold; None when it makes none.
    notes
        What was discovered, and what was ignored and why; printed with the plan.
    warnings
        What the user should know; it stops nothing.
    """

    n_cells: int
    found: Discovery
    source: Source
    boxes: dict[int, Box] = field(default_factory=dict)
    additional_boxes: dict[str, Box] = field(default_factory=dict)
    latent: str = ""
    blocks: dict[str, RowBlocks] = field(default_factory=dict)
    obs: list[ObsField] = field(default_factory=list)
    cell_ids: TypedColumn | None = None
    genes: Genes | None = None
    graph: Matrix | None = None
    graph_key: str = ""
    missing_chunks: Findings = field(default_factory=Findings)
    ready: ReadyCatalog | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def categorical(self) -> list[ObsField]:
        """Categorical columns, in order."""
        return [column for column in self.obs if column.code is not None]


def survey(
    source: Source,
    options: ExportOptions,
    vectors: Mapping[str, Mapping[int, str]] | None = None,
    *,
    show_any: bool = False,
) -> Catalog:
    """Find what will be exported, and every problem of it.

    Parameters
    ----------
    vectors
        obsm keys by field and dimension, where they are known rather than discovered.
    show_any
        Show another array of obsm that has 2 or 3 columns when there is no UMAP.
    """
    catalog = Catalog(source.n_cells, Discovery(), source)
    catalog.notes += source.notes
    catalog.warnings += source.warnings
    if not source.n_cells:
        catalog.problems.append(Problem("has no cells", source.where))
    arrays = _usable_obsm(source, options, catalog)
    shapes = {key: array.shape for key, array in arrays.items()}
    chosen = {d: key for d, key in options.default_embeddings.items() if key in arrays}
    catalog.found = discover(shapes, chosen, vectors)
    if show_any and not options.embeddings and not catalog.found.embeddings:
        show_other(shapes, catalog)
    catalog.found.add(named_embeddings(options, arrays))
    if options.drop_cells_without_embedding and source.selection is None:
        kept = find_placed_cells([arrays[key] for key in catalog.found.shown])
        if kept is not None:
            return survey(select_cells(source, kept), options, vectors, show_any=show_any)
    if source.selection is not None:
        catalog.warnings.append(left_out(source.selection))
    survey_embeddings(source, options, arrays, catalog)
    survey_vectors(options, arrays, catalog)
    survey_latent(source, options, arrays, catalog)
    survey_obs(source, options, catalog)
    if options.cell_ids:
        catalog.cell_ids = survey_cell_ids(source, catalog)
    if options.expression:
        catalog.genes = survey_genes(source, options, catalog)
    if options.connectivity:
        catalog.graph_key, catalog.graph = choose_graph(source, options, catalog)
    warn_of_unused(source, catalog)
    _file_names(catalog)
    survey_chunks(source, options, catalog)
    return catalog


def left_out(kept: RowSelection) -> str:
    """Note with the number of cells that are left out."""
    return (
        f"{kept.dropped.size:,} of {kept.n_stored:,} cells have NaN or Inf in an embedding and are "
        "left out"
    )


def _usable_obsm(source: Source, options: ExportOptions, catalog: Catalog) -> dict[str, RowArray]:
    """The obsm arrays that can be used; requested arrays that cannot be are problems."""
    usable: dict[str, RowArray] = {}
    unfit: dict[str, tuple[Problem, ...]] = {}
    for key, array in source.obsm.items():
        if isinstance(array, CellucidDaskError):
            unfit[key] = array.problems
        elif array.shape[0] != source.n_cells:
            what = f"has shape {array.shape}, but obs has {source.n_cells} cells"
            if array.shape[1] == source.n_cells:
                what += "; it looks transposed"
            unfit[key] = (Problem(what, f"obsm/{key}"),)
        else:
            usable[key] = array
    asked = _asked_for(source, options, unfit)
    for key, problems in unfit.items():
        if key in asked:
            catalog.problems.extend(Problem(p.what, p.where, p.fix or asked[key]) for p in problems)
            continue
        if not isinstance(source.obsm[key], InputError) or isinstance(source.obsm[key], TextError):
            catalog.warnings.append(f"obsm/{key} is not used: it {problems[0].what}")
        else:
            catalog.warnings.append(f"obsm/{key} is ignored: {problems[0].what}")
    return usable


def _asked_for(source: Source, options: ExportOptions, unfit: Iterable[str]) -> dict[str, str]:
    """Requested keys among `unfit`, each with what to do."""
    keys = set(unfit)
    asked = dict.fromkeys(keys if source.where == ARGUMENTS else (), "")
    if options.vectors:
        asked |= dict.fromkeys(filter(_VECTORS.fullmatch, keys), "repair it, or use --no-vectors")
    if not options.embeddings:
        fix = "repair it, or name what is shown with --embedding 2d=KEY"
        asked |= dict.fromkeys(filter(_POINTS.fullmatch, keys), fix)
    if options.latent_key is None:
        latent = named_latent_key(source.obsm)
        asked |= {latent: "repair it, or name another with --latent-key"} if latent in keys else {}
    named = [key for _, key in options.named_embeddings]
    asked |= dict.fromkeys((*named, options.latent_key or ""), "")
    return asked


def warn_of_unused(source: Source, catalog: Any) -> None:
    """Warn of damaged matrices that the export does not need."""
    reported = {problem.where for problem in catalog.problems}
    for key, matrix in source.matrices.items():
        if isinstance(matrix, ReadError | TextError) and matrix.problems[0].where not in reported:
            catalog.warnings.append(f"{key} is not used: it {matrix.problems[0].what}")


def _file_names(catalog: Catalog) -> None:
    """Problems of keys that share a file name, or whose file names are too long."""
    genes = catalog.genes.ids if catalog.genes else []
    additional = catalog.found.additional
    of_dimensions = [[key for key in additional if additional[key] == dim] for dim in DIMENSIONS]
    for kind, keys, fix in (
        ("obs columns", [c.key for c in catalog.obs], "rename them, or choose with --obs-key"),
        ("genes", genes, "choose with --genes-file, or other ids with --gene-id-column"),
        *(("embeddings", keys, "rename them, or leave one out") for keys in of_dimensions),
    ):
        for group in fmt.collisions(dict.fromkeys(keys)):
            names = ", ".join(map(repr, group))
            catalog.problems.append(
                Problem(f"{names} would share the file name {fmt.safe(group[0])!r}", kind, fix)
            )
        for key in keys:
            if len(key) > LONGEST_NAME and len(fmt.safe(key)) > LONGEST_NAME:
                what = f"{key[:60]!r}... is too long for a file name ({len(key)} characters)"
                catalog.problems.append(Problem(what, kind, fix))
