"""The benchmark of recovery: what it kills, and which broken promises it notices."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.recovery.atlases import FORMATS, Atlases, Formats, digest_files, digest_outputs
from benchmarks.recovery.command import command
from benchmarks.recovery.rounds import Rounds
from benchmarks.recovery.stages import STAGES, find_resumed, stages_of


def test_formats_are_those_of_the_export() -> None:
    found = Formats.parse("h5ad,folder")
    assert found.names == ("folder", "h5ad")
    assert "--created-at" in found.options
    sharded = Formats.parse("zarr.zip:shards")
    assert sharded.options == ("--format", "zarr.zip", "--zarr-format", "3", "--shards")
    assert sharded.staging(Path("/a")) == Path("/a/.out.zarr.zip.cellucid-staging")
    assert [Formats.parse(text).label for text in FORMATS] == list(FORMATS)


@pytest.mark.parametrize("text", ["parquet", "zarr:4", ""])
def test_what_is_no_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no format"):
        Formats.parse(text)
    ended = CliRunner().invoke(command, ["--format", text])
    assert ended.exit_code == 2
    assert "no format" in ended.output


def test_what_a_run_says_of_resuming() -> None:
    said = "resumes an earlier run; done so far: 1,400 of 2,000 genes, 6 parts of obs, 1 part of X"
    assert find_resumed(said) == (1400, 7)
    assert find_resumed("check: 1 of 1 inputs in 0.1 s") is None


def test_killed_exports_equal_the_expected_and_damage_is_noticed(tmp_path: Path) -> None:
    """One small atlas: kills of all its stages, then what differs in its outputs."""
    atlas = Atlases(tmp_path, 2000, 60, 0).find_or_make("csr", Formats.parse("zarr,h5ad:shards"))
    stages = list(stages_of(atlas))
    assert stages == [stage for stage in STAGES if stage not in ("obs", "genes", "manifests")]
    rounds = Rounds(tmp_path, random.Random(0), goal=3)
    number = 0
    while rounds.tally.kills.total() < 3:
        rounds.make_export(atlas, number)
        number += 1
    rounds.compare_exports(is_last=True)
    assert rounds.tally.failures == []
    assert rounds.tally.equal == rounds.tally.exports == number
    files = digest_files(atlas.new)
    assert files == digest_outputs(atlas.new)

    def find_broken(**changed: str | None) -> list[str]:
        named = {f"out.{name.replace('_', '.')}": value for name, value in changed.items()}
        found = {**files, **{name: value for name, value in named.items() if value is not None}}
        for name, value in named.items():
            if value is None:
                del found[name]
        return atlas.find_broken_outputs(found, is_replacing=True)

    assert find_broken() == []
    assert find_broken(h5ad_checksums_json=None) == []
    old = atlas.old_files["out.h5ad"]
    assert find_broken(h5ad=old, h5ad_checksums_json=None) == []
    assert find_broken(h5ad=old) == ["out.h5ad.checksums.json"]
    assert find_broken(h5ad="other") == ["out.h5ad (h5ad)"]
    assert find_broken(**{"zarr/zarr_json": "other"}) == ["out.zarr (zarr)"]
    assert find_broken(other="1") == ["out.other"]
