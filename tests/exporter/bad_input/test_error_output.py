"""What an error prints, and inputs that were refused badly before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from atlas import atlas, command, here, leftovers, run, save
from bad_inputs import Refuse, says

from cellucid_dask import CellucidDaskError, check, export


def test_debug_shows_where(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ("export", data.name, "-o", "out", "--obs-key", "x"),
        ("check", "none.h5ad"),
        ("catalog", "nowhere"),
    ):
        ended = here(capfd, *arguments, "--debug")
        assert ended.code == 2
        says(ended.err, "Traceback (most recent call last)", "cellucid_dask", "error: ")
    assert leftovers(tmp_path) == []


def test_control_characters_of_a_key_do_not_reach_the_terminal(
    refuse: Refuse, tmp_path: Path
) -> None:
    save(atlas(columns={"red\x1b[31m": 1.0, "red [31m": 1.0}), tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    assert "\x1b" not in message


def test_the_message_is_on_stderr_and_nothing_on_stdout(data: Path, tmp_path: Path) -> None:
    ended = run("export", data.name, "-o", "out", "--obs-key", "cell_typ", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(("error:", "check:"))
    assert ended.err.count("error:") == 1


def test_python_raises_one_error_with_all_problems(data: Path) -> None:
    from cellucid_dask import CellucidDaskError, export

    with pytest.raises(CellucidDaskError) as caught:
        export(data, "out", quiet=True, obs_keys=["cell_typ"], latent_key="pca", graph="g")
    assert len(caught.value.problems) == 3
    with pytest.raises(CellucidDaskError, match=r"centroid_quantile") as caught:
        export(data, "out", centroid_quantle=0.9, workers=0)
    assert len(caught.value.problems) == 2


def test_no_python_warning_on_stderr(data: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", *command("check", data.name)[1:]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_dask_array_whose_blocks_are_not_what_it_declares(tmp_path: Path) -> None:
    adata = atlas()
    dense = adata.X.toarray() if hasattr(adata.X, "toarray") else np.asarray(adata.X)
    lying = da.from_array(dense, chunks=(20, -1)).map_blocks(
        lambda block: block[:15], dtype=dense.dtype, meta=dense[:0]
    )
    adata.X = lying
    with pytest.raises(CellucidDaskError, match="blocks"):
        export(adata, tmp_path / "never" / "made", quiet=True)
    assert not (tmp_path / "never").exists()


def test_a_report_goes_through_a_link_and_not_over_it(data: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("{}")
    link.symlink_to(target)
    assert run("export", data.name, "-o", "o", "--report", link.name, cwd=tmp_path).code == 0
    assert link.is_symlink()
    assert '"n_cells"' in target.read_text()


def test_an_obs_column_of_lists_is_named() -> None:
    adata = atlas()
    adata.obs["listed"] = [[1]] * adata.n_obs
    assert "obs['listed']" in str(check(adata).problems[0])


def test_obsm_that_nothing_asks_for_stops_nothing() -> None:
    adata = atlas()
    adata.obsm["clones"] = pd.DataFrame({"clone": ["a"] * adata.n_obs}, index=adata.obs_names)
    assert check(adata).ok
