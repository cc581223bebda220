"""Compile the C library of the native gene path; run as a script it does so in place.

Stands alone: the build of the wheel runs it where nothing of this package can be imported. The
first compiler that works is used:

1. ``$CC``, or ``cc`` and its usual names;
2. ``ziglang``, a package of PyPI that holds a C compiler, where it is installed;
3. ``ziglang``, installed by pip into a temporary folder. It is no declared requirement of the
   build because a requirement that cannot be installed, as without a network, ends the build.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARY = "libcellucid_native" + (".dylib" if sys.platform == "darwin" else ".so")
# The bytes of an export must be equal on all machines: nothing here may depend on the machine that
# compiles (-march=native), reorder floating-point operations (-ffast-math) or fuse them.
FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off")
MACOS = "11.0"  # the oldest macOS that the library runs on, which the tag of the wheel says as well
ZIGLANG = "ziglang>=0.13"
# Where zig is the compiler it builds for the oldest system there is, and for any processor.
ZIG_TARGETS = {
    ("linux", "x86_64"): "x86_64-linux-gnu.2.17",
    ("linux", "aarch64"): "aarch64-linux-gnu.2.17",
    ("darwin", "x86_64"): f"x86_64-macos.{MACOS}",
    ("darwin", "arm64"): f"aarch64-macos.{MACOS}",
}
# A program in PATH may be a compiler without the headers or the linker that it needs.
PROBE = (
    "#include <math.h>",
    "#include <stdlib.h>",
    "double probe(const char *text) { return exp(atof(text)); }",
    "",
)
INSTALL_SECONDS = 600


class BuildError(Exception):
    """The library was not made; the message says what each compiler objected to."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler.

    Parameters
    ----------
    name
        As messages call it.
    command
        The program, with options that it always needs.
    environment
        Variables that are set for it.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def digest_sources(folder: Path = FOLDER) -> str:
    """Digest of the C sources and of the file like this one in `folder`."""
    digest = hashlib.sha256()
    for path in (*_sources(folder, "c"), *_sources(folder, "h"), folder / "build.py"):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]


def _sources(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"*.{kind}"))


def is_current(library: Path) -> bool:
    """Whether a library was compiled from the sources beside it; it is read, not loaded."""
    return f"sources {digest_sources(library.parent)}".encode() in library.read_bytes()


def compile_library(target: Path, flags: Sequence[str] = ()) -> str:
    """Compile all sources to the file `target`; return the name of the compiler.

    The file appears at once and whole: other processes may be loading one of that name.

    Raises
    ------
    BuildError
        When there is no compiler that works, or it finds errors in the sources.
    OSError
        When the folder of `target` cannot be written.
    """
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".compile-") as beside,
        tempfile.TemporaryDirectory(prefix="cellucid-dask-zig-") as downloads,
    ):
        probe, made = Path(beside, "probe.c"), Path(beside, target.name)
        probe.write_text("\n".join(PROBE), encoding="ascii")
        failures = []
        for compiler in _find_compilers(Path(downloads)):
            if failure := _compile(compiler, [probe], Path(beside, "probe")):
                failures.append(failure)
                continue
            name = Path(compiler.name).name
            identity = (f'-DSOURCES_DIGEST="{digest_sources()}"', f'-DCOMPILER="{name}"')
            if failure := _compile(compiler, _sources(FOLDER, "c"), made, (*identity, *flags)):
                raise BuildError(failure)
            made.replace(target)
            return compiler.name
    raise BuildError("; ".join(failures) or "there is no C compiler")


def _compile(
    compiler: Compiler, sources: Sequence[Path], target: Path, flags: Sequence[str] = ()
) -> str:
    """Compile `sources` to the library `target`; return why it failed, or an empty text."""
    if sys.platform == "darwin":
        flags = (f"-mmacosx-version-min={MACOS}", *flags)
    files = ("-o", str(target), *map(str, sources), "-lm")
    try:
        done = subprocess.run(
            [*compiler.command, *FLAGS, *flags, *files],
            env={**os.environ, "LC_ALL": "C", **compiler.environment},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return f"{compiler.name}: {error}"
    if done.returncode == 0 and target.exists():
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if "error: " in line]
    reason = next(iter([*errors, *lines]), f"it made no library (exit code {done.returncode})")
    return f"{compiler.name}: {reason}"


def _find_compilers(downloads: Path) -> Iterator[Compiler]:
    """Yield the compilers of this machine in the order of preference; ziglang last."""
    if named := shlex.split(os.environ.get("CC", "")):
        yield Compiler(named[0], tuple(named), {})
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            yield Compiler(name, (name,), {})
            break
    if find_spec("ziglang") is not None:
        yield _zig(downloads, {})
    elif _install_ziglang(downloads):
        yield _zig(downloads, {"PYTHONPATH": str(downloads)})


def _zig(cache: Path, environment: Mapping[str, str]) -> Compiler:
    machine = ZIG_TARGETS.get((sys.platform, platform.machine()))
    libc = platform.libc_ver()[0]
    portable = machine is not None and (sys.platform != "linux" or libc == "glibc")
    # Without a target zig would use all that the processor of this machine can do.
    target = ("-target", str(machine)) if portable else ("-mcpu=baseline",)
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
    command = (sys.executable, "-m", "ziglang", "cc", *target)
    return Compiler("zig cc", command, {**caches, **environment})


def _install_ziglang(folder: Path) -> bool:
    """Try to install ziglang into `folder`, by the installer that runs this build."""
    options = ("--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder), ZIGLANG)
    command: tuple[str, ...]
    if uv := os.environ.get("UV"):  # uv sets it for the builds that it runs
        command = (uv, "pip", "install", "--python", sys.executable, *options)
    else:
        quick = ("--disable-pip-version-check", "--retries", "1", "--timeout", "15")
        command = (sys.executable, "-m", "pip", "install", *quick, *options)
    # pip hides itself from the builds that it runs by a folder in this variable.
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=INSTALL_SECONDS, check=False
        )
        return done.returncode == 0
    return False


def main(flags: Sequence[str] = ()) -> int:
    """Compile into the folder of the sources, with more `flags` for the compiler."""
    try:
        name = compile_library(FOLDER / LIBRARY, flags)
    except (BuildError, OSError) as error:
        print(f"the native library was not compiled ({error})", file=sys.stderr)  # noqa: T201
        return 1
    print(f"compiled {FOLDER / LIBRARY} with {name}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
