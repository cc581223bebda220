"""`verify` finds manifests that contradict the format, the files or one another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from verifying import KINDS, N_CELLS, MutableExport, adopt, edit, flip, has_problem, seal

from cellucid_dask import format as fmt
from cellucid_dask.verify import verify


@pytest.mark.parametrize("action", ["used_as", "ignored"])
@pytest.mark.parametrize("dim", [[], {}, [2], "2", 2.0, True])
def test_umap_resolution_must_name_a_number_of_dimensions(
    plain: Path, dim: Any, action: str
) -> None:
    def change(identity: Any) -> None:
        entry = {"action": action, "dim": dim, "alias_key": f"X_umap_{dim}d"}
        identity["embeddings"]["umap_resolution"] = entry

    edit(plain / fmt.IDENTITY, change)
    assert has_problem(verify(plain), "is not a number of dimensions")


def numbers_of(payload: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Path of every number in a manifest."""
    if isinstance(payload, dict):
        return [p for key, value in payload.items() for p in numbers_of(value, (*path, key))]
    if isinstance(payload, list):
        return [p for i, value in enumerate(payload) for p in numbers_of(value, (*path, i))]
    return [path] if isinstance(payload, int | float) and not isinstance(payload, bool) else []


@pytest.mark.parametrize("name", fmt.MANIFESTS)
def test_every_number_of_a_manifest_matters(plain: Path, atlas: Path, name: str) -> None:
    adopt(plain)
    good = (plain / name).read_text()
    paths = numbers_of(json.loads(good))
    for path in paths[:: max(1, len(paths) // 15)]:
        payload = json.loads(good)
        inner = payload
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = (
            inner[path[-1]] * 1.5 + 0.25
            if isinstance(inner[path[-1]], float)
            else inner[path[-1]] + 1
        )
        (plain / name).write_text(json.dumps(payload))
        assert not verify(seal(plain), atlas).ok, path
    (plain / name).write_text(good)
    assert verify(seal(plain), atlas).ok


@pytest.mark.parametrize("name", fmt.MANIFESTS)
def test_every_key_of_a_manifest_matters(plain: Path, name: str) -> None:
    adopt(plain)
    good = json.loads((plain / name).read_text())
    for key in good:
        other = {k: v for k, v in good.items() if k != key}
        (plain / name).write_text(json.dumps(other))
        assert key == "vector_fields" or has_problem(verify(plain), f"lacks {key!r}"), key
        (plain / name).write_text(json.dumps({**other, key.upper() + "?": good[key]}))
        assert not verify(seal(plain)).ok, key
        for value in (None, -1, "x", [], {}, [[]], {"a": 1}, 1e9, True, [["x", [], 1]]):
            (plain / name).write_text(json.dumps({**good, key: value}))
            verify(plain)  # whatever it says, it says it


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', "[]", "{", "", '{"a": 1, "a": 1}', "\udcff"],
)
def test_manifests_are_strict_json(plain: Path, text: str) -> None:
    (plain / fmt.VAR_MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    report = verify(plain)
    assert len(report.problems) == 1
    assert has_problem(report, f"{fmt.VAR_MANIFEST}: is not strict JSON")


def test_no_changed_byte_of_a_manifest_raises(plain: Path) -> None:
    rng = np.random.default_rng(0)
    for name in fmt.MANIFESTS:
        good = (plain / name).read_bytes()
        for at in rng.integers(0, len(good), 25):
            flip(plain / name, int(at), int(rng.integers(1, 128)))
            verify(plain)
            (plain / name).write_bytes(good)
    assert verify(plain).ok


def test_one_wrong_number_of_cells_is_one_problem(plain: Path) -> None:
    edit(plain / fmt.VAR_MANIFEST, lambda var: var.update(n_points=N_CELLS + 1))
    assert verify(plain).problems == (f"{fmt.VAR_MANIFEST}, n_points: is 241, not 240",)


def test_a_moved_centroid_is_found(plain: Path) -> None:
    def move(obs: Any) -> None:
        obs["_categoricalFields"][0][4]["2"][0]["position"][1] += 0.01

    edit(plain / fmt.OBS_MANIFEST, move)
    assert has_problem(verify(plain), "centroids of 'cluster' in 2d, 'T cells': is off by 0.01")


def test_two_keys_with_one_file_are_found(plain: Path) -> None:
    edit(plain / fmt.VAR_MANIFEST, lambda var: var["fields"].append(["ENSG00005!", 0.0, 1.0]))
    assert has_problem(verify(plain), "is the file of 2 keys")


def test_checksums_must_have_the_right_shape(plain: Path) -> None:
    assert verify(seal(plain)).ok
    (plain / fmt.CHECKSUMS).write_text("{}")
    (problem,) = verify(plain).problems
    assert problem.startswith("checksums.json: is not strict JSON of the right shape")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": []}',
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": {"a": 1}}',
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": {"a": [1, "x"]}}',
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": {"a": [true, "0"]}}',
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": {"a": [-1, "0"]}}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_checksums_of_a_wrong_shape_are_one_problem(
    mutable_exports: dict[str, MutableExport], text: str
) -> None:
    report = mutable_exports["plain"].report(
        **{fmt.CHECKSUMS: text.encode("utf-8", "surrogateescape")}
    )
    assert len(report.problems) == 1
    assert report.problems[0].startswith("checksums.json: is not strict JSON of the right shape")


def test_checksums_that_list_other_paths(mutable_exports: dict[str, MutableExport]) -> None:
    mutable_export = mutable_exports["plain"]
    sums = json.loads(mutable_export.good[fmt.CHECKSUMS])
    for path in ("../a.h5ad", "/etc/passwd", "a\0b", "a\nb", "\ud800", fmt.CHECKSUMS):
        files = {**sums["files"], path: [1, "00000000"]}
        listed = {name: (size, int(crc, 16)) for name, (size, crc) in files.items()}
        raw = fmt.dumps(fmt.checksums(listed)).encode()
        (problem,) = mutable_export.report(**{fmt.CHECKSUMS: raw}).problems
        assert problem.endswith(("is missing", "lists itself"))
        assert problem.isprintable()


@KINDS
def test_an_extra_blank_in_the_checksums_is_found(mutable_export: MutableExport) -> None:
    spaced = mutable_export.good[fmt.CHECKSUMS].replace(b": ", b":  ", 1)
    text = "checksums.json: is not byte for byte as export writes it"
    assert mutable_export.report(**{fmt.CHECKSUMS: spaced}).problems == (text,)


@KINDS
@pytest.mark.parametrize("broken", fmt.MANIFESTS)
def test_files_of_a_broken_manifest_are_still_compared_with_the_checksums(
    mutable_export: MutableExport, broken: str
) -> None:
    gene = next(name for name in mutable_export.names if name.startswith("var/"))
    cut = mutable_export.good[gene][:-1]
    report = mutable_export.report(**{broken: b"{", gene: cut, "new": b""})
    size = len(mutable_export.good[gene])
    assert [p for p in report.problems if not p.startswith(broken)] == [
        "new: is not in checksums.json",
        f"{gene}: has {size - 1} bytes, not {size} as in checksums.json",
    ]
    assert [p.partition(":")[0] for p in report.problems[:2]] == [broken] * 2
