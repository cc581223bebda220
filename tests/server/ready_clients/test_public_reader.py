"""The reader of `cellucid` 0.9.5 opens every store that was downloaded key by key.

It reads files alone. It also says what it holds that the public app cannot decode: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from public_reader import Answer, download
from ready_inputs import IDENTITY
from served_cases import Lineup, some
from stored_tree import tree_of_nodes


@pytest.mark.parametrize("case", some(0), ids=str)
def test_the_public_reader_reads_everything(
    case: Any, served: Lineup, public_reader: Callable[[Path], Answer], tmp_path: Path
) -> None:
    store = served(case)
    answer = public_reader(download(store.url, store.file["layout"], tmp_path))
    assert (answer["kind"], answer["layout"]) == (store.file["kind"], store.file["layout"])
    assert answer["identity"] == [IDENTITY["dataset_id"], IDENTITY["dataset_name"]]
    assert answer["undecodable"] == []
    wanted = store.wanted
    shape = [wanted[f"{table}/_index"].values.size for table in ("obs", "var")]
    assert answer["shape"] == shape
    for table in ("obs", "var"):
        assert answer[table] == sorted(wanted[table].facts["column-order"])
    spaces = {path for path in wanted if path.startswith("obsm/")}
    assert answer["obsm"] == {p.removeprefix("obsm/"): wanted[p].values.shape[1] for p in spaces}
    assert answer["obsp"] == (["connectivities"] if "obsp/connectivities" in wanted else [])
    assert answer["has_x"] == ("X" in wanted)
    store.assert_found(tree_of_nodes(answer["nodes"]))
