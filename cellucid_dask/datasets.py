"""``datasets.json`` for a folder of exports."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cellucid_dask import format as fmt
from cellucid_dask.errors import InputError, Problem
from cellucid_dask.options import suggest


def catalog(root: str | os.PathLike[str], *, default: str | None = None) -> dict[str, Any]:
    """Write ``datasets.json`` for the exports in the folders right below `root`.

    Parameters
    ----------
    root
        Folder of exports.
    default
        Id of the dataset a viewer shows first; the first by folder name when not given.

    Returns
    -------
    What was written.

    Raises
    ------
    InputError
        When there is no export, an identity cannot be read, two share an id, or `default` is
        none of them. Nothing is written then.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise InputError("is not a folder", where=str(folder))
    problems: list[Problem] = []
    entries: list[dict[str, Any]] = []
    for path in sorted(folder.iterdir()):
        identity = path / fmt.IDENTITY
        if not path.name.startswith(".") and identity.is_file():
            try:
                entries.append(_entry(path.name, json.loads(identity.read_text("utf-8"))))
            except (ValueError, OSError, AttributeError) as error:
                fix = "export it again, or move it away"
                problems.append(Problem(f"cannot be read ({error})", str(identity), fix))
    ids = [entry["id"] for entry in entries]
    for name in sorted({i for i in ids if ids.count(i) > 1}):
        folders = ", ".join(entry["path"] for entry in entries if entry["id"] == name)
        problems.append(
            Problem(f"the id {name!r} is that of several", folders, "export with --dataset-id")
        )
    if not entries and not problems:
        problems.append(Problem("holds no export", str(folder), "export into folders below it"))
    if default is not None and default not in ids:
        fix = suggest(default, ids, noun="ids are")
        problems.append(Problem(f"there is no dataset {default!r}", "--default", fix))
    if problems:
        raise InputError.of(problems)
    from cellucid_dask.export.files import write_beside

    payload = fmt.datasets(entries, default or ids[0])
    write_beside(folder / fmt.DATASETS, [fmt.dumps(payload, pretty=True).encode()])
    return payload


def _entry(folder: str, identity: dict[str, Any]) -> dict[str, Any]:
    entry = {
        "id": identity.get("id", folder),
        "path": f"{folder}/",
        "name": identity.get("name", folder),
    }
    stats = identity.get("stats", {})
    return entry | {key: stats[key] for key in ("n_cells", "n_genes") if stats.get(key)}
