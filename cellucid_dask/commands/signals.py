"""How the process ends: it unwinds at signals, and is gone within seconds when all is done.

Threads of libraries may outlive what used them, wait for a peer that never answers, or be unknown
to those who would end them since a signal came while they were started.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

INTERRUPTED = 130
ENDING = (signal.SIGTERM, signal.SIGHUP)
LEAVING = 3  # seconds for threads to end, when all is done
STOPPING = 8  # seconds for tasks to end after a signal
_codes: list[int] = []  # the exit code, once the command has ended


def handle(handler: Any, *numbers: signal.Signals) -> None:
    """Handle signals, but not those that this process was started to ignore, as by nohup."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def open_streams() -> None:
    """Open the standard streams that this process was started without, on nothing.

    The next file to be opened would get the number of the one that is missing, and what a library
    writes to standard error would go into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number is free
            os.dup2(null, number)  # which programs inherit that this one starts
            if null != number:
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def die_at_signals() -> None:
    """End without a word at a signal, as while there is nothing yet to tidy."""
    handle(signal.SIG_DFL, signal.SIGINT, *ENDING)


def unwind_at_signals() -> None:
    """Raise at a signal, so that workers end and folders are tidied.

    Raised within an import, an exception may be lost, or come out as another one: not before all
    is imported.
    """
    sys.unraisablehook = _repeat
    handle(_interrupt, signal.SIGINT)
    handle(_terminate, *ENDING)


def _interrupt(number: int, _: object) -> None:
    """Unwind like an error."""
    _end_within_seconds(number)
    raise KeyboardInterrupt


def _terminate(number: int, _: object) -> None:
    """Unwind likewise; exit as a shell would."""
    _end_within_seconds(number)
    raise SystemExit(128 + number)


def _end_within_seconds(number: int) -> None:
    """End the process a while after a signal whatever still runs, which a journal survives.

    By an alarm, not by a thread: one cannot be started from within the start of another.
    """

    def end(*_: object) -> None:
        with suppress(OSError):
            os.write(2, b"\nstopped before all tasks had ended; what an export has done is kept\n")
        os._exit(128 + number)

    if signal.getitimer(signal.ITIMER_REAL)[0] == 0:
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, STOPPING)


def _repeat(ignored: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception came where Python cannot raise it.

    In a finalizer or the callback of a weak reference, as every import has one, it would be printed
    and forgotten.
    """
    ending = ignored.exc_value
    if isinstance(ending, KeyboardInterrupt):
        number = int(signal.SIGINT)
    elif isinstance(ending, SystemExit) and isinstance(ending.code, int) and ending.code > 128:
        number = ending.code - 128
    else:
        sys.__unraisablehook__(ignored)
        return
    timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
    timer.daemon = True
    with suppress(RuntimeError):  # no more threads: the signal must be sent again
        timer.start()


def leave(ending: SystemExit) -> None:
    """Exit, all being cleaned up, also where a thread keeps the process."""
    code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    signal.setitimer(signal.ITIMER_REAL, 0)  # no task is left for which it would have to end
    _codes.append(code)
    _flush()
    firmly = threading.Timer(LEAVING, os._exit, [code])
    firmly.daemon = True
    with suppress(RuntimeError):  # no more threads, so none was left behind either
        firmly.start()
    raise ending


def end_here() -> None:
    """End the process when its command has: what finalizers wait for may never come."""
    if _codes:
        _flush()
        os._exit(_codes[0])


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it was closed when this process was started
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
