"""Compile the C library of the native gene path; run as a script it does so in place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FLAGS = (
    "-std=c11",
    "-O3",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror",
)


def main() -> None:
    """Compile into the folder of the sources."""
    here = Path(__file__).parent
    name = "libcellucid_native" + (".dylib" if sys.platform == "darwin" else ".so")
    sources = sorted(map(str, here.glob("*.c")))
    subprocess.run(["cc", *FLAGS, "-o", str(here / name), *sources, "-lm"], check=True)  # noqa: S607


if __name__ == "__main__":
    main()
