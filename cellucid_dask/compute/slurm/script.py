"""The batch scripts of the folder ``slurm``, filled in for the paths of a user and for a site."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cellucid_dask.compute.slurm.sbatch import (
    UNHELD,
    directive,
    is_held,
    log_folder,
    long_name,
    mebibytes,
)
from cellucid_dask.errors import OptionError, Problem, suggest
from cellucid_dask.options.sizes import parse_size
from cellucid_dask.options.slurm import SlurmOptions

PROGRAM = "cellucid-dask"
MANY = ("nodes", "workers", "interface")  # what only a script for several nodes takes
KINDS = {  # with the options that a script has no use for
    "export-node": MANY,
    "export-nodes": ("job_cores",),
    "export-array": MANY,
    "serve-node": ("out", *MANY),
}
LEAST_BYTES = 500_000_000  # of memory of a job, below which no command runs
LEAST_MINUTES = 3  # a job is told to stop 2 minutes before its end
MEMORY = ("--mem", "--mem-per-cpu", "--mem-per-gpu")  # one of which a job may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What is to be filled in; what is None stays as the script has it.

    Parameters
    ----------
    data
        Path of an atlas; of the list of atlases for an array; of what is served.
    out
        Folder to make, or folder of exports for an array.
    partition, account, time
        As ``sbatch`` takes them.
    job_memory
        Memory of a job on each node, as text such as ``"16GB"``.
    job_cores
        Cores of a job.
    nodes, workers
        Nodes, and workers on each of them.
    slurm_directives
        More options of ``sbatch``.
    interface
        Network interface between the nodes.
    setup
        Lines of shell before the command.
    log_dir
        Folder of the logs.
    more
        More words for the command.
    """

    data: str | None = None
    out: str | None = None
    partition: str | None = None
    account: str | None = None
    time: str | None = None
    job_memory: str | None = None
    job_cores: int | None = None
    nodes: int | None = None
    workers: int | None = None
    slurm_directives: tuple[str, ...] = ()
    interface: str | None = None
    setup: tuple[str, ...] = ()
    log_dir: str | None = None
    more: tuple[str, ...] = ()


def write_script(kind: str, choices: Choices) -> str:
    """Make the batch script of a kind, for the program and the Python that run now.

    Raises
    ------
    OptionError
        With everything that is wrong with the choices.
    """
    if problems := list(_problems(kind, choices)):
        raise OptionError.of(problems)
    text = (
        files("cellucid_dask")
        .joinpath("compute", "slurm", "scripts", f"{kind}.sbatch")
        .read_text("utf-8")
    )
    return filled(text, choices, program=_program(), python=sys.executable)


def filled(text: str, choices: Choices, *, program: str, python: str) -> str:
    """Fill `choices` into the `text` of a script; it must be one that the choices fit.

    Parameters
    ----------
    program, python
        Paths of ``cellucid-dask``, and of the Python in which it is installed.
    """
    lines = _named(text, with_paths=choices.data is not None).splitlines()
    for option in _directives(text, choices):
        _direct(lines, option)
    here = next(i for i, line in enumerate(lines) if line.startswith("# Lines such as"))
    lines[here + 1 : here + 1] = [*choices.setup, *_arguments(choices)]
    given = {"CELLUCID_DASK": program, "PYTHON": python, "INTERFACE": choices.interface}
    if choices.log_dir is not None:
        given["CATALOG_LOG"] = f"{log_folder(choices.log_dir)}/cellucid-catalog-%j.log"
    text = "\n".join(lines) + "\n"
    for name, value in given.items():
        if value is not None:
            text = _assigned(text, name, value)
    return text


def _named(text: str, *, with_paths: bool) -> str:
    """`text` that says how it is submitted itself: ``sbatch FILE``, when it has its paths."""
    words = r"slurm/\S+\.sbatch( (?:DATA|LIST|PATH)(?: OUT)?)?"
    if not with_paths:
        return re.sub(words, r"FILE\1", text)
    return re.sub(words, "FILE", text.replace("--array=1-$(wc -l < LIST) ", ""))


