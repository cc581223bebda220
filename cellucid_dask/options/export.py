"""Options of an export: what is exported, and how it is encoded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cellucid_dask.errors import Problem
from cellucid_dask.format import DIMENSIONS, safe
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.base import Options
from cellucid_dask.options.embeddings import (
    find_embedding_problems,
    first_embeddings,
    list_embeddings,
    unwrap_single,
)
from cellucid_dask.options.formats import (
    FOLDER,
    find_format_problems,
    find_zarr_problems,
    split_formats,
)
from cellucid_dask.options.timestamps import STAMP, is_stamp, time_of_epoch
from cellucid_dask.ready.facts import FORMATS, MIN_POINTS, Format


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions(Options):
    """What is exported and how it is encoded: these options decide every byte of the output.

    Parameters
    ----------
    format
        ``folder``, or a ready file: ``zarr``, ``zarr.zip`` or ``h5ad``; several with commas
        between them.
    zarr_format
        Format of zarr stores, 2 or 3; None is 2.
    shards
        Write many chunks of a zarr store of format 3 into one file.
    compression
        Gzip level 1 to 9; 0 writes plain files.
    var_quantization, obs_quantization
        8 or 16 bits for genes and for continuous obs columns; None stores float32.
    categorical_dtype
        ``auto``, ``uint8`` or ``uint16``.
    centroid_quantile
        The centroid of a category is the mean of the cells within this quantile of distances
        from the mean of all its cells; inside (0.5, 1). None writes no centroids.
    centroid_min_points
        Categories with fewer cells get no centroid and no outlier quantiles; None is the number of
        the record in the data, or 10 without one.
    obs_keys
        obs columns to export, in this order; None exports all.
    genes
        Gene ids to export, in this order; None exports all.
    gene_id_column
        Column of var that holds the gene ids, or ``index``.
    rename_duplicates
        Append ``-1``, ``-2``, ... to repeated gene ids.
    modality
        Modality of a MuData to export.
    layer, raw
        Take the expression from ``layers[layer]`` or from ``raw`` instead of ``X``.
    latent_key
        obsm key of the latent space; None tries the usual keys.
    embeddings
        obsm key for a dimension, such as ``{2: "X_tsne"}``, or several: the first is the default of
        the dimension, the others are additional.
    graph
        obsp key of the neighbor graph; None takes ``connectivities`` if it exists.
    connectivity, vectors, expression
        Whether to export the graph, the vector fields and the genes.
    cell_ids
        Whether a folder holds the ids of its cells, the names in the index of obs.
    drop_cells_without_embedding
        Leave out the cells that have NaN or Inf in an embedding, instead of refusing the data.
    accept_missing_chunks
        Read missing chunks as their fill value, even if they are most likely lost.
    dataset_id, dataset_name, description, source_name, source_url, citation, citation_url
        Description of the dataset in its identity; the URL of the citation in ready files only.
    created_at
        UTC time in the identity, ``YYYY-MM-DDTHH:MM:SSZ``; by default that of
        SOURCE_DATE_EPOCH, else the current time.

    Raises
    ------
    OptionError
        With every value that cannot be used.
    """

    format: str = FOLDER
    zarr_format: int | None = None
    shards: bool = False
    compression: int = 6
    var_quantization: int | None = 8
    obs_quantization: int | None = 8
    categorical_dtype: str = "auto"
    centroid_quantile: float | None = 0.95
    centroid_min_points: int | None = None
    obs_keys: tuple[str, ...] | None = None
    genes: tuple[str, ...] | None = None
    gene_id_column: str = "index"
    rename_duplicates: bool = False
    modality: str | None = None
    layer: str | None = None
    raw: bool = False
    latent_key: str | None = None
    embeddings: Mapping[int, str | tuple[str, ...]] = field(default_factory=dict)
    graph: str | None = None
    connectivity: bool = True
    vectors: bool = True
    expression: bool = True
    cell_ids: bool = True
    drop_cells_without_embedding: bool = False
    accept_missing_chunks: bool = False
    dataset_id: str | None = None
    dataset_name: str | None = None
    description: str = ""
    source_name: str | None = None
    source_url: str | None = None
    citation: str | None = None
    citation_url: str | None = None
    created_at: str | None = None

    def find_problems(self) -> Iterator[Problem]:
        """Find every problem of the values."""
        yield from find_format_problems(self.formats)
        yield from find_zarr_problems(self.formats, self.zarr_format, shards=self.shards)
        yield from self._check_numbers()
        if self.categorical_dtype not in ("auto", "uint8", "uint16"):
            yield Problem(
                f"{self.categorical_dtype!r} is not a dtype of codes",
                "--categorical-dtype",
                "use auto, uint8 or uint16",
            )
        if self.layer is not None and self.raw:
            yield Problem("--layer and --raw cannot both be given", fix="leave one of them out")
        if self.genes is not None and not self.expression:
            yield Problem("--gene and --no-genes cannot both be given", fix="leave one of them out")
        for dim in self.embeddings:
            if dim not in DIMENSIONS:
                fix = "use a dimension of 1 to 3, as in --embedding 2d=KEY"
                yield Problem(f"{dim!r} is not a dimension", "--embedding", fix)
        yield from find_embedding_problems(self.embeddings)
        if self.dataset_id is not None and safe(self.dataset_id) != self.dataset_id:
            yield Problem(
                f"{self.dataset_id!r} has characters that a path cannot hold",
                "--dataset-id",
                f"use {safe(self.dataset_id)!r}",
            )
        for name, keys in (("--obs-key", self.obs_keys), ("--gene", self.genes)):
            repeated = sorted({k for k in keys or () if (keys or ()).count(k) > 1}) if keys else []
            if repeated:
                yield Problem(f"given twice: {', '.join(map(repr, repeated))}", name)
        yield from self._check_time()

    def _normalize(self) -> None:
        object.__setattr__(self, "format", ",".join(self.formats))
        object.__setattr__(self, "embeddings", unwrap_single(self.embeddings))

    @property
    def named_embeddings(self) -> list[tuple[int, str]]:
        """All embeddings that are named, as dimension and obsm key."""
        return list_embeddings(self.embeddings)

    @property
    def default_embeddings(self) -> dict[int, str]:
        """The first obsm key that is named for each dimension."""
        return first_embeddings(self.embeddings)

    @property
    def additional_embeddings(self) -> list[tuple[int, str]]:
        """Dimension and obsm key of the others."""
        defaults = self.default_embeddings.items()
        return [named for named in self.named_embeddings if named not in defaults]

    @property
    def formats(self) -> tuple[str, ...]:
        """All formats that are written, the folder first."""
        return split_formats(self.format)

    @property
    def ready_formats(self) -> tuple[Format, ...]:
        """Formats of the ready files that are written."""
        return tuple(name for name in FORMATS if name in self.formats)

    @property
    def min_points(self) -> int:
        """Cells of a category with a centroid and outlier quantiles, at least."""
        return MIN_POINTS if self.centroid_min_points is None else self.centroid_min_points

    def _check_numbers(self) -> Iterator[Problem]:
        if self.compression not in range(10):
            yield Problem(
                f"{self.compression!r} is not a gzip level", "--compression", "use 0 to 9"
            )
        for name in ("var_quantization", "obs_quantization"):
            if getattr(self, name) not in (8, 16, None):
                option = option_of(name)
                yield Problem(
                    f"{getattr(self, name)!r} bits", option, f"use 8, 16 or {option} none"
                )
        quantile = self.centroid_quantile
        if quantile is not None and not 0.5 < quantile < 1:
            yield Problem(
                f"{quantile} is outside (0.5, 1)", "--centroid-quantile", "0.95 is the usual choice"
            )
        if self.min_points < 1:
            yield Problem(f"{self.centroid_min_points} is not positive", "--centroid-min-points")

    def _check_time(self) -> Iterator[Problem]:
        stamp, epoch = self.created_at, os.environ.get("SOURCE_DATE_EPOCH")
        if stamp is not None and not is_stamp(stamp):
            yield Problem(
                f"{stamp!r} is not a UTC time", "--created-at", "write it as 2026-01-31T12:00:00Z"
            )
        if stamp is None and epoch and time_of_epoch(epoch) is None:
            fix = "set it to seconds since 1970, or use --created-at"
            yield Problem(f"{epoch!r} is not a time in seconds", "SOURCE_DATE_EPOCH", fix)

    def timestamp(self, default: datetime | None = None) -> str:
        """Return the UTC time for the identity, ``YYYY-MM-DDTHH:MM:SSZ``.

        Parameters
        ----------
        default
            The time in UTC if the options fix none; None stands for the present.
        """
        return self.fixed_timestamp() or (default or datetime.now(UTC)).strftime(STAMP)

    def fixed_timestamp(self) -> str | None:
        """Return `timestamp` if it is fixed; None if it is the current time."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        moment = time_of_epoch(epoch) if epoch and self.created_at is None else None
        return self.created_at if moment is None else moment.strftime(STAMP)

    def source(self) -> dict[str, str]:
        """Return the ``source`` entry of the identity: name, url and citation, if given."""
        given = {"name": self.source_name, "url": self.source_url, "citation": self.citation}
        return {key: value for key, value in given.items() if value}
