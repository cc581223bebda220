"""`verify` finds damage to the arrays of an export, compressed or not."""

from __future__ import annotations

import gzip
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from verifying import adopt, edit, flip, has_problem, seal

from cellucid_dask import format as fmt
from cellucid_dask.verify import verify


def test_a_flipped_byte_in_any_compressed_file_is_found(packed: Path) -> None:
    for path in sorted(packed.rglob("*.gz")):
        good = path.read_bytes()
        body = 10 + len(path.name.removesuffix(".gz")) + 1  # header and name
        for at in (0, (body + len(good)) // 2, len(good) - 6):
            flip(path, at)
            assert has_problem(verify(packed), path.relative_to(packed).as_posix()), (path, at)
            path.write_bytes(good)


def test_a_flipped_byte_in_any_plain_file_is_found_against_the_data(
    plain: Path, atlas: Path
) -> None:
    adopt(plain)  # so that outlier quantiles are compared as well
    seen = set()
    for path in sorted(plain.rglob("*")):
        if not path.is_file() or path.suffix == ".json":
            continue
        good = path.read_bytes()
        seen.add(fmt.parse(path.relative_to(plain).as_posix()).kind)
        flip(path, len(good) // 2, 0x40)
        assert not verify(seal(plain), atlas).ok, path
        path.write_bytes(good)
    assert seen == {"points", "vectors", "values", "codes", "outliers", "gene", "src", "dst"}
    assert verify(seal(plain), atlas).ok


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points_2d.bin", "points_2d.bin"),
        ("obs/cluster.codes.u8", "has code"),
        ("obs/size.outliers.u8", "no quantile"),
        ("connectivity/edges.src.bin", "an edge ends at cell"),
        ("connectivity/edges.dst.bin", "an edge ends at cell"),
    ],
)
def test_damage_of_a_plain_file_that_is_found_without_the_data(
    plain: Path, name: str, text: str
) -> None:
    (plain / name).write_bytes((plain / name).read_bytes()[:-4] + b"\xf0\xff\xff\x7f")
    if name.startswith("obs/size"):
        (plain / name).write_bytes(b"\xff" + (plain / name).read_bytes()[1:-4] + b"\xff" * 4)
    assert has_problem(verify(plain), text)


def test_a_changed_code_of_a_plain_gene_is_found_against_the_data_only(
    plain: Path, atlas: Path
) -> None:
    gene = plain / "var/ENSG00005.values.u8"
    codes = np.frombuffer(gene.read_bytes(), np.uint8).copy()
    codes[np.flatnonzero((codes > 0) & (codes < 200))[0]] += 2
    gene.write_bytes(codes.tobytes())
    assert verify(plain).ok
    report = verify(plain, atlas)
    assert report.problems[0].startswith("var/ENSG00005.values.u8: 1 values differ")
    assert report.largest_error > 1.02


