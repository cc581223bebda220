"""Pages of the docs as sessions: what they run, and what they say is printed.

Read are blocks of ``console``, where lines with ``$`` are commands and the others what they print,
and blocks of ``python``, each a script, which prints the block of ``text`` that follows. Blocks of
``bash`` are for the reader alone: they install, or do not end. Comments are for this module:

- ``<!-- run: ... -->`` is a line of shell that the page does not show;
- ``<!-- once genes are noted: ... -->`` is a line of shell that the next export runs, which is
  ``$PPID`` there, once its journal has a record of genes (or obs, edges, ...). That export is cut
  into more pieces than others, so that something is left to do then;
- ``<!-- not run: ... -->`` leaves out the next block, and says why.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

import psutil
import pytest
from forks import Forked, fork
from scenes import PIECES
from slurm_jobs import until

from cellucid_dask.native import library

NATIVE = pytest.mark.skipif(
    library.load() is None, reason="pages show runs with the native library"
)
REWRITE = "(pytest --rewrite-pages puts that into the page)"
DOCS = Path(__file__).parents[1] / "docs"
HOME = "/home/ada"  # what pages call the folder they are run in

FENCE = re.compile(
    r"^```(?P<language>\w+)\n(?P<body>.*?)^```$"
    r"|^<!-- run: (?P<shell>.*?) -->$"
    r"|^<!-- once (?P<record>\w+) (?:is|are) noted: (?P<then>.*?) -->$"
    r"|^<!-- (?P<skip>not run): .*?-->$",
    re.MULTILINE | re.DOTALL,
)

# Lines of Python that run a line of shell before the journal gets the line after a given one.
ONCE = """
import subprocess, sys
from pathlib import Path
line = {line!r}
def hook(event, arguments):
    global line
    if event == "open" and str(arguments[0]).endswith("/journal.jsonl") and arguments[1] == "a":
        journal = Path(arguments[0])
        if line and journal.exists() and b'{{"{record}":' in journal.read_bytes():
            line, now = "", line
            subprocess.run(["bash", "-c", now], check=True)
sys.addaudithook(hook)
"""

# Lines of a machine at work: stages that take over a second, a port that another server has, and
# jobs that wait.
BUSY = re.compile(
    r"[\w/. ]+: [\d,]+ of [\d,]+ [a-z ]+(, .* left| in .*)|port \d+ is in use: .*"
    r"|\d+ of \d+ workers are there; jobs: .*|srun: job .* resources"
)

CHANGING = (
    (re.compile(r"^seconds: .*"), "seconds: ..."),
    (re.compile(r"(?<=has )\d+ bytes, not \d+"), "SIZE, not SIZE"),
    (re.compile(r'(?<="bytes": )\d+|(?<="largest_error": )[\d.]+'), "N"),
    (re.compile(r"\d+(\.\d+)? ?(B|kB|MB|GB|kiB|MiB|GiB)\b"), "SIZE"),
    (re.compile(r"--mem=\d+M\b"), "--mem=SIZE"),
    (re.compile(r"\d+\.\d s\b"), "N s"),
    (re.compile(r"\b\d+ threads\b"), "N threads"),
    (re.compile(r"\b\d+(\.\d+){2}([ab.]\w+)*\b"), "VERSION"),
    (re.compile(r"(compiled by )\w+"), r"\1cc"),
    (re.compile(r"(Python VERSION on ).*"), r"\1SYSTEM"),
    (re.compile(r"(?<=[A-Za-z\d]):\d{4,5}\b"), ":PORT"),
    (re.compile(r"token=[\w~.-]+"), "token=TOKEN"),
    (re.compile(r"^peak memory of (each of \d+ workers|the worker): .*(?=; next)"), "peak memory"),
    (re.compile(r"\b(job|jobs) \d+"), r"\1 N"),
    (re.compile(r"\b(cellucid-dask-)[0-9a-f]{8}\b"), r"\1N"),
    (re.compile(r"[\w-]+@[\w.-]+"), "USER@NODE"),
    (re.compile(r"^\S+/ipykernel_\d+/\d+\.py(?=:\d+: )"), "CELL"),
    (re.compile(r"\b[\d,]+(?= of [\d,]+ genes$)"), "N"),
    (re.compile(r"process \d+ on [\w.-]+"), "process N on NODE"),
)


@dataclass
class Step:
    """Something that a page runs, and what is printed then.

    Parameters
    ----------
    kind
        ``console``, ``python`` or ``shell``.
    code
        The command, or lines of Python.
    printed
        Lines that the page shows for it; None where it shows none.
    span
        Place of these lines in the text of the page.
    first
        Lines of Python that the command runs first.
    """

    kind: str
    code: str
    printed: list[str] | None = None
    span: tuple[int, int] = field(default=(0, 0))
    first: str = ""


def read_steps(text: str) -> list[Step]:
    """All steps of a page, in order."""
    steps: list[Step] = []
    skip, script, end = False, False, 0  # of the block before: left out, run as Python, its end
    first = ""  # lines for the next export
    for block in FENCE.finditer(text):
        language, body, start = block["language"], block["body"], block.start("body")
        follows = script and not text[end : block.start()].strip()
        run, skip, script, end = not skip, bool(block["skip"]), False, block.end()
        if block["shell"]:
            steps.append(Step("shell", block["shell"]))
        elif block["record"]:
            once = ONCE.format(record=block["record"], line=block["then"])
            first = PIECES.format(nnz=20_000, block=600_000) + once
        elif run and language == "console":
            session = list(_read_session(body, start))
            session[0].first, first = first, ""
            steps += session
        elif run and language == "python":
            steps.append(Step("python", body))
            script = True
        elif follows and language == "text":
            steps[-1].printed = body.splitlines()
            steps[-1].span = (start, start + len(body))
    return steps


def _read_session(body: str, start: int) -> Iterator[Step]:
    """Commands of a block of ``console``."""
    for entry in re.finditer(
        r"^\$ (?P<code>(?:.*\\\n)*.*)\n(?P<printed>(?:(?!\$ ).*\n)*)", body, re.MULTILINE
    ):
        span = (start + entry.start("printed"), start + entry.end("printed"))
        yield Step("console", entry["code"], entry["printed"].splitlines(), span)


def normalize(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, same in CHANGING:
        line = pattern.sub(same, line)
    return re.sub(r"\s+", " ", line).strip()


def agree(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether a page shows what is printed; ``...`` stands for any lines."""
    expected = [normalize(line) for line in shown]
    found = [normalize(line) for line in printed]
    found = [line for line in found if line in expected or not BUSY.fullmatch(line)]
    pattern = "".join(r"(?:.*\n)*" if e == "..." else re.escape(e) + r"\n" for e in expected)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in found)) is not None


