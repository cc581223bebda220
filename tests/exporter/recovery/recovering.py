"""Steps that the tests of recovery share: interrupt a run, watch it, damage a file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from atlas import tree
from scenes import GENE, Scene

# As modules, for setattr.
first_pass = import_module("cellucid_dask.exporter.stages.genes.first_pass")
strip_driver = import_module("cellucid_dask.exporter.stages.genes.strip_driver")


def record_calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Record the calls of the functions that make pieces, from now on, by function."""
    made: dict[str, list[Any]] = {"cut_chunk": [], "write_strip_genes": [], "make_obs": []}

    def watch(module: Any, name: str) -> None:
        work = getattr(module, name)

        def watched(*arguments: Any, **more: Any) -> Any:
            made[name].append(arguments)
            return work(*arguments, **more)

        monkeypatch.setattr(module, name, watched)

    watch(first_pass, "cut_chunk")
    watch(strip_driver, "write_strip_genes")
    return made


def count_genes(made: dict[str, list[Any]]) -> int:
    """Count the genes that were written."""
    return sum(len(ids) for *_, ids, _max_bytes in made["write_strip_genes"])


def tree_with_times(folder: Path) -> dict[str, Any]:
    """Return what `tree` does, with the modification times of files."""
    return {
        name: (what, (folder / name).stat().st_mtime_ns if what != "folder" else 0)
        for name, what in tree(folder).items()
    }


def leave_spill_in_scratch(small: Scene) -> Path:
    """Kill a run in the genes that spills to a scratch folder where a user has a file."""
    spill = small.at / "spill"
    hook = f"import os; os.makedirs({str(spill)!r}, exist_ok=True)\n"
    small.left_by("scratch", GENE, 12, "--scratch", spill, first=hook)
    (spill / "mine.txt").write_text("mine")
    assert len(list(spill.iterdir())) == 2, "nothing is spilled there"
    return spill


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