def _assigned(text: str, name: str, value: str) -> str:
    """`text` with its default of a variable replaced, where it has one."""
    line = f"{name}={shlex.quote(value)}"
    return re.sub(rf"^{name}=\S+(?= #)", lambda _: line, text, flags=re.MULTILINE)


def _arguments(choices: Choices) -> Iterator[str]:
    """Line that makes the chosen words those of the script, before what it is given itself."""
    paths = [_absolute(path) for path in (choices.data, choices.out) if path is not None]
    words = [shlex.quote(word) for word in (*paths, *choices.more)]
    if paths:
        yield " ".join(["set --", *words, '"$@"'])
    elif words:
        yield " ".join(["set --", '"$@"', *words])


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


def _program() -> str:
    """Path of the program that runs; its name when it has none."""
    for path in (Path(sys.argv[0]), Path(sysconfig.get_path("scripts"), PROGRAM)):
        if path.name == PROGRAM and path.is_file():
            return str(path.absolute())
    return shutil.which(PROGRAM) or PROGRAM


# ------------------------------------------------------------------- lines for sbatch


def _directives(text: str, choices: Choices) -> Iterator[str]:
    """Options of sbatch, as they are written after ``#SBATCH``."""
    bytes_ = None if choices.job_memory is None else parse_size(choices.job_memory)
    values = {
        "--partition": choices.partition,
        "--account": choices.account,
        "--time": choices.time,
        "--mem": None if bytes_ is None else mebibytes(bytes_),
        "--cpus-per-task": choices.job_cores,
        "--nodes": choices.nodes,
        "--ntasks-per-node": choices.workers,
    }
    yield from (f"{key}={value}" for key, value in values.items() if value is not None)
    log = re.search("^#SBATCH --output=(.*)$", text, re.MULTILINE)
    if choices.log_dir is not None and log is not None:
        yield f'--output="{log_folder(choices.log_dir)}/{log[1]}"'
    if choices.data is not None and "mapfile -t lines" in text:
        yield f"--array=1-{len(_lines(choices.data))}"
    yield from map(directive, choices.slurm_directives)


def _direct(lines: list[str], option: str) -> None:
    """Put an option where the script has it, or has it commented out, else after the others."""
    same = _same(option)
    # Backwards: what is taken out leaves the places before it as they are.
    at = [i for i, line in enumerate(lines) if re.match("##?SBATCH ", line)][::-1]
    ours = [i for i in at if _same(lines[i].partition(" ")[2]) == same]
    if not ours:
        lines.insert(at[0] + 1, f"#SBATCH {option}")
        return
    for i in ours[:-1]:
        del lines[i]
    lines[ours[-1]] = f"#SBATCH {option}"


def _same(option: str) -> str:
    """Name of an option, alike for all that exclude each other."""
    name = long_name(option) or option
    return MEMORY[0] if name in MEMORY else name


# ------------------------------------------------------------------- what is wrong


def _problems(kind: str, choices: Choices) -> Iterator[Problem]:
    """Say what is wrong with the choices."""
    if kind not in KINDS:
        yield Problem(f"{kind!r} is no kind of script", "KIND", suggest(kind, list(KINDS)))
    for name in KINDS.get(kind, ()):
        if getattr(choices, name) is not None:
            option = f"--{name.replace('_', '-')}"
            fix = "use --workers" if name == "job_cores" else "leave it out"
            yield Problem(f"{kind} has no use for it", option, fix)
    for name in ("nodes", "workers"):
        value = getattr(choices, name)
        if value is not None and value < 1:
            yield Problem(f"{value} is not positive", f"--{name}", "use 1 or more")
    yield from _job_problems(choices)
    for option in choices.slurm_directives:
        if long_name(option) == "--array" and kind != "export-array":
            what = f"{option!r} makes many jobs of the same work"
            yield Problem(what, "--slurm-directive", "use export-array for a list of atlases")
    yield from _path_problems(kind, choices)
    if choices.interface is not None and not re.fullmatch(r"[\w.:@-]+", choices.interface):
        what = f"{choices.interface!r} is no name of a network interface"
        yield Problem(what, "--interface", "write it as ip addr does, such as ib0")
    if choices.more and not choices.more[0].startswith("-"):
        fix = "paths are given with --data and --out"
        yield Problem(f"{choices.more[0]!r} is no option of the command", "--", fix)


