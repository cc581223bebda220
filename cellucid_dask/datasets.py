"""``datasets.json`` for a folder of exports."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from cellucid_dask import format as fmt
from cellucid_dask.arguments.boundary import check_argument_types, with_argument_names
from cellucid_dask.errors import InputError, OutputError, Problem, suggest

SET_ASIDE = re.compile(
    r"^\.|\.before-\d{8}T\d{6}Z(-\d+)?$"
)  # hidden folders, and exports that --force replaced
_DATA_ENDINGS = (".h5ad", ".h5mu", ".zarr.zip")


@with_argument_names()
@check_argument_types
def catalog(root: str | os.PathLike[str], *, default: str | None = None) -> dict[str, Any]:
    """Write ``datasets.json`` for the exports in the folders right below `root`.

    Parameters
    ----------
    root
        Folder of exports.
    default
        Id of the dataset that a viewer shows first; by default the first by folder name.

    Returns
    -------
    dict
        The content of the file.

    Raises
    ------
    InputError
        When there is no export, an identity cannot be read, two exports have the same id, or no
        export has the id `default`. Nothing is written then.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise InputError("is not a folder", where=str(folder))
    entries, problems = _read_entries(folder)
    ids = [entry["id"] for entry in entries]
    if not entries and not problems:
        fix, others = "export into folders below it", find_data_files(folder)
        if others:
            fix += f" with --format folder; {', '.join(others)} cannot be listed"
        problems.append(Problem("holds no export", str(folder), fix))
    if default is not None and default not in ids:
        fix = suggest(default, ids, noun="ids are")
        problems.append(Problem(f"there is no dataset {default!r}", "--default", fix))
    if problems:
        raise InputError.of(problems)
    payload = fmt.datasets(entries, default or ids[0])
    _write(folder / fmt.DATASETS, fmt.dumps(payload, pretty=True))
    return payload


def find_data_files(root: Path) -> list[str]:
    """Names of the AnnData files and zarr stores right below a folder, such as ready files."""
    try:
        paths = sorted(root.iterdir())
    except OSError:  # the folder was removed, or may not be read
        return []
    return [path.name for path in paths if not SET_ASIDE.search(path.name) and _is_data(path)]


def _is_data(path: Path) -> bool:
    try:
        if path.is_dir():
            return is_zarr_store(path)
        return path.name.endswith(_DATA_ENDINGS) and path.is_file()
    except OSError:  # no permission
        return False


def is_zarr_store(folder: Path) -> bool:
    """Whether a folder has the metadata of a zarr store."""
    return any((folder / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata"))


def _read_entries(folder: Path) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Read the entries of the exports; return those with a valid id, and every problem."""
    problems: list[Problem] = []
    entries: list[dict[str, Any]] = []
    for path in sorted(folder.iterdir()):
        identity = path / fmt.IDENTITY
        if SET_ASIDE.search(path.name) or not identity.is_file():
            continue
        try:
            content = json.loads(identity.read_text("utf-8"))
            if not isinstance(content, dict):
                raise ValueError("it is not a JSON object")  # noqa: TRY004, TRY301  reported as damage
            entry = _make_entry(path.name, content)
        except (ValueError, OSError, AttributeError) as error:
            fix = "export it again, or move it away"
            problems.append(Problem(f"cannot be read ({error})", str(identity), fix))
            continue
        if isinstance(entry["id"], str) and entry["id"]:
            entries.append(entry)
        else:
            what = f"the id {entry['id']!r} is not text"
            problems.append(Problem(what, entry["path"], "export it again with --dataset-id"))
    ids = [entry["id"] for entry in entries]
    for name in sorted({i for i in ids if ids.count(i) > 1}):
        folders = ", ".join(entry["path"] for entry in entries if entry["id"] == name)
        what = f"the id {name!r} belongs to several exports"
        problems.append(
            Problem(what, folders, "export one of them again, with another --dataset-id")
        )
    return entries, problems


def _write(path: Path, text: str) -> None:
    from cellucid_dask.files import write_atomically

    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        write_atomically(path, [text.encode()])
    except OSError as error:
        what, fix = f"cannot be written ({error.strerror})", "check the permissions of the folder"
        raise OutputError(what, where=str(path), fix=fix) from error


def _make_entry(folder: str, identity: dict[str, Any]) -> dict[str, Any]:
    entry = {
        "id": identity.get("id", folder),
        "path": f"{folder}/",
        "name": identity.get("name", folder),
    }
    stats = identity.get("stats", {})
    return entry | {key: stats[key] for key in ("n_cells", "n_genes") if stats.get(key)}