def rewritten(text: str, answers: Sequence[tuple[Step, Sequence[str]]]) -> str:
    """The page with what is printed now, where that is something else than it shows.

    Lines that only differ in times and the like stay as they are.

    Raises
    ------
    ValueError
        Where a page shows a part: only a person knows which part matters.
    """
    for step, printed in sorted(answers, key=lambda answer: answer[0].span, reverse=True):
        if step.printed is None or agree(step.printed, printed):
            continue
        if "..." in step.printed:
            raise ValueError(f"write this one yourself: {step.code!r} prints {printed}")
        start, end = step.span
        now = [line.rstrip() for line in printed if not BUSY.fullmatch(normalize(line))]
        before = [normalize(line) for line in step.printed]
        lines: list[str] = []
        for how, i, j, k, m in SequenceMatcher(
            None, before, [normalize(line) for line in now], autojunk=False
        ).get_opcodes():
            lines += step.printed[i:j] if how == "equal" else now[k:m]
        text = text[:start] + "".join(f"{line}\n" for line in lines) + text[end:]
    return text


class Session:
    """A folder in which the steps of a page are run, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
        for name in [n for n in self.environment if n.startswith(("SSH_", "SLURM_JOB"))]:
            del self.environment[name]
        self._halted: list[Forked] = []

    def run(self, step: Step) -> list[str]:
        """Lines that a step prints."""
        code = step.code.replace("\\\n", " ")
        if step.kind == "python":
            script = self.folder / "page.py"
            script.write_text(step.code)
            out, ended = self.forked(script=str(script))
            assert ended == 0, f"{step.code}\n{out}"
            script.unlink()
        elif re.fullmatch(r"cellucid-dask [^|&;<>$()*]*&?", code):
            words = shlex.split(code.removesuffix("&"), comments=True)[1:]
            out, _ = self.forked(*words, first=step.first, halts=code.endswith("&"))
        else:
            out = subprocess.run(
                ["bash", "-c", code],
                cwd=self.folder,
                env=self.environment,
                text=True,
                check=False,
                timeout=120,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ).stdout
        return out.replace(str(self.folder), HOME).splitlines()

    def forked(
        self, *words: str, script: str = "", first: str = "", halts: bool = False
    ) -> tuple[str, int]:
        """What a command prints, of both streams in their order, and its exit code.

        One that halts is left as it stands.
        """
        log = self.folder.parent / "printed"
        log.unlink(missing_ok=True)
        files = {"out": log, "err": log}
        started = fork(
            *words,
            cwd=self.folder,
            environment=self.environment,
            script=script,
            first=first,
            **files,
        )
        if halts:
            self._halted.append(started)
            process = psutil.Process(started.pid)
            until(lambda: process.status() == psutil.STATUS_STOPPED, "it stands still")
            return log.read_text(), 0
        code = started.wait(120)
        killed = "Killed\n" if code == -signal.SIGKILL else ""  # says the shell
        return log.read_text() + killed, code

    def close(self) -> None:
        """End what stands still."""
        for process in self._halted:
            process.kill()


def compare(page: str, folder: Path, config: pytest.Config) -> None:
    """Run a page in a new folder, and fail where it shows something else than is printed.

    With ``--rewrite-pages`` it is rewritten in place of that.
    """
    folder.mkdir()
    session, path = Session(folder), DOCS / page
    text = path.read_text("utf-8")
    try:
        answers = [(step, session.run(step)) for step in read_steps(text)]
    finally:
        session.close()
    if config.getoption("rewrite_pages"):
        path.write_text(rewritten(text, answers), "utf-8")
        return
    for step, printed in answers:
        shown = step.printed or []
        assert step.kind == "shell" or agree(shown, printed), "\n".join(
            (f"{page} shows for {step.code!r}:", *shown, "now it prints:", *printed, REWRITE)
        )
