"""The batch scripts, and a shell that runs them without SLURM."""

from __future__ import annotations

import os
import subprocess
from importlib.resources import files
from pathlib import Path

from atlas import Outcome

from cellucid_dask.compute.slurm.choices import KINDS

SCRIPTS = Path(str(files("cellucid_dask"))) / "compute" / "slurm" / "scripts"


EXPORTS = [kind for kind in KINDS if kind.startswith("export")]


JOB = {"SLURM_JOB_ID": "7", "SLURM_JOB_PARTITION": "main", "SLURM_CPUS_PER_TASK": "3"}


TASK = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "9"}


ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}


def script(kind: str) -> Path:
    return SCRIPTS / f"{kind}.sbatch"


def programs(folder: Path, **texts: str) -> Path:
    """Programs of shell, to be found before the real ones; the folder they are in."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    return folder


SAY = 'printf "%s|" "${0##*/}" "$@"; echo'  # what it was called with


def bash(path: Path, *words: object, cwd: Path, fakes: Path | None = None, **env: str) -> Outcome:
    """Run a script as the batch shell of a job would, without SLURM."""
    found = f"{fakes}:{ENVIRONMENT['PATH']}" if fakes else ENVIRONMENT["PATH"]
    log = cwd / "job.log"
    with log.open("ab") as out:
        done = subprocess.run(
            ["bash", str(path), *map(str, words)],
            cwd=cwd,
            stdout=out,
            stderr=subprocess.PIPE,
            env={**ENVIRONMENT, **JOB, "PATH": found, **env},
            timeout=240,
            check=False,
        )
    return Outcome(done.returncode, log.read_text(), done.stderr.decode())


LIST = "one.h5ad\n\n  # none\n my data/two.zarr/ \r\nx/three.zarr.zip\ny/three.h5ad\nlast d.h5ad"
