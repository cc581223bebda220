"""Fill the batch scripts of the folder ``slurm`` with the paths of a user and for a site."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from cellucid_dask.compute.slurm.choices import (
    Choices,
    absolute_path,
    find_choice_problems,
    read_lines,
)
from cellucid_dask.compute.slurm.sbatch import (
    escape_log_folder,
    format_mebibytes,
    long_name,
    quote_directive,
)
from cellucid_dask.errors import OptionError
from cellucid_dask.options.sizes import parse_size

PROGRAM = "cellucid-dask"
MEMORY_OPTIONS = ("--mem", "--mem-per-cpu", "--mem-per-gpu")  # a job may have one of them


def write_script(kind: str, choices: Choices) -> str:
    """Return the batch script of a kind, for the program and the Python that run now.

    Raises
    ------
    OptionError
        With all problems of the choices.
    """
    if problems := list(find_choice_problems(kind, choices)):
        raise OptionError.of(problems)
    text = (
        files("cellucid_dask")
        .joinpath("compute", "slurm", "scripts", f"{kind}.sbatch")
        .read_text("utf-8")
    )
    return fill_script(text, choices, program=_program_path(), python=sys.executable)


def fill_script(text: str, choices: Choices, *, program: str, python: str) -> str:
    """Fill valid `choices` into the `text` of a script.

    Parameters
    ----------
    program, python
        Paths of ``cellucid-dask``, and of the Python in which it is installed.
    """
    lines = _name_submission(text, with_paths=choices.data is not None).splitlines()
    for option in _directives(text, choices):
        _set_directive(lines, option)
    # After the variables, so that a line can name another program; an image, for example.
    start = lines.index("set -euo pipefail")
    lines[start:start] = [*choices.setup, *_arguments(choices)]
    variables = {"CELLUCID_DASK": program, "PYTHON": python, "INTERFACE": choices.interface}
    if choices.log_dir is not None:
        variables["CATALOG_LOG"] = f"{escape_log_folder(choices.log_dir)}/cellucid-catalog-%j.log"
    text = "\n".join(lines) + "\n"
    for name, value in variables.items():
        if value is not None:
            text = _assign(text, name, value)
    return text


def _name_submission(text: str, *, with_paths: bool) -> str:
    """Return `text` with its own ``sbatch`` command in the comments: ``sbatch FILE`` with paths."""
    words = r"slurm/\S+\.sbatch( (?:DATA|LIST|PATH)(?: OUT)?)?"
    if not with_paths:
        return re.sub(words, r"FILE\1", text)
    return re.sub(words, "FILE", text.replace("--array=1-$(wc -l < LIST) ", ""))


def _assign(text: str, name: str, value: str) -> str:
    """Return `text` with another default of a variable, where it has one."""
    line = f"{name}={shlex.quote(value)}"
    return re.sub(rf"^{name}=\S+(?= #)", lambda _: line, text, flags=re.MULTILINE)


def _arguments(choices: Choices) -> Iterator[str]:
    """Line that puts the chosen paths before the arguments of the script, or words after them."""
    paths = [absolute_path(path) for path in (choices.data, choices.out) if path is not None]
    words = [shlex.quote(word) for word in (*paths, *choices.more)]
    if paths:
        yield " ".join(["set --", *words, '"$@"'])
    elif words:
        yield " ".join(["set --", '"$@"', *words])


def _program_path() -> str:
    """Return the path of the program that runs, or its name."""
    for path in (Path(sys.argv[0]), Path(sysconfig.get_path("scripts"), PROGRAM)):
        if path.name == PROGRAM and path.is_file():
            return str(path.absolute())
    return shutil.which(PROGRAM) or PROGRAM


# ------------------------------------------------------------------- lines for sbatch


def _directives(text: str, choices: Choices) -> Iterator[str]:
    """Options of sbatch, as the script has them after ``#SBATCH``."""
    bytes_ = None if choices.job_memory is None else parse_size(choices.job_memory)
    values = {
        "--partition": choices.partition,
        "--account": choices.account,
        "--time": choices.time,
        "--mem": None if bytes_ is None else format_mebibytes(bytes_),
        "--cpus-per-task": choices.job_cores,
        "--nodes": choices.nodes,
        "--ntasks-per-node": choices.workers,
    }
    yield from (f"{key}={value}" for key, value in values.items() if value is not None)
    log = re.search("^#SBATCH --output=(.*)$", text, re.MULTILINE)
    if choices.log_dir is not None and log is not None:
        yield f'--output="{escape_log_folder(choices.log_dir)}/{log[1]}"'
    if choices.data is not None and "mapfile -t lines" in text:
        yield f"--array=1-{len(read_lines(choices.data))}"
    yield from map(quote_directive, choices.directives)


def _set_directive(lines: list[str], option: str) -> None:
    """Write an option where the script has it, perhaps commented out, else at the end."""
    same = _exclusive_name(option)
    # Backwards: a removed line does not move the lines before it.
    at = [i for i, line in enumerate(lines) if re.match("##?SBATCH ", line)][::-1]
    ours = [i for i in at if _exclusive_name(lines[i].partition(" ")[2]) == same]
    if not ours:
        lines.insert(at[0] + 1, f"#SBATCH {option}")
        return
    for i in ours[:-1]:
        del lines[i]
    lines[ours[-1]] = f"#SBATCH {option}"


def _exclusive_name(option: str) -> str:
    """Return the name of an option, the same for options that exclude each other."""
    name = long_name(option) or option
    return MEMORY_OPTIONS[0] if name in MEMORY_OPTIONS else name