def _job_problems(choices: Choices) -> Iterator[Problem]:
    """Say what is wrong with what SLURM is asked for."""
    names = ("partition", "account", "time", "job_memory", "job_cores", "slurm_directives")
    given = {name: getattr(choices, name) for name in names}
    _, wrong = SlurmOptions.from_keywords(given)
    yield from wrong
    told = {problem.where for problem in wrong}
    if choices.time is not None and "--time" not in told:
        minutes = _minutes(choices.time)
        if 0 < minutes < LEAST_MINUTES:
            what = f"{choices.time!r} is too short: jobs are told to stop 2 minutes before the end"
            yield Problem(what, "--time", f"use {LEAST_MINUTES} minutes or more")
    size = None if choices.job_memory is None else parse_size(choices.job_memory)
    if size is not None and size < LEAST_BYTES:
        what = f"{choices.job_memory!r} is too little for a job: it is {size} bytes"
        yield Problem(what, "--job-memory", "use 500MB or more, and write the unit")


def _minutes(time: str) -> int:
    """Minutes of a time of SLURM, rounded up as SLURM does; 0 means that there is no limit."""
    days, dash, rest = time.rpartition("-")
    numbers = [int(number) for number in rest.split(":")]
    if not dash and len(numbers) < 3:
        numbers.insert(0, 0)  # it begins with minutes, not with hours
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return math.ceil((int(days or 0) * 24 + hours) * 60 + minutes + seconds / 60)


def _path_problems(kind: str, choices: Choices) -> Iterator[Problem]:
    """Say what is wrong with paths."""
    both = {"--data": choices.data, "--out": choices.out}
    if kind != "serve-node" and len({value is None for value in both.values()}) == 2:
        missing = next(option for option, value in both.items() if value is None)
        what = "is missing: --data and --out go together"
        yield Problem(what, missing, "give both, or neither and name them to sbatch")
    if choices.data is not None:
        yield from _data_problems(kind, choices.data)
    folder = choices.log_dir
    if folder is not None and not Path(folder).is_dir():
        yield Problem(f"the folder {folder!r} does not exist", "--log-dir", "make it first")
    elif folder is not None and not is_held(_absolute(folder)):
        what = f"has {UNHELD}, which a line for sbatch cannot hold"
        yield Problem(what, "--log-dir", "name another folder")
    for option, path in (*both.items(), ("--log-dir", folder)):
        if any("\udc80" <= letter <= "\udcff" for letter in path or ""):
            yield Problem("has a name that is not UTF-8", option, "name it otherwise")


def _data_problems(kind: str, data: str) -> Iterator[Problem]:
    path = Path(data)
    if kind != "export-array":
        if not path.exists():
            yield Problem("there is no such file or folder", data, "check the path")
        return
    if not path.is_file():
        yield Problem("there is no such list of atlases", data, "name a file, one atlas a line")
    elif not os.access(path, os.R_OK):
        yield Problem("cannot be read", data, "check its permissions")
    elif any(b"\0" in line for line in _lines(data)[:100]):
        yield Problem("is no list of atlases, but a binary file", data, "use export-node for it")
    elif not any(line.strip() and not line.strip().startswith(b"#") for line in _lines(data)):
        yield Problem("the list names no atlas", data, "write one atlas a line")


def _lines(path: str) -> list[bytes]:
    """Lines of a list as bash reads them; the last need not be ended."""
    return Path(path).read_bytes().removesuffix(b"\n").split(b"\n")
