"""Signals that Python hides from the main thread, or whose exception it turns into another one.

Also signals at the end of a command.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# What Python makes of a signal in a C function that returns a value all the same, and a signal that
# another thread receives, as when the process is stopped.
PROGRAM = """
import os, signal, sys, threading, time
from cellucid_dask.commands import main as program
from cellucid_dask.commands.signals import unwind_at_signals
from cellucid_dask.errors import refuse_fault

def receive_in_thread():
    time.sleep(0.5)  # until the main thread waits
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))

def run(*arguments, **options):
    unwind_at_signals()
    try:
        if sys.argv[2] == "thread":
            threading.Thread(target=receive_in_thread).start()
            threading.Event().wait()
        os.kill(os.getpid(), int(sys.argv[1]))
        while True:
            pass
    except BaseException as ending:
        error = SystemError("<built-in function fspath> returned a result with an exception set")
        if sys.argv[2] == "cause":
            raise error from ending
        if sys.argv[2] == "cleanup":
            raise OSError(28, "No space left on device")
        error.__cause__ = ending
        refuse_fault(error, "a.h5ad")  # as who reads the data does
        os._exit(7)  # it goes on without the data

def report_disturbed(*arguments, report=program._report_interruption):
    os.kill(os.getpid(), int(sys.argv[1]))  # by an impatient user
    report(*arguments)

program.cli.main, program._report_interruption = run, report_disturbed
program.main(["export", "a.h5ad"])
"""


@pytest.mark.parametrize(
    ("number", "code", "verb"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize("hidden", ["cause", "cleanup", "damage", "thread"])
def test_a_signal_in_a_function_of_c(number: int, code: int, verb: str, hidden: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number)), hidden],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode in (code, -number), done.stderr  # a shell shows both as one
    assert done.stderr.startswith(f"{verb}: no export is left half made"), done.stderr
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr
