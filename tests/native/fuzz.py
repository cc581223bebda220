"""Random and hostile inputs to every function of the native library, under ASan and UBSan.

    python tests/native/fuzz.py --seconds 600

Each round draws all it does from its seed, which is printed when it fails; `--seed` with
`--rounds 1` repeats it. The modules `fuzz_*` have one function for each one of the library.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fuzz_deflate
import fuzz_encoder
import fuzz_entries
import fuzz_rows
import fuzz_strips
import fuzz_transpose
import numpy as np
from fuzz_case import Case, Target
from sanitizers import LIBRARY, compile_sanitized, find_sanitizer

TARGETS: dict[str, Target] = {
    **fuzz_deflate.TARGETS,
    **fuzz_encoder.TARGETS,
    **fuzz_entries.TARGETS,
    **fuzz_rows.TARGETS,
    **fuzz_strips.TARGETS,
    **fuzz_transpose.TARGETS,
}
SEED_FILE = "CELLUCID_FUZZ_SEED"  # where the process that is under sanitizers notes its round


def run_sanitized(arguments: list[str], folder: Path) -> int:
    """Compile with sanitizers, and run this script again in a process that has them loaded."""
    if find_sanitizer() is None:
        print("there is no cc with a shared ASan")
        return 2
    environment = {**compile_sanitized(folder), SEED_FILE: str(folder / "seed")}
    code = subprocess.run([sys.executable, __file__, *arguments], env=environment).returncode
    if code:
        print(f"FAILED in {(folder / 'seed').read_text()}", flush=True)
    return code


def exported_functions(library: str) -> set[str]:
    """Functions of a compiled library that work on data, those made by macros too."""
    command = ["nm", "--dynamic", "--defined-only", library]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    symbols = [line.split() for line in lines]
    return {name for _, kind, name in symbols if kind == "T" and not name.startswith("native_")}


def fuzz(library: ctypes.CDLL, names: list[str], seed: int, rounds: int, seconds: float) -> None:
    """Run rounds until there were enough of them, or the time is over."""
    end, counts = time.monotonic() + seconds, dict.fromkeys(names, 0)
    done, told = 0, time.monotonic()
    with Path(os.environ[SEED_FILE]).open("w") as note:
        while done < rounds and time.monotonic() < end:
            name = names[(seed + done) % len(names)]
            note.seek(0)
            note.write(f"--target {name} --seed {seed + done} --rounds 1  ")
            note.flush()
            with Case(library, np.random.default_rng(seed + done)) as case:
                TARGETS[name](case)
            counts[name] += 1
            done += 1
            if time.monotonic() > told + 30:
                print(f"{done} rounds", flush=True)
                told = time.monotonic()
    print(f"{done} rounds without a finding: {counts}, seeds from {seed}", flush=True)


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--rounds", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--target", action="append", choices=sorted(TARGETS))
    options = parser.parse_args()
    if LIBRARY not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            return run_sanitized(sys.argv[1:], Path(folder))
    functions = exported_functions(os.environ[LIBRARY])
    if functions != TARGETS.keys():
        print(f"without a target, or without a function: {sorted(functions ^ TARGETS.keys())}")
        return 1
    names = options.target or sorted(TARGETS)
    library = ctypes.CDLL(os.environ[LIBRARY])
    fuzz(library, names, options.seed, options.rounds, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
