"""The benchmarks that have a name, and what is to be reached in each."""

from __future__ import annotations

from dataclasses import dataclass

from cellucid_dask.synthetic import AtlasSpec


@dataclass(frozen=True, slots=True)
class Case:
    """One benchmark.

    Parameters
    ----------
    spec
        The atlas.
    memory
        What cellucid-dask is told to stay within; None leaves it to its default.
    faster
        Target: the oracle's seconds over ours, end to end.
    obs_faster
        Target: the same of the stages of obs alone.
    within
        Target: our seconds, end to end.
    columns
        Categorical columns the oracle is timed on, next to a run without any; a rest is
        extrapolated. None times no columns by themselves.
    no_oracle
        Why the oracle is not run; empty if it is.
    """

    spec: AtlasSpec
    memory: str | None = None
    faster: float | None = None
    obs_faster: float | None = None
    within: float | None = None
    columns: int | None = None
    no_oracle: str = ""


CASES = {
    "genes": Case(AtlasSpec(200_000, 10_000), memory="2GB", faster=8),
    "big": Case(
        AtlasSpec(1_000_000, 10_000),
        memory="3GB",
        no_oracle="not run: it holds the matrix (5.6 GB) and a CSC copy of it (5.6 GB), the bound "
        "is 3 GB; `--oracle always` runs it",
    ),
    "obs": Case(
        AtlasSpec(1_000_000, 0, categoricals=(10_000,) * 10, continuous=0, latent=50, neighbors=0),
        obs_faster=20,
        columns=10,
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
        within=4,
    ),
}
