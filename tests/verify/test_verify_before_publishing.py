"""`export --verify`: a damaged export is not published."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from atlas import atlas as make_atlas
from atlas import run, save

SPOIL = """
import sys
from pathlib import Path
def hook(event, arguments):
    if event == "import" and arguments[0] == "cellucid_dask.verify":
        (path,) = Path(".out.cellucid-staging").glob("export-*/var/Gene3.values.u8.gz")
        path.write_bytes(path.read_bytes()[:-1] + b"?")
sys.addaudithook(hook)
from cellucid_dask.__main__ import main
main()
"""


def test_an_export_that_is_damaged_before_it_is_published_is_made_again(tmp_path: Path) -> None:
    """It is not published; the report says why, and the same command makes it whole."""
    save(make_atlas(), tmp_path / "a.h5ad")
    arguments = ["a.h5ad", "-o", "out", "--verify", "--workers", "1"]
    ended = subprocess.run(
        [sys.executable, "-c", SPOIL, "export", *arguments, "--report", "r.json"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1, ended.stderr
    assert "var/Gene3.values.u8.gz" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
    report = json.loads((tmp_path / "r.json").read_text())
    assert not report["written"]
    assert not report["verified"]["ok"]
    assert any("Gene3" in problem for problem in report["verified"]["problems"])
    again = run("export", *arguments, "--report", "r.json", cwd=tmp_path)
    assert again.code == 0, again.err
    assert "11 of 12 genes" in again.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["written"]
    assert report["verified"]["ok"]
    assert report["verified"]["files"] == report["files"]
