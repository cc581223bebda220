"""Every script of ``../shared/cases``: what each file it makes must do, or which words refuse it.

The scripts rebuild what people reported. A file that can be exported is checked, exported,
verified alone and against itself, and served: every path as the export has it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from atlas import atlas, here
from comparing import assert_serves, export_of
from forks import run_forked
from oracle import read_export
from serving import serving

from cellucid_dask import check, export
from cellucid_dask.verify import verify

CASES = Path(__file__).parents[3] / "shared" / "cases"
ORDER = Path("/dev/shm/cellucid-order")  # where latent_order.py makes its files
RUN = """
import runpy, sys, warnings
import numpy, pandas, scipy.sparse

def random(rows, columns, density, format, dtype, seed):
    # that of scipy draws without replacement: a permutation of 400 million numbers
    drawn = numpy.random.default_rng(seed)
    n = int(rows * columns * density)
    ends = drawn.integers(rows, size=n), drawn.integers(columns, size=n)
    values = drawn.random(n).astype(dtype)
    return scipy.sparse.coo_array((values, ends), shape=(rows, columns)).asformat(format)

scipy.sparse.random = random
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    # The scripts know text as pandas 2 has it, which anndata stores as an array.
    pandas.set_option("future.infer_string", False)
script, out = {given!r}
sys.path.insert(0, script.rpartition("/")[0])
sys.argv = [script, out]
runpy.run_path(script, run_name="__main__")
sys.exit(0)
"""


# ------------------------------------------------------------------------------- expectations


@dataclass(frozen=True, slots=True)
class Shown:
    """A file that is exported and served.

    Parameters
    ----------
    options
        Given to everything that reads it.
    labels
        Categories of obs columns.
    depth
        First values of the obs column of that name.
    gene
        First values of the gene G0; None where the file has no genes.
    warnings
        A piece of every warning, in order.
    not_compared
        A piece of what `verify` says that it cannot compare.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, list[str]] = field(default_factory=dict)
    depth: list[float] = field(default_factory=list)
    gene: list[float] | None = field(default_factory=lambda: [1, 2, 0, 3, 1])
    warnings: tuple[str, ...] = ()
    not_compared: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is refused with exit code 2.

    Parameters
    ----------
    words
        Pieces of what is said.
    against
        Pieces of what `verify --against` it says; empty where it may also find differences.
    never
        Words that would be wrong.
    """

    words: tuple[str, ...]
    against: tuple[str, ...] = ()
    never: tuple[str, ...] = ("internal error", "this is a bug", "truncated")


DAYS = ["2021-03-01 00:00:00", "2021-03-02 00:00:00"]
KINDS = ["B", "NK", "T"]

TABLE: dict[str, Shown | Refused] = {
    "fixed_attrs/fixed_attrs.h5ad": Shown(labels={"kind": KINDS}),
    "userblock/userblock.h5ad": Shown(labels={"kind": KINDS}),
    "userblock/joint.h5mu": Refused(("MuData", "rna", "prot", "--modality"), ("MuData",)),
    "userblock/joint.h5mu as rna": Shown({"modality": "rna"}, {"kind": KINDS}),
    "userblock/joint.h5mu as prot": Shown({"modality": "prot"}, {"kind": KINDS}, gene=None),
    "said_better/joint_mudata.zarr": Refused(("MuData", "rna", "prot", "--modality"), ("MuData",)),
    "said_better/joint_mudata.zarr as rna": Shown({"modality": "rna"}, {"kind": KINDS}),
    "said_better/packed.h5ad.gz": Refused(("gunzip",)),
    "said_better/raw_only.h5ad": Shown(warnings=("raw has 12 genes",), gene=None),
    "said_better/sdata.zarr": Refused(("SpatialData", "tables/table")),
    "said_better/tenx.h5": Refused(("10x", "read_10x_h5")),
    "said_better/cells.loom": Refused(("loom", "read_loom")),
    "said_better/http://example.org/a.h5ad": Refused(("URL", "download")),
    "said_better/s3://bucket/a.zarr": Refused(("URL", "download")),
    "wide_latent/fragments.h5ad": Shown(warnings=("no latent space",)),
    "wide_latent/tiles.h5ad": Shown(warnings=("no latent space",)),
    "legacy_zarr/legacy.zarr": Shown(labels={"two": ["ctrl", "stim"]}, depth=[0, 1, 2]),
    "said_better/raw_only.h5ad as raw": Shown({"raw": True}),
    "latent_order/one.zarr": Shown(labels={"kind": KINDS}),
    "latent_order/two.zarr": Shown(),
    "latent_order/three.zarr": Shown(),
    "not_text_columns/dtns.zarr": Shown(
        labels={"when": DAYS, "lag": [f"0 days 00:00:00.00000000{i}" for i in (1, 2, 3)]}
    ),
    "not_text_columns/dts.zarr": Shown(
        labels={"when": DAYS, "lag": [f"0 days 00:00:0{i}" for i in (1, 2, 3)]}
    ),
    "not_text_columns/dtD.zarr": Shown(
        labels={"when": DAYS, "lag": [f"{i} days 00:00:00" for i in (1, 2, 3)]}
    ),
    "not_text_columns/opaque_dt.h5ad": Shown(labels={"odd": DAYS}),
    "not_text_columns/compound_col.h5ad": Refused(("obs['odd']", "holds records", "--obs-key")),
    "not_utf8/l1_col.h5ad": Refused(("obs['site']", "not UTF-8", "--obs-key kind")),
    "not_utf8/l1_fixed.h5ad": Refused(("obs['site']", "not UTF-8", "--obs-key kind")),
    "not_utf8/l1_cat.h5ad": Refused(("obs['kind']", "not UTF-8", "--obs-key depth")),
    "not_utf8/l1_gene.h5ad": Refused(("var index", "not UTF-8", "--gene-id-column")),
    "not_utf8/l1_name.h5ad": Refused((r"Gr\\xf6\\xdfe", "not UTF-8", "--obs-key kind")),
    "nullable_obsm/nullable_obsm.h5ad": Shown(),
    "verify_limits/utf8_as_ascii.h5ad": Shown(
        labels={"kind": ["Z\u00fcrich", "NK", "T"]},
        not_compared="anndata cannot read the data",
    ),
    "verify_limits/f16_csr.h5ad": Shown(gene=[1 / 3, 2 / 3, 0, 1, 1 / 3]),
    "verify_limits/be.h5ad": Shown(depth=[17]),
}


# -------------------------------------------------------------------------- making the files


@cache
def scripts() -> list[str]:
    """Names of the scripts; none where they are not at hand."""
    return sorted(path.stem for path in CASES.glob("[a-z]*.py"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Run a script once, and return the folder of its files."""
    if not scripts():
        pytest.skip(f"the scripts are not in {CASES}")
    root = tmp_path_factory.mktemp("cases")
    own = ORDER.with_name(f"cellucid-order-{os.getpid()}")

    @cache
    def make(name: str) -> Path:
        out = root / name
        given = (str(CASES / f"{name}.py"), str(out))
        with ORDER.with_name("cellucid-order.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # all processes of a run make it in one place
            code, _, err = run_forked(cwd=root, first=RUN.format(given=given))
            if code == 0 and name == "latent_order":
                out = ORDER.rename(own)
        if code:
            pytest.skip(f"{name}.py fails with this anndata: {err.strip().splitlines()[-1]}")
        return out

    yield make
    shutil.rmtree(own, ignore_errors=True)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that is right."""
    out = tmp_path_factory.mktemp("good") / "out"
    export(atlas(), out, quiet=True, workers=1)
    return out


# --------------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("script", scripts())
def test_every_file_has_a_row(script: str, made: Callable[[str], Path]) -> None:
    names = {key.partition("/")[2].partition(" as ")[0] for key in TABLE if key.startswith(script)}
    assert {path.name for path in made(script).iterdir()} <= names


@pytest.mark.parametrize("key", [key for key, row in TABLE.items() if isinstance(row, Shown)])
def test_shown(key: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    row = TABLE[key]
    assert isinstance(row, Shown)
    script, _, name = key.partition("/")
    path, out = made(script) / name.partition(" as ")[0], tmp_path / "out"
    checked = check(path, **row.options)
    assert checked.problems == ()
    files = export_of(path, out, dataset_name="a", **row.options)
    assert len(checked.warnings) == len(row.warnings)
    for piece, warning in zip(row.warnings, checked.warnings, strict=True):
        assert piece in warning
    assert verify(out).problems == ()
    report = verify(out, path, **_of_verify(row.options))
    assert report.problems == ()
    assert len(report.not_compared) == bool(row.not_compared)
    assert row.not_compared in "".join(report.not_compared)
    _assert_values(row, out)
    options = {**row.options, "dataset_name": "a", "created_at": "2026-01-31T12:00:00Z"}
    with serving(path, cache_dir=tmp_path / "cache", **options) as server:
        assert_serves(server, files)


def _of_verify(options: Mapping[str, Any]) -> dict[str, Any]:
    known = ("layer", "raw", "embeddings", "graph", "latent_key", "modality")
    return {name: value for name, value in options.items() if name in known}


def _assert_values(row: Shown, out: Path) -> None:
    """Categories, and first values of a column and of a gene, are the expected ones."""
    found = read_export(out)
    fields = found.manifests["obs_manifest.json"].get("_categoricalFields", [])
    labels = {entry[0]: entry[1] for entry in fields}
    assert row.labels.items() <= labels.items()
    if row.depth:
        assert list(found.arrays["obs/depth.values.f32"][: len(row.depth)]) == row.depth
    if row.gene is not None:
        gene = found.arrays["var/G0.values.f32"]
        assert gene[: len(row.gene)] == pytest.approx(row.gene, abs=1e-3)


@pytest.mark.parametrize("key", [key for key, row in TABLE.items() if isinstance(row, Refused)])
def test_refused(
    key: str, made: Callable[[str], Path], good: Path, tmp_path: Path, capfd: Any
) -> None:
    row = TABLE[key]
    assert isinstance(row, Refused)
    script, _, name = key.partition("/")
    path = name if "://" in name else made(script) / name
    for command in (
        ("check", path),
        ("export", path, "-o", tmp_path / "out"),
        ("serve", path, "--port", 0, "--cache-dir", tmp_path / "cache"),
    ):
        ended = here(capfd, *command)
        said = ended.out + ended.err
        assert ended.code == 2, (command[0], said)
        assert [word for word in row.words if word not in said] == [], said
        assert [word for word in row.never if word in said] == [], said
    assert not (tmp_path / "out").exists()
    ended = here(capfd, "verify", good, "--against", path)
    said = ended.out + ended.err
    assert ended.code in (1, 2)
    assert [word for word in row.never if word in said] == [], said
    if row.against:
        assert ended.code == 2
        assert [word for word in row.against if word not in said] == [], said


def test_copies_in_another_order_export_the_same_bytes(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = made("latent_order")
    trees = [
        export_of(folder / f"{name}.zarr", tmp_path / name, dataset_id="a", dataset_name="a")
        for name in ("one", "two", "three")
    ]
    assert trees[0] == trees[1] == trees[2]
    found = check(folder / "two.zarr").discovered
    assert any(line.startswith("latent    obsm/A_scores") for line in found)
    assert found == check(folder / "three.zarr").discovered
