"""Centroids and outlier quantiles of live data: not before they are asked for, once, and kept."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from live_serving import (
    all_at_once,
    atlas_of,
    below,
    by_rename,
    expected,
    in_pieces,
    quick,
    serves,
    soon,
    written,
)
from oracle import CREATED, as_live, file_bytes
from serving import ask, serving, wait_until

from cellucid_dask import export

OBS, IDENTITY = "/obs_manifest.json", "/dataset_identity.json"
FULL = OBS[1:]
COLUMNS = ("group", "rare")
OUTLIERS = [f"obs/{key}.outliers.f32" for key in COLUMNS]
LATENT = ("obsm/X_pca",)


def kept_files(cache: Path) -> list[Path]:
    """Files of the summaries that a server keeps."""
    return sorted(cache.glob("genes/*/*/summaries/*"))


def all_kept(cache: Path) -> list[Path]:
    """The same, once there is one for the outliers and the centroids of each column."""

    def find() -> list[Path]:
        found = [file for file in kept_files(cache) if file.suffix != ".part"]
        return found if len(found) == 2 * len(COLUMNS) else []

    found: list[Path] = wait_until(find, "they are not kept")
    return found


def ask_for_summaries(server: Any, files: dict[str, bytes]) -> None:
    """The full manifest and all outlier quantiles are as in an export."""
    for name in (FULL, *OUTLIERS):
        assert ask(server, f"/{name}").body == files[name], name


def test_colors_need_no_pass_over_the_cells(tmp_path: Path, chunks: Counter[str]) -> None:
    path, files = in_pieces(tmp_path / "a.zarr", "csr"), expected("csr")
    full = json.loads(files[FULL])
    chunks.clear()
    with serving(path, cache_dir=tmp_path / "cache", index=False, dataset_id="a") as server:
        identity = json.loads(ask(server, f"{IDENTITY}?summaries=").body)
        for head in ("", "/a"):
            fields = json.loads(ask(server, f"{head}{OBS}?summaries=").body)
            bare = [[*entry[:4], {}] for entry in full["_categoricalFields"]]
            assert fields == full | {"_categoricalFields": bare}
        assert (
            ask(server, f"{OBS}?summaries=no_column").body == ask(server, f"{OBS}?summaries=").body
        )
        for key in COLUMNS:
            codes = f"obs/{key}.codes.u8"
            assert ask(server, f"/{codes}").body == files[codes]
        assert below(chunks, *LATENT, "obsp", "X") == {}
        # Others get everything, and then it is known to all.
        whole = json.loads(ask(server, IDENTITY).body)
        assert identity["stats"].pop("n_edges") is None
        assert whole["stats"].pop("n_edges") > 0
        assert identity == whole
        assert ask(server, OBS).body == files[FULL]
        assert below(chunks, *LATENT) == {}, "centroids need no latent space"
        assert ask(server, f"/{OUTLIERS[0]}").body == files[OUTLIERS[0]]
        assert below(chunks, *LATENT) != {}


@pytest.mark.parametrize("bits", [8, 16])
def test_quantized_data_tell_the_range_of_one_column(tmp_path: Path, bits: int) -> None:
    path = written(tmp_path / "a.h5ad", atlas_of())
    export(path, tmp_path / "out", quiet=True, created_at=CREATED, compression=0,
           var_quantization=bits, obs_quantization=bits)  # fmt: skip
    files = as_live(file_bytes(tmp_path / "out"))
    full = json.loads(files[FULL])["_categoricalFields"]
    for _ in range(2):  # the second server has them
        with serving(path, cache_dir=tmp_path / "cache", quantize=bits) as server:
            told = json.loads(ask(server, f"{OBS}?summaries=rare").body)["_categoricalFields"]
            assert told == [[*full[0][:4], {}], full[1]]
            for name in (FULL, *(name.replace("f32", f"u{bits}") for name in OUTLIERS)):
                assert ask(server, f"/{name}").body == files[name], name


def test_exports_are_sent_whole(tmp_path: Path) -> None:
    export(atlas_of(), tmp_path / "out", quiet=True)
    with serving(tmp_path / "out") as server:
        for name in (FULL, "dataset_identity.json"):
            stored = (tmp_path / "out" / name).read_bytes()
            assert ask(server, f"/{name}?summaries=").body == stored
            assert ask(server, f"/{name}?summaries=group").body == stored


@pytest.mark.parametrize("write", [in_pieces, lambda path, _: written(path, atlas_of())])
def test_the_next_server_has_what_was_found(
    tmp_path: Path, chunks: Counter[str], write: Callable[..., Path]
) -> None:
    path, cache, files = write(tmp_path / "a.zarr", "csr"), tmp_path / "cache", expected("csr")
    with serving(path, cache_dir=cache) as server:
        assert kept_files(cache) == []
        ask_for_summaries(server, files)
        kept = all_kept(cache)
    chunks.clear()
    with serving(path, cache_dir=cache) as server:
        ask_for_summaries(server, files)
        codes = [f"obs/{key}/codes" for key in COLUMNS]
        assert below(chunks, *LATENT, *codes) == {}, "nothing is read again"
    # Files that a killed program or a failing disk left are of no use.
    content = [file.read_bytes() for file in kept]
    kept[0].write_bytes(content[0][:-1])
    kept[1].write_bytes(content[0])
    kept[2].write_bytes(b"")
    kept[3].write_bytes(content[3][:-40] + b"\0" + content[3][-39:])
    (kept[0].parent / "half.part").write_bytes(content[0][:40])
    with serving(path, cache_dir=cache) as server:
        ask_for_summaries(server, files)
        assert below(chunks, *LATENT) != {}
        wait_until(lambda: [file.read_bytes() for file in kept] == content, "they stay damaged")


def test_other_options_have_summaries_of_their_own(tmp_path: Path) -> None:
    path, cache = written(tmp_path / "a.h5ad", atlas_of()), tmp_path / "cache"
    choices: list[dict[str, Any]] = [
        {},
        {"centroid_min_points": 80},
        {"latent_key": "X_umap_3d"},
        {"embeddings": {3: "X_umap_3d"}},
    ]
    for options in choices:
        out = tmp_path / str(options)
        export(path, out, quiet=True, created_at=CREATED, compression=0, var_quantization=None,
               obs_quantization=None, **options)  # fmt: skip
        with serving(path, cache_dir=cache, **options) as server:
            ask_for_summaries(server, as_live(file_bytes(out)))


@quick
@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_a_changed_file_has_summaries_of_its_own(tmp_path: Path, ending: str) -> None:
    path, cache = written(tmp_path / f"a.{ending}", atlas_of()), tmp_path / "cache"
    new = written(tmp_path / f"new.{ending}", atlas_of(seed=3))
    files = expected("csr", seed=3)
    with serving(path, cache_dir=cache) as server:
        ask_for_summaries(server, expected("csr"))
        before = all_kept(cache)
        if ending == "zarr":
            path.rename(tmp_path / "aside")
        by_rename(new, path)
        soon(lambda: ask(server, f"/{FULL}").body == files[FULL], "the old manifest stays")
        serves(server, files)
        wait_until(lambda: not any(file.exists() for file in before), "the old ones stay")
        after = all_kept(cache)
        assert {file.parent for file in after}.isdisjoint({file.parent for file in before})
    with serving(path, cache_dir=cache) as server:
        serves(server, files)
    assert kept_files(cache) == after


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    path, files = written(tmp_path / "a.h5ad", atlas_of("csc")), expected("csc")
    (tmp_path / "file").write_bytes(b"")
    for options in ({"cache_dir": tmp_path / "file" / "cache"},
                    {"cache_dir": tmp_path / "cache", "index": False}):  # fmt: skip
        with serving(path, **options) as server:
            ask_for_summaries(server, files)
            ask_for_summaries(server, files)
    assert (tmp_path / "file").read_bytes() == b""
    assert not (tmp_path / "cache").exists()


def test_who_asks_at_the_same_time_shares_a_pass(tmp_path: Path, chunks: Counter[str]) -> None:
    path, files = in_pieces(tmp_path / "a.zarr", "csr"), expected("csr")
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        chunks.clear()
        asked = [f"/{name}{ending}" for name in OUTLIERS for ending in ("", ".gz")]
        coded = {"Accept-Encoding": "gzip"}
        with ThreadPoolExecutor(2) as pool:  # six contents, that each need one of two files
            plain = pool.submit(all_at_once, server, [*asked, OBS, OBS])
            others = pool.submit(all_at_once, server, [f"/{name}" for name in OUTLIERS], coded)
        bodies = [reply.body for reply in plain.result()]
        assert bodies[::2] == [*(files[name] for name in OUTLIERS), files[FULL]]
        assert bodies[-1] == files[FULL]
        packed = [bodies[1], bodies[3], *(reply.body for reply in others.result())]
        assert [gzip.decompress(body) for body in packed] == 2 * [files[name] for name in OUTLIERS]
        # A pass reads each chunk twice. There are at most three: who comes first, the others
        # together, and those of the background.
        assert max(below(chunks, *LATENT).values()) <= 6


def test_the_other_columns_follow_in_the_background(tmp_path: Path) -> None:
    path, cache, files = (
        written(tmp_path / "a.h5ad", atlas_of()),
        tmp_path / "cache",
        expected("csr"),
    )
    with serving(path, cache_dir=cache) as server:
        assert ask(server, f"/{OUTLIERS[1]}").body == files[OUTLIERS[1]]
        wait_until(lambda: len(kept_files(cache)) == len(COLUMNS), "nobody makes the others")
