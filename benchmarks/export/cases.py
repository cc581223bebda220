"""The named cases of the benchmark ``export``, and the target of each."""

from __future__ import annotations

from dataclasses import dataclass

from cellucid_dask.synthetic import AtlasSpec


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Parameters
    ----------
    spec
        The synthetic atlas.
    memory
        Value of ``--memory`` for cellucid-dask; None leaves its default.
    min_speedup
        Target: seconds of the reference over those of cellucid-dask, end to end.
    min_obs_speedup
        Target: the same ratio for the obs stages alone.
    max_seconds
        Target: seconds of cellucid-dask, end to end.
    sampled_columns
        Categorical columns on which the reference is timed, beside a run without any; the rest is
        extrapolated. None does not time columns separately.
    reference_skipped
        Why the reference does not run; empty if it runs.
    """

    spec: AtlasSpec
    memory: str | None = None
    min_speedup: float | None = None
    min_obs_speedup: float | None = None
    max_seconds: float | None = None
    sampled_columns: int | None = None
    reference_skipped: str = ""


CASES = {
    "genes": Case(AtlasSpec(200_000, 10_000), memory="2GB", min_speedup=8),
    "big": Case(
        AtlasSpec(1_000_000, 10_000),
        memory="3GB",
        reference_skipped="not run: it holds the matrix (5.6 GB) and a CSC copy of it (5.6 GB), "
        "the bound is 3 GB; `--reference always` runs it",
    ),
    "obs": Case(
        AtlasSpec(1_000_000, 0, categoricals=(10_000,) * 10, continuous=0, latent=50, neighbors=0),
        min_obs_speedup=20,
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
        max_seconds=4,
    ),
}
