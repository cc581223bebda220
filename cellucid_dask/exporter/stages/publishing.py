"""Gives the outputs of a run their names, also those that a killed run had complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cellucid_dask import format as fmt
from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.recovery.outputs import (
    Sums,
    checksums_path,
    has_sizes,
    locate_files,
    read_checksums,
)
from cellucid_dask.exporter.recovery.previous_run import find_output
from cellucid_dask.exporter.recovery.publish import announce, publish, publish_ready, sync_disk
from cellucid_dask.exporter.recovery.resume import ExpectedFile
from cellucid_dask.exporter.recovery.staging import Workspace, remove_finished_spill
from cellucid_dask.exporter.stages.resume import check_claims
from cellucid_dask.files import write_atomically
from cellucid_dask.options.formats import FOLDER


def save_checksums(place: Workspace, written: Mapping[str, Sums]) -> dict[str, int]:
    """Write the checksums of each ready file into the staging folder.

    Returns
    -------
    The crc32 of the checksums of each output, those of the folder included, by format.
    """
    crcs: dict[str, int] = {}
    for name, sums in written.items():
        if name == FOLDER:
            crcs[name] = sums[fmt.CHECKSUMS][1]
            continue
        named = sums if name == "zarr" else {place.outputs[name].name: next(iter(sums.values()))}
        text = fmt.dumps(fmt.checksums(named)).encode()
        crcs[name] = write_atomically(checksums_path(name, place.staged[name]), [text])[1]
    return crcs


def publish_outputs(
    place: Workspace, names: Iterable[str], advance: Callable[[], None]
) -> list[Path]:
    """Give outputs that are complete their names, one after the other.

    Returns
    -------
    Where things are now that were in the way and are no outputs.
    """
    remove_finished_spill(place)  # before the flush to the disk
    for path in {path.parent for path in place.folders.ready.values()}:
        sync_disk(path)  # all before the first has its name
    aside: list[Path] = []

    def note(path: Path) -> None:
        place.journal.aside(path)
        aside.append(path)

    # The folder last: what was in its place is then in the staging folder, and when the run is
    # killed there, nothing else is.
    for name in sorted(names, key=lambda name: name == FOLDER):
        staged, out = place.staged[name], place.outputs[name]
        if name != FOLDER:
            publish_ready(name, staged, out, note)
        elif (moved := publish(staged, out)) is not None:
            aside.append(moved)
        advance()
    return aside


def find_rest(engine: Engine, place: Workspace) -> dict[str, Sums] | None:
    """Outputs that a killed run had complete and has not published; None unless all are intact.

    What has its name already is left out, once its checksums stand beside it. What has not is
    read: until here only its names and sizes were checked.
    """
    done, rest = place.finished, dict[str, Sums]()
    if done.published is None or not place.folders.ready:
        return None
    for name, out in place.outputs.items():
        staged = place.staged[name]
        where = find_output(done, name, staged, out)
        if where == "placed":
            continue
        sums = read_checksums(name, staged, done.published["crc32"].get(name, -1))
        if sums is None:
            return None
        if where == "staged" and _intact(engine, name, staged, sums):
            rest[name] = sums
        elif name != FOLDER and has_sizes(name, out, sums) and _intact(engine, name, out, sums):
            announce(name, staged, out)
        else:
            return None
    return rest


def _intact(engine: Engine, name: str, path: Path, sums: Sums) -> bool:
    claims = [ExpectedFile(*file) for file in locate_files(name, path, sums)]
    return all(good for _, good in check_claims(engine, claims))
