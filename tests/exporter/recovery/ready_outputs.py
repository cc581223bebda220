"""Small outputs of every format, published as a run does; a script that is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from zlib_ng import zlib_ng

from cellucid_dask import clean
from cellucid_dask import format as fmt
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.threads import Threads
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.recovery.outputs import Sums, checksums_path, locate_files
from cellucid_dask.exporter.recovery.previous_run import inspect_previous_run
from cellucid_dask.exporter.recovery.staging import open_staging
from cellucid_dask.exporter.stages.final import refuse_lost
from cellucid_dask.exporter.stages.publishing import find_rest, publish_outputs, save_checksums

SUFFIXES = {"folder": "", "zarr": ".zarr", "zarr.zip": ".zarr.zip", "h5ad": ".h5ad"}
# Every event that changes a name.
CHANGES = ("os.rename", "os.remove", "os.rmdir", "ctypes.dlsym")


def name_outputs(at: Path, formats: Sequence[str]) -> dict[str, Path]:
    """Paths of outputs in the folder `at`."""
    return {name: at / f"out{SUFFIXES[name]}" for name in formats}


def store_files(note: str, *, ready: bool = True) -> dict[str, bytes]:
    """Files of a store that holds `note`; with ``uns/cellucid`` if it is `ready`."""
    group = b'{"zarr_format":2}'
    groups = ["", "X/", "uns/", *(["uns/cellucid/"] if ready else [])]
    files = {f"{name}.zgroup": group for name in groups}
    return {**files, "X/data/.zarray": b"{}", "X/data/0": note.encode(), "X/data/1": b"1"}


def write_output(name: str, path: Path, note: str, *, ready: bool = True) -> Sums:
    """Write an output of a format that holds `note`; its files."""
    if name in ("folder", "zarr"):
        files = store_files(note, ready=ready)
        if name == "folder":
            files = {"points_2d.bin": note.encode(), fmt.IDENTITY: b"{}"}
            sums = {file: (len(raw), zlib_ng.crc32(raw)) for file, raw in files.items()}
            files[fmt.CHECKSUMS] = fmt.dumps(fmt.checksums(sums)).encode()
        for file, raw in files.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(raw)
        return {file: (len(raw), zlib_ng.crc32(raw)) for file, raw in files.items()}
    if name == "h5ad":
        with h5py.File(path, "w") as file:
            file["X"] = np.frombuffer(note.encode(), np.uint8)
            file.create_group("uns/cellucid" if ready else "uns/others")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for file_name, raw in store_files(note, ready=ready).items():
                archive.writestr(zipfile.ZipInfo(file_name), raw)
    raw = path.read_bytes()
    return {path.name: (len(raw), zlib_ng.crc32(raw))}


def write_old(at: Path, formats: Sequence[str], note: str) -> None:
    """Write outputs with their checksums, as an earlier run left them."""
    for name, path in name_outputs(at, formats).items():
        sums = write_output(name, path, note)
        if name != "folder":
            checksums_path(name, path).write_text(fmt.dumps(fmt.checksums(sums)))


def read_note(name: str, path: Path) -> str:
    """What an output holds, every file of which must be as its checksums say; empty without one."""
    if not path.exists():
        return ""
    if name == "h5ad":
        with h5py.File(path) as file:
            note = file["X"][()].tobytes().decode()
    elif name == "zarr.zip":
        with zipfile.ZipFile(path) as archive:
            note = archive.read("X/data/0").decode()
    else:
        note = (path / ("points_2d.bin" if name == "folder" else "X/data/0")).read_text()
    if (listed := checksums_path(name, path)).exists():
        files = json.loads(listed.read_bytes())["files"]
        if name not in ("folder", "zarr"):
            assert list(files) == [path.name]
        sums = {file: (size, int(crc, 16)) for file, (size, crc) in files.items()}
        for file, size, crc in locate_files(name, path, sums):
            raw = Path(file).read_bytes()
            assert (len(raw), zlib_ng.crc32(raw)) == (size, crc), file
    return note


def publish(at: Path, formats: Sequence[str], note: str, *, force: bool = False) -> list[Path]:
    """Make outputs that hold `note` and publish them, as a run; what was moved away."""
    outputs, provenance = name_outputs(at, formats), {"note": note}
    if inspect_previous_run(outputs, provenance, restart=False).complete:
        clean(next(iter(outputs.values())))
        return []
    engine = Engine(Threads(1), Reporter(quiet=True))
    with (
        open_staging(outputs, None, provenance, restart=False) as place,
        engine,
        engine.start_workers(place.folders.scratch),
    ):
        rest: Mapping[str, Sums] | None = find_rest(engine, place)
        if rest is None:
            with (at / "made.txt").open("a") as made:
                made.write("x")
            rest = {name: write_output(name, path, note) for name, path in place.staged.items()}
            place.journal.ready(ReadyWork("obs/x", ()))
            place.journal.published({"crc32": save_checksums(place, rest)})
        refuse_lost(place, rest, force=force)
        return publish_outputs(place, rest, lambda: None)


def _main(at: str, formats: list[str], note: str, force: bool, nth: int, log: str) -> None:
    """Publish, and be killed before the `nth` change of a name."""
    seen = 0

    def hook(event: str, arguments: Any) -> None:
        nonlocal seen
        if event in CHANGES:
            seen += 1
            with open(log, "a") as file:  # noqa: PTH123
                file.write(f"{event} {arguments}\n")
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    publish(Path(at), formats, note, force=force)


if __name__ == "__main__":
    _main(**json.loads(sys.argv[1]))
