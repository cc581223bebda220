"""What a user may choose, checked once, at construction."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cellucid_dask.errors import OptionError, Problem, suggest
from cellucid_dask.format import DIMENSIONS, safe
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.argument_types import convert, hints_of, type_problem

STAMP = "%Y-%m-%dT%H:%M:%SZ"


class Options:
    """What all kinds of options do alike."""

    __slots__ = ()

    def __post_init__(self) -> None:
        if problems := [*self._settle(), *self.problems()]:
            raise OptionError.of(problems)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> tuple[Self, list[Problem]]:
        """Make options of values that may be wrong, and say what is wrong with them.

        A value of a wrong type gives way to the default.
        """
        made = object.__new__(cls)
        for f in fields(cls):  # type: ignore[arg-type]
            object.__setattr__(made, f.name, given.get(f.name, default_of(f)))
        return made, [*made._settle(), *made.problems()]

    def problems(self) -> Iterator[Problem]:
        """Say what is wrong with the values, all of which have the right type."""
        raise NotImplementedError

    def _settle(self) -> list[Problem]:
        """Bring values to the types of their annotations; say which cannot be."""
        problems: list[Problem] = []
        cls: Any = type(self)
        hints = hints_of(cls)
        for f in fields(self):  # type: ignore[arg-type]
            given = getattr(self, f.name)
            try:
                value = convert(given, hints[f.name])
            except TypeError:
                where, secret = option_of(f.name), not f.repr
                problems.append(type_problem(given, hints[f.name], where, secret=secret))
                value = default_of(f)
            object.__setattr__(self, f.name, value)
        self._tidy()
        return problems

    def _tidy(self) -> None:
        """Bring values into one form."""


def default_of(option: Field[Any]) -> Any:
    """Return the default of a field."""
    return option.default if option.default_factory is MISSING else option.default_factory()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions(Options):
    """What is exported and how it is encoded: everything that decides a byte of the output.

    Parameters
    ----------
    compression
        Gzip level 1 to 9; 0 writes plain files.
    var_quantization, obs_quantization
        8 or 16 bits for genes and for continuous obs columns; None stores float32.
    categorical_dtype
        ``auto``, ``uint8`` or ``uint16``.
    centroid_quantile
        Cells of a category nearer to its mean than this quantile of distances make its
        centroid; inside (0.5, 1). None writes no centroids.
    centroid_min_points
        Categories of fewer cells get no centroid and no outlier quantiles.
    obs_keys
        obs columns to export, in this order; None exports all.
    genes
        Gene ids to export, in this order; None exports all.
    gene_id_column
        Column of var that holds the gene ids, or ``index``.
    rename_duplicates
        Append ``-1``, ``-2``, ... to repeated gene ids.
    modality
        Which modality of a MuData to take.
    layer, raw
        Take the expression from ``layers[layer]`` or from ``raw`` in place of ``X``.
    latent_key
        obsm key of the latent space; None looks for the usual ones.
    embeddings
        obsm key for a dimension, such as ``{2: "X_tsne"}``.
    graph
        obsp key of the neighbour graph; None takes ``connectivities`` where there is one.
    connectivity, vectors, expression
        Whether to export the graph, the vector fields and the genes.
    drop_cells_without_embedding
        Leave out the cells that have NaN or Inf in an embedding, in place of refusing the data.
    accept_missing_chunks
        Take the chunks that the store lacks for the fill value that they read as, also where
        that is most likely a loss.
    dataset_id, dataset_name, description, source_name, source_url, citation
        What the identity says of the dataset.
    created_at
        UTC time in the identity, ``YYYY-MM-DDTHH:MM:SSZ``; by default that of
        SOURCE_DATE_EPOCH, else the present.

    Raises
    ------
    OptionError
        With every value that cannot be used.
    """

    compression: int = 6
    var_quantization: int | None = 8
    obs_quantization: int | None = 8
    categorical_dtype: str = "auto"
    centroid_quantile: float | None = 0.95
    centroid_min_points: int = 10
    obs_keys: tuple[str, ...] | None = None
    genes: tuple[str, ...] | None = None
    gene_id_column: str = "index"
    rename_duplicates: bool = False
    modality: str | None = None
    layer: str | None = None
    raw: bool = False
    latent_key: str | None = None
    embeddings: Mapping[int, str] = field(default_factory=dict)
    graph: str | None = None
    connectivity: bool = True
    vectors: bool = True
    expression: bool = True
    drop_cells_without_embedding: bool = False
    accept_missing_chunks: bool = False
    dataset_id: str | None = None
    dataset_name: str | None = None
    description: str = ""
    source_name: str | None = None
    source_url: str | None = None
    citation: str | None = None
    created_at: str | None = None

    def problems(self) -> Iterator[Problem]:
        """Say what is wrong with the values."""
        yield from self._number_problems()
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
        if self.dataset_id is not None and safe(self.dataset_id) != self.dataset_id:
            yield Problem(
                f"{self.dataset_id!r} has characters that a path cannot hold",
                "--dataset-id",
                f"use {safe(self.dataset_id)!r}",
            )
        for name, keys in (("--obs-key", self.obs_keys), ("--gene", self.genes)):
            twice = sorted({k for k in keys or () if (keys or ()).count(k) > 1}) if keys else []
            if twice:
                yield Problem(f"given twice: {', '.join(map(repr, twice))}", name)
        yield from self._time_problems()

    def _number_problems(self) -> Iterator[Problem]:
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
        if self.centroid_min_points < 1:
            yield Problem(f"{self.centroid_min_points} is not positive", "--centroid-min-points")

    def _time_problems(self) -> Iterator[Problem]:
        stamp, epoch = self.created_at, os.environ.get("SOURCE_DATE_EPOCH")
        if stamp is not None and not _is_stamp(stamp):
            yield Problem(
                f"{stamp!r} is not a UTC time", "--created-at", "write it as 2026-01-31T12:00:00Z"
            )
        if stamp is None and epoch and _moment(epoch) is None:
            fix = "set it to seconds since 1970, or use --created-at"
            yield Problem(f"{epoch!r} is not a time in seconds", "SOURCE_DATE_EPOCH", fix)

    def timestamp(self) -> str:
        """UTC time for the identity, ``YYYY-MM-DDTHH:MM:SSZ``."""
        return self.fixed_timestamp() or datetime.now(UTC).strftime(STAMP)

    def fixed_timestamp(self) -> str | None:
        """`timestamp`, where it is not the present."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        moment = _moment(epoch) if epoch and self.created_at is None else None
        return self.created_at if moment is None else moment.strftime(STAMP)

    def source(self) -> dict[str, str]:
        """``source`` entry of the identity: what was given of name, url and citation."""
        given = {"name": self.source_name, "url": self.source_url, "citation": self.citation}
        return {key: value for key, value in given.items() if value}


