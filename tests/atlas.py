"""Small atlases for tests, and ways to run the real command on them and to look at what it left."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import psutil
from forks import Forked, fork, run_forked
from scipy import sparse
from versions import write_zarr

from cellucid_dask.commands.main import main
from cellucid_dask.exporter.recovery.journal import JOURNAL, read_journal
from cellucid_dask.synthetic import AtlasSpec, write_h5ad

STAMP = ("--created-at", "2026-01-31T12:00:00Z")
TYPES = ("B cell", "T cell", "NK cell")


def atlas(
    cells: int = 60, genes: int = 12, *, seed: int = 0, columns: dict[str, Any] | None = None
) -> anndata.AnnData:
    """A tidy AnnData: CSR X, two obs columns and more from `columns`, 2D and 3D, PCA, a graph."""
    rng = np.random.default_rng(seed)
    table = {
        "cell_type": pd.Categorical.from_codes(rng.integers(3, size=cells), TYPES),
        "n_counts": rng.gamma(2, 100, cells).astype("f4"),
        **(columns or {}),
    }
    expression = sparse.random_array((cells, genes), density=0.3, rng=rng, dtype="f4", format="csr")
    ends = np.repeat(np.arange(cells), 3), rng.integers(cells, size=3 * cells)
    graph = sparse.coo_array((np.ones(3 * cells, "f4"), ends), shape=(cells, cells)).tocsr()
    return anndata.AnnData(
        expression,
        obs=pd.DataFrame(table, index=[f"cell{i}" for i in range(cells)]),
        var=pd.DataFrame(index=[f"Gene{i}" for i in range(genes)]),
        obsm={
            "X_umap_2d": rng.normal(size=(cells, 2)).astype("f4"),
            "X_umap_3d": rng.normal(size=(cells, 3)).astype("f4"),
            "X_pca": rng.normal(size=(cells, 5)).astype("f4"),
        },
        obsp={"connectivities": graph},
        layers={"counts": expression.copy()},
    )


def save(adata: anndata.AnnData, path: Path, **options: Any) -> Path:
    """Write `adata` as what the ending of `path` says, and return `path`."""
    if path.suffix in (".zarr", ".zip"):
        return write_zarr(adata, path, **options)
    adata.write_h5ad(path, **options)
    return path


def save_large(path: Path, *, cells: int = 40_000, genes: int = 3000, seed: int = 0) -> Path:
    """Write an atlas whose export takes seconds, so that it can be stopped in the middle."""
    spec = AtlasSpec(cells=cells, genes=genes, neighbors=5, seed=seed)
    write_h5ad(spec, path, compression="gzip")
    return path


def spoil_hdf5(path: Path, key: str, chunk: int) -> str:
    """Overwrite the middle of one stored chunk of the dataset `key`; how messages name it."""
    with h5py.File(path) as file:
        stored = file[key].id.get_chunk_info(chunk)
        first, size = stored.chunk_offset[0], file[key].chunks[0]
        noun = "items" if file[key].ndim == 1 else "rows"
    with path.open("r+b") as raw:
        raw.seek(stored.byte_offset + stored.size // 3)
        raw.write(b"\xff\x00\xff" * (stored.size // 9))
    return f"chunk {first // size} ({noun} {first} to {first + size - 1})"


def replace_array(path: Path, key: str, values: Any) -> None:
    """Put other `values` at `key` of an h5ad file, with the attributes that were there."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file[key].attrs)
        del file[key]
        file.create_dataset(key, data=values)
        file[key].attrs.update(attributes)


# --------------------------------------------------------------------------- what is on disk


