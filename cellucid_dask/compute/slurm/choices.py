"""What a user chooses for a batch script, and what is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cellucid_dask import format as fmt
from cellucid_dask.compute.slurm.sbatch import BAD_CHARACTERS, fits_in_script, long_name
from cellucid_dask.errors import Problem, suggest
from cellucid_dask.options.jobs import JobOptions, parse_minutes
from cellucid_dask.options.sizes import parse_size

NODE_OPTIONS = ("nodes", "workers", "interface")  # only for a script with several nodes
KINDS = {  # and the options that the script does not use
    "export-node": NODE_OPTIONS,
    "export-nodes": ("job_cores",),
    "export-array": NODE_OPTIONS,
    "serve-node": ("out", *NODE_OPTIONS),
}
MIN_JOB_BYTES = 500_000_000  # memory of a job; no command runs with less
MAX_LINES = 10  # of a list of atlases that a message names
MIN_MINUTES = 3  # SLURM signals a job 2 minutes before its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What to fill in; what is None stays as it is in the script.

    Parameters
    ----------
    data
        Path of an atlas; of the list of atlases for an array; of what is served.
    out
        Folder of the export, or folder of all exports for an array.
    partition, account, time
        As ``sbatch`` reads them.
    job_memory
        Memory of a job on each node, as text such as ``"16GB"``.
    job_cores
        Cores of a job.
    nodes, workers
        Nodes, and workers on each of them.
    directives
        Other options of ``sbatch``.
    interface
        Network interface between the nodes.
    setup
        Lines of shell before the command.
    log_dir
        Folder of the logs.
    more
        Other arguments of the command.
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
    directives: tuple[str, ...] = ()
    interface: str | None = None
    setup: tuple[str, ...] = ()
    log_dir: str | None = None
    more: tuple[str, ...] = ()


def find_choice_problems(kind: str, choices: Choices) -> Iterator[Problem]:
    """Return what is wrong with the choices."""
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
    for option in choices.directives:
        if long_name(option) == "--array" and kind != "export-array":
            what = f"{option!r} makes many jobs of the same work"
            yield Problem(what, "--directive", "use export-array for a list of atlases")
    yield from _path_problems(kind, choices)
    if choices.interface is not None and not re.fullmatch(r"[\w.:@-]+", choices.interface):
        what = f"{choices.interface!r} is no name of a network interface"
        yield Problem(what, "--interface", "write it as ip addr does, such as ib0")
    if choices.more and not choices.more[0].startswith("-"):
        fix = "paths are given with --data and --out"
        yield Problem(f"{choices.more[0]!r} is no option of the command", "--", fix)


def _job_problems(choices: Choices) -> Iterator[Problem]:
    """Return what is wrong with the options of the job."""
    names = ("partition", "account", "time", "job_memory", "job_cores", "directives")
    given = {name: getattr(choices, name) for name in names}
    _, problems = JobOptions.from_keywords(given)
    yield from problems
    reported = {problem.where for problem in problems}
    if choices.time is not None and "--time" not in reported:
        minutes = parse_minutes(choices.time)
        if 0 < minutes < MIN_MINUTES:
            what = (
                f"{choices.time!r} is too short: jobs get a signal to stop 2 minutes before the end"
            )
            yield Problem(what, "--time", f"use {MIN_MINUTES} minutes or more")
    size = None if choices.job_memory is None else parse_size(choices.job_memory)
    if size is not None and size < MIN_JOB_BYTES:
        what = f"{choices.job_memory!r} is too little for a job: it is {size} bytes"
        yield Problem(what, "--job-memory", "use 500MB or more, and write the unit")


def _path_problems(kind: str, choices: Choices) -> Iterator[Problem]:
    """Return what is wrong with paths."""
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
    elif folder is not None and not fits_in_script(absolute_path(folder)):
        what = f"has {BAD_CHARACTERS}, which a line for sbatch cannot contain"
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
    elif any(b"\0" in line for line in read_lines(data)[:100]):
        yield Problem("is no list of atlases, but a binary file", data, "use export-node for it")
    elif not (atlases := read_atlases(data)):
        yield Problem("the list names no atlas", data, "write one atlas a line")
    else:
        yield from _find_missing(atlases, data)
        yield from _find_clashes(atlases, data)


def _find_missing(atlases: Mapping[int, str], data: str) -> Iterator[Problem]:
    """Find lines of a list that name nothing, in one problem: all do in the wrong folder."""
    missing = [line for line, path in atlases.items() if not Path(path).exists()]
    if missing:
        shown = ", ".join(map(str, missing[:MAX_LINES])) + ", ..." * (len(missing) > MAX_LINES)
        lines = f"lines {shown} name" if missing[1:] else f"line {shown} names"
        what = f"{lines} what is not there: {atlases[missing[0]]}"
        yield Problem(what, data, "relative paths begin where you type this, and later sbatch")


def _find_clashes(atlases: Mapping[int, str], data: str) -> Iterator[Problem]:
    """Find atlases of a list whose exports would have the same id, and perhaps the same folder."""
    lines_by_id: dict[str, list[int]] = {}
    for line, path in atlases.items():
        name = path.rstrip("/").rpartition("/")[2]
        for suffix in (".zip", ".zarr", ".h5ad"):
            name = name.removesuffix(suffix)
        lines_by_id.setdefault(fmt.safe(name).casefold(), []).append(line)
    for own_id, lines in lines_by_id.items():
        if len(lines) > 1:
            what = f"lines {', '.join(map(str, lines))} would all get the id {own_id!r}"
            yield Problem(what, data, "give the files, or links to them, other names")


def read_lines(path: str) -> list[bytes]:
    """Return the lines of a file as bash reads them; the last may lack its line end."""
    return Path(path).read_bytes().removesuffix(b"\n").split(b"\n")


def read_atlases(path: str) -> dict[int, str]:
    """Return the paths in a list of atlases, by their line; others are blank or comments."""
    stripped = (os.fsdecode(line).strip() for line in read_lines(path))
    return {
        number: line for number, line in enumerate(stripped, 1) if line and not line.startswith("#")
    }


def absolute_path(path: str) -> str:
    """Return an absolute path; links stay links."""
    return str(Path(path).absolute())
