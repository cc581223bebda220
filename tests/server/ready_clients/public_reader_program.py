"""Read stores with `cellucid` 0.9.5, in an environment of its own; see `public_reader`.

A path on each line of the standard input is answered by a line of JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")

from cellucid import _anndata_files as files  # noqa: E402
from stored_tree import pack_tree, stored_tree  # noqa: E402


def answer(path: str) -> dict[str, Any]:
    """What the package says of a store, and what it reads of it."""
    store = files.classify_anndata_path(path)
    contents = files.read_anndata_contents(store)
    assert contents is not None
    return {
        "kind": store.kind,
        "layout": store.layout,
        "identity": files.read_cellucid_identity(store),
        "undecodable": files.browser_undecodable(store),
        "shape": [contents.n_obs, contents.n_vars],
        "obs": sorted(contents.obs_columns),
        "var": sorted(contents.var_columns),
        "obsm": dict(contents.obsm),
        "obsp": sorted(contents.obsp),
        "has_x": contents.has_x,
        "nodes": pack_tree(stored_tree(files.read_into_memory(store))),
    }


def main() -> None:
    """Answer every line of the standard input."""
    out, sys.stdout = sys.stdout, sys.stderr  # the package may print
    for line in sys.stdin:
        try:
            found = answer(line.rstrip("\n"))
        except Exception as error:  # noqa: BLE001  it is told to the test
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    main()