def tree(folder: Path) -> dict[str, str]:
    """Everything below `folder`: what each path is, with a digest of what files hold."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "special"
    return found


def unfinished(folder: Path) -> list[Path]:
    """StagingFolders folders in `folder` that the next run can resume."""
    found = sorted(folder.rglob(".*.cellucid-staging"))
    return [path for path in found if (entries := read_journal(path / JOURNAL)) and entries.records]


def finished(folder: Path) -> dict[str, str]:
    """`tree`, except for the work that the next run can resume, and folders made for it alone."""
    work = unfinished(folder)
    names = [path.relative_to(folder).as_posix() for path in work]
    parents = [parent for path in work for parent in path.parents if parent != folder]
    alone = {
        parent.relative_to(folder).as_posix()
        for parent in parents
        if parent.is_relative_to(folder)
        and all(
            any(p.is_relative_to(w) or w.is_relative_to(p) for w in work) for p in parent.rglob("*")
        )
    }
    return {
        name: what
        for name, what in tree(folder).items()
        if name not in alone and not any(Path(name).is_relative_to(work) for work in names)
    }


def leftovers(folder: Path) -> list[str]:
    """Hidden files, and files that were being written, anywhere in `folder`."""
    return [
        name
        for name in tree(folder)
        if any(part.startswith(".") for part in Path(name).parts) or name.endswith(".part")
    ]


# --------------------------------------------------------------------------- the command


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


def here(capfd: Any, *arguments: object) -> Outcome:
    """Run the command in this process, through the function the installed script calls."""
    capfd.readouterr()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers, hook = [signal.getsignal(number) for number in numbers], sys.unraisablehook
    code: Any = None
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        code = ended.code
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        sys.unraisablehook = hook
    out, err = capfd.readouterr()
    assert isinstance(code, int), f"the command ended with {code!r}, not with an exit code"
    return Outcome(code, out, err)


def command(*arguments: object) -> list[str]:
    """Words of the real command."""
    return [sys.executable, "-m", "cellucid_dask", *(str(argument) for argument in arguments)]


def run(*arguments: object, cwd: Path, first: str = "", **environment: str) -> Outcome:
    """Run the command in a process of its own, with what it imports there already; see `fork`.

    Variables that Python reads as it starts need `run_anew`.
    """
    assert not [name for name in environment if name.startswith("PYTHON")]
    told = {**os.environ, **environment}
    return Outcome(*run_forked(*arguments, cwd=cwd, environment=told, first=first))


def run_anew(*arguments: object, cwd: Path, **environment: str) -> Outcome:
    """Run the command in a process of its own, as a shell would."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def script(text: str, cwd: Path) -> Outcome:
    """Run a Python script in a process of its own, with what it imports there already."""
    path = cwd / "user_script.py"
    path.write_text(text)
    return Outcome(*run_forked(cwd=cwd, script=str(path)))


def script_anew(text: str, cwd: Path) -> Outcome:
    """Run a Python script in a process of its own."""
    path = cwd / "user_script.py"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


# --------------------------------------------------------------------------- running processes


# A command ends some seconds after a signal even if its tasks still run, as they may do on a busy
# machine: with these lines it waits, so that a test sees how it ends by itself.
PATIENT = "from cellucid_dask.commands import signals\nsignals.STOP_SECONDS = 600\n"
HANGS = 600  # seconds; limits only end what would never end


class Running:
    """A command that is running, in a session of its own as a terminal would make one.

    Parameters
    ----------
    folder
        Everything the command is told to write is below it, so that its workers can be found.
    anew
        Whether Python is started for it, with all that it imports then.
    """

    def __init__(self, *arguments: object, folder: Path, anew: bool = False) -> None:
        self.folder = folder
        self.log = folder / "stderr.txt"
        self.process: Forked | subprocess.Popen[bytes]
        if not anew:
            self.log.write_bytes(b"")
            self.process = fork(*arguments, cwd=folder, err=self.log, first=PATIENT)
            return
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command(*arguments),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def wait_until_ready(self) -> None:
        """Wait until the command itself runs: until it has its handler of SIGTERM."""
        self._wait(lambda: _catches(self.process.pid, signal.SIGTERM), "it never began")

    def wait_for_workers(self, count: int) -> None:
        """Wait until `count` worker processes are there."""
        self._wait(lambda: len(self.family()) > count, f"it never had {count} workers")

    def wait_for_file(self, pattern: str) -> None:
        """Wait until there is such a file among those that it makes, or has made."""
        places = (f".*.cellucid-staging/**/{pattern}", f"**/{pattern}")

        def is_made() -> bool:
            with suppress(OSError):  # folders come and go
                return any(self.folder.glob(places[self.process.poll() is not None]))
            return False

        self._wait(is_made, f"it never made {pattern}")

    def _wait(self, reached: Any, otherwise: str) -> None:
        end = time.monotonic() + HANGS
        while not (found := reached()) and self.process.poll() is None:
            assert time.monotonic() < end, otherwise
            time.sleep(0.01)
        assert found or reached(), f"{otherwise}: {self.log.read_text()}"

    def family(self) -> list[psutil.Process]:
        """It and its workers, also those that have lost their parent, by what they are told."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = process.pid == self.process.pid or _mentions(process, self.folder)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def signal(self, number: int, *, group: bool) -> None:
        """Send a signal to the process, or to its group as a terminal does, if it still runs."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, number)

    def wait(self) -> int:
        """Exit code."""
        return self.process.wait(HANGS)

    def is_alone(self) -> bool:
        """Whether nothing of it runs any more, or soon."""
        end = time.monotonic() + HANGS
        while (family := self.family()) and time.monotonic() < end:
            time.sleep(0.05)
        return not family


def _mentions(process: psutil.Process, folder: Path) -> bool:
    return process.pid != os.getpid() and any(str(folder) in word for word in process.cmdline())


def _catches(pid: int, number: int) -> bool:
    """Whether a process, which may have ended, has a handler of a signal."""
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