def test_codes_must_reach_both_ends_of_their_range(plain: Path) -> None:
    gene = plain / "var/ENSG00005.values.u8"
    codes = np.frombuffer(gene.read_bytes(), np.uint8)
    gene.write_bytes((codes // 2).tobytes())
    assert has_problem(verify(plain), "not from 0 to 254")


@pytest.mark.parametrize("folder", ["plain", "packed"])
def test_a_file_that_is_short_long_or_missing_is_found(
    folder: str, request: pytest.FixtureRequest
) -> None:
    export: Path = request.getfixturevalue(folder)
    for path in sorted(p for p in export.rglob("*") if p.is_file()):
        name, good = path.relative_to(export).as_posix(), path.read_bytes()
        for bad in (good[:-1], good + b"\0"):
            path.write_bytes(bad)
            assert has_problem(verify(export), name), (name, len(bad))
        path.unlink()
        assert has_problem(verify(export), name), name
        path.write_bytes(good)
    assert verify(export).ok


@pytest.mark.parametrize(
    ("stray", "text"),
    [
        ("notes.txt", "is not a file of an export"),
        (".DS_Store", "is not a file of an export"),
        ("var/OTHER.values.u8", "is not named in any manifest"),
        ("var/ENSG00005.values.u16", "is not named in any manifest"),
        ("points_1d.bin", "is not named in any manifest"),
        ("obs/a b.values.u8", "is not a file of an export"),
        ("datasets.json", "is not a file of an export"),
    ],
)
def test_extra_files_are_found(plain: Path, stray: str, text: str) -> None:
    (plain / stray).write_bytes(b"x")
    assert verify(plain).problems == (f"{stray}: {text}",)


def test_swapped_files_are_found(plain: Path, atlas: Path) -> None:
    one, other = plain / "var/ENSG00005.values.u8", plain / "var/ENSG00006.values.u8"
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    report = verify(plain, atlas)
    assert has_problem(report, one.name)
    assert has_problem(report, other.name)
    src, dst = plain / "connectivity/edges.src.bin", plain / "connectivity/edges.dst.bin"
    first = src.read_bytes()
    src.write_bytes(dst.read_bytes())
    dst.write_bytes(first)
    assert has_problem(verify(plain), "from a lower to a higher cell")


def test_edges_must_be_sorted_and_unique(plain: Path) -> None:
    for name in ("src", "dst"):
        path = plain / f"connectivity/edges.{name}.bin"
        values = np.frombuffer(path.read_bytes(), np.uint16).copy()
        values[1] = values[0]
        path.write_bytes(values.tobytes())
    assert has_problem(verify(plain), "sorted and unique")


@pytest.mark.parametrize("sealed", [False, True])
def test_damaged_edges_are_reported_alike_in_pieces_and_in_memory(
    exports: dict[Any, Path], atlas: Path, tmp_path: Path, sealed: bool
) -> None:
    """Without the data, edges are read in pieces; the problems are the same."""
    folder = Path(shutil.copytree(exports[8, 6], tmp_path / "bad"))
    if sealed:
        adopt(folder)
    paths = [folder / f"connectivity/edges.{name}.bin.gz" for name in ("src", "dst")]
    good = [path.read_bytes() for path in paths]
    inner = gzip.decompress(good[0])
    for change, text in (
        (lambda raw: raw[:-1], "the gzip member is cut off"),
        (lambda raw: raw[: len(raw) // 2], "the gzip member is cut off"),
        (lambda raw: raw + b"x", "has bytes after the gzip member"),
        (lambda raw: raw[:-6] + b"????" + raw[-2:], "cannot be inflated"),
        (lambda raw: raw[:30] + b"????" + raw[34:], "edges."),
        (lambda _: b"", "gzip member"),
        (lambda _: gzip.compress(inner[:-2], mtime=0), f"holds {len(inner) - 2} bytes, not"),
        (lambda _: gzip.compress(inner + b"xx", mtime=0), f"holds more than {len(inner)} bytes"),
        (lambda _: gzip.compress(inner, mtime=1), "without a name" if sealed else ""),
    ):
        for chosen in ([0], [1], [0, 1]):
            for whole in (True, False):  # with and without checksums that are right
                for i in (0, 1):
                    paths[i].write_bytes(change(good[i]) if i in chosen else good[i])
                if sealed and whole:
                    seal(folder)
                alone, compared = verify(folder, workers=1), verify(folder, atlas, workers=1)
                if text or (sealed and not whole):
                    assert alone.problems
                    assert set(alone.problems) <= set(compared.problems)
                    lines = [line for line in compared.problems if "of the data" not in line]
                    assert list(alone.problems) == lines
                if text and whole and 0 in chosen:
                    assert has_problem(alone, text)
                paths[0].write_bytes(good[0])
                paths[1].write_bytes(good[1])
                if sealed:
                    seal(folder)


@pytest.mark.parametrize("packed_edges", [False, True])
def test_edges_are_never_all_in_memory(
    exports: dict[Any, Path], tmp_path: Path, packed_edges: bool
) -> None:
    folder = Path(shutil.copytree(exports[8, 6 if packed_edges else None], tmp_path / "big"))
    n = 30_000_000
    for name, cell in (("src", 0), ("dst", 1)):
        (path,) = folder.glob(f"connectivity/edges.{name}.bin*")
        raw = np.full(n, cell, np.uint16).tobytes()
        path.write_bytes(gzip.compress(raw, 1) if packed_edges else raw)
    edit(folder / fmt.CONNECTIVITY_MANIFEST, lambda graph: graph.update(n_edges=n))
    edit(folder / fmt.IDENTITY, lambda identity: identity["stats"].update(n_edges=n))
    del raw
    tracemalloc.start()
    try:
        report = verify(folder, workers=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.problems[0] == "connectivity: edges are not sorted and unique"
    assert len(report.problems) == 2  # and the largest number of neighbours
    assert peak < 2 * n / 2, "half of one of the arrays"


def test_edges_are_checked_across_the_cuts_of_pieces(
    native: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellucid_dask.verify.export_folder.edges.EDGES_PER_PIECE", 7)
    folder = Path(shutil.copytree(native / "plain", tmp_path / "bad"))
    assert verify(folder).ok
    for first in range(5, 9):
        for name in ("src", "dst"):
            path = folder / f"connectivity/edges.{name}.bin"
            values = np.fromfile(native / "plain" / path.relative_to(folder), "<u2")
            values[first + 1] = values[first]
            values.tofile(path)
        assert "connectivity: edges are not sorted and unique" in verify(seal(folder)).problems


def test_gzip_headers_of_native_exports_have_no_name_and_no_time(packed: Path) -> None:
    adopt(packed)
    path = packed / "points_2d.bin.gz"
    assert verify(packed).ok
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=1))
    assert has_problem(verify(seal(packed)), "mtime 0")
    path.write_bytes(2 * gzip.compress(b"", mtime=0))
    assert has_problem(verify(seal(packed)), "after the gzip member")
