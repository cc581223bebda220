"""The named cases of the benchmark ``export``, what runs beside them, and their targets."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.export.stores import Storage
from cellucid_dask.synthetic import AtlasSpec

REFERENCE, BEFORE, READING, READY = "reference", "before", "reading", "ready"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of a figure, or of its ratio.

    Parameters
    ----------
    field
        A field of `benchmarks.export.table.Result`.
    beside
        The program whose figure the ratio is to; None bounds the figure itself.
    least, most
        The bound, in the unit that the table prints.
    """

    field: str
    beside: str | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Parameters
    ----------
    spec
        The synthetic atlas.
    beside
        Programs that take turns with cellucid-dask.
    targets
        What is to be reached.
    atlas
        Name of the atlas; cases of one atlas share its file.
    storage
        How the atlas is stored.
    format
        Value of ``--format`` for cellucid-dask.
    memory
        Value of ``--memory`` for cellucid-dask; None leaves its default.
    options
        More options of ``cellucid-dask export``.
    sampled_columns
        Categorical columns on which the reference is timed, beside a run without any; the rest is
        extrapolated. None does not time columns separately.
    reference_skipped
        Why the reference does not run although it is among `beside`; empty if it runs.
    """

    spec: AtlasSpec
    beside: tuple[str, ...] = (REFERENCE, BEFORE)
    targets: tuple[Target, ...] = ()
    atlas: str = ""
    storage: Storage = "plain"
    format: str = "folder"
    memory: str | None = None
    options: tuple[str, ...] = ()
    sampled_columns: int | None = None
    reference_skipped: str = ""


GENES = AtlasSpec(200_000, 10_000)
WIDE = AtlasSpec(100_000, 30_000, density=0.05)
READY_TARGETS = (
    Target("seconds", READY, least=6),
    Target("peak", READY, most=1 / 3),
    Target("size", READY, most=1.01),
)

CASES = {
    "genes": Case(
        GENES,
        memory="2GB",
        targets=(
            Target("seconds", REFERENCE, least=25),
            Target("peak", most=1000),
            Target("size", REFERENCE, most=1),
            Target("gene_size", REFERENCE, most=0.85),
        ),
    ),
    "limit": Case(
        GENES,
        (READING,),
        atlas="genes",
        memory="2GB",
        options=("--no-graph", "--no-vectors", "--obs-key", "n_counts"),
        targets=(Target("gene_stages", READING, most=6),),
    ),
    "gzip": Case(
        WIDE,
        (BEFORE,),
        atlas="wide",
        storage="gzip",
        memory="2GB",
        targets=(Target("seconds", BEFORE, least=2.5), Target("peak", most=2000)),
    ),
    "sharded": Case(
        WIDE,
        (BEFORE,),
        atlas="wide",
        storage="sharded",
        memory="2GB",
        targets=(Target("seconds", BEFORE, least=2.5), Target("peak", most=2000)),
    ),
    "big": Case(
        AtlasSpec(1_000_000, 10_000),
        memory="3GB",
        targets=(Target("seconds", BEFORE, least=3), Target("peak", most=1500)),
        reference_skipped="not run: it holds the matrix (5.6 GB) and a CSC copy of it (5.6 GB), "
        "the bound is 3 GB; `--reference always` runs it",
    ),
    "ready-zarr": Case(GENES, (READY,), READY_TARGETS, atlas="genes", format="zarr", memory="2GB"),
    "ready-h5ad": Case(GENES, (READY,), READY_TARGETS, atlas="genes", format="h5ad", memory="2GB"),
    "ready-big": Case(
        AtlasSpec(1_000_000, 10_000),
        (),
        (Target("peak", most=3000),),
        atlas="big",
        format="h5ad",
        memory="3GB",
    ),
    "both": Case(
        GENES,
        (),
        atlas="genes",
        format="folder,zarr",
        memory="2GB",
    ),
    "obs": Case(
        AtlasSpec(1_000_000, 0, categoricals=(10_000,) * 10, continuous=0, latent=50, neighbors=0),
        options=("--no-genes",),
        targets=(Target("obs", REFERENCE, least=30), Target("size", REFERENCE, most=1)),
        sampled_columns=10,
    ),
    "small": Case(
        AtlasSpec(
            700,
            765,
            density=0.33,
            categoricals=(10, 11, 3),
            latent=50,
            dimensions=(2,),
            layout="dense",
        ),
        targets=(Target("seconds", most=0.8), Target("size", REFERENCE, most=1)),
    ),
}