def _moment(epoch: str) -> datetime | None:
    """Time of a number of seconds since 1970; None when it is none."""
    try:
        digits = epoch.isascii() and epoch.isdigit()
        return datetime.fromtimestamp(int(epoch), UTC) if digits else None
    except (ValueError, OverflowError, OSError):
        return None


def _is_stamp(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`, found out by making one without a name.

    What the permissions say is not enough: root may anything, but not in /proc.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def file_problems(path: Path, option: str) -> Iterator[Problem]:
    """Say why no file could be written to `path`, which a user gave by `option`."""
    folder = path.absolute().parent
    if not folder.is_dir():
        yield Problem(f"the folder {str(folder)!r} does not exist", option, "make it first")
    elif path.is_dir():
        yield Problem(f"{str(path)!r} is a folder", option, "name a file")
    elif path.exists() and not path.is_file():
        yield Problem(f"{str(path)!r} is not a regular file", option, "name another file")
    elif not writable(folder):
        yield Problem(f"the folder {str(folder)!r} cannot be written", option, "name another file")


def bytes_of(size: float | str) -> int | None:
    """Bytes of a size such as ``"8GB"``; None when it is none."""
    from dask.utils import parse_bytes

    try:
        number = parse_bytes(size)
    except (ValueError, OverflowError, AttributeError, TypeError):
        return None
    return int(number) if number > 0 else None


def unknown(given: Iterable[str], known: Iterable[str]) -> list[Problem]:
    """Say of which of the names that were given there is no option, and what was meant."""
    every = sorted(known)
    return [
        Problem("there is no such option", repr(key), suggest(key, every))
        for key in given
        if key not in every
    ]


def make(
    classes: Sequence[type[Any]], given: Mapping[str, Any], others: Iterable[str] = ()
) -> tuple[list[Any], list[Problem]]:
    """Make an object of each class of keyword arguments, as `read` does.

    Parameters
    ----------
    others
        Names that the user may give as well, for when another one was written wrongly.
    """
    known = [{f.name for f in fields(cls)} for cls in classes]
    problems = unknown(given, set().union(*known, others))
    made = [
        cls.read({k: v for k, v in given.items() if k in names})
        for cls, names in zip(classes, known, strict=True)
    ]
    return [options for options, _ in made], problems + [p for _, wrong in made for p in wrong]
