"""Random and hostile inputs to every function of the native library, under ASan and UBSan.

    python tests/native/fuzz.py --seconds 600

Each round draws all it does from its seed, which is printed when it fails; `--seed` with
`--rounds 1` repeats it. `fuzz_targets.py` has one function for each one of the library.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from fuzz_targets import TARGETS, Case

from cellucid_dask.native import build

SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
LIBRARY = "CELLUCID_FUZZ_LIBRARY"  # the compiled library, for the process that is under sanitizers
SEED_FILE = "CELLUCID_FUZZ_SEED"  # where that process notes its round


def find_sanitizer() -> Path | None:
    """The runtime of ASan that belongs to ``cc``; None where there is none."""
    command = ["cc", "-print-file-name=libasan.so"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    path = Path(done.stdout.strip())
    return path.resolve() if path.is_absolute() and path.exists() else None


def run_sanitized(arguments: list[str], folder: Path) -> int:
    """Compile with sanitizers, and run this script again in a process that has them loaded."""
    asan = find_sanitizer()
    if asan is None:
        print("there is no cc with a shared ASan")
        return 2
    build.compile_library(folder / build.LIBRARY, SANITIZERS)
    environment = {
        **os.environ,
        LIBRARY: str(folder / build.LIBRARY),
        SEED_FILE: str(folder / "seed"),
        "LD_PRELOAD": str(asan),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    code = subprocess.run([sys.executable, __file__, *arguments], env=environment).returncode
    if code:
        print(f"FAILED in {(folder / 'seed').read_text()}", flush=True)
    return code


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
    sources = "".join(path.read_text() for path in build.FOLDER.glob("*.c"))
    functions = set(re.findall(r"EXPORT int64_t (\w+)\(", sources))
    if missing := sorted(functions - TARGETS.keys()):
        print(f"without a target: {', '.join(missing)}")
    names = options.target or sorted(TARGETS)
    library = ctypes.CDLL(os.environ[LIBRARY])
    fuzz(library, names, options.seed, options.rounds, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
