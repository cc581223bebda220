"""Signals and exit: a signal unwinds the command, and the process exits within seconds after it.

Threads of libraries may outlive their users, wait for a peer that never answers, or be unknown to
the code that should stop them because a signal arrived while they started.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP)
EXIT_SECONDS = 3  # for threads to end after the command
STOP_SECONDS = 8  # for tasks to end after a signal
WAKE_SECONDS = 0.1  # for the main thread to notice a signal by itself
_codes: list[int] = []  # the exit code, once the command has ended
_received: list[int] = []  # signals at which an exception was raised


def handle(handler: Any, *numbers: signal.Signals) -> None:
    """Set a signal handler, except for signals that the parent set to be ignored (nohup)."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def open_streams() -> None:
    """Open missing standard streams on the null device.

    Otherwise the next file that is opened gets the descriptor of the missing stream, and what a
    library writes to standard error goes into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number is free
            os.dup2(null, number)  # inherited by child processes
            if null != number:
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def die_at_signals() -> None:
    """Exit at a signal without a message, while there is nothing to clean up yet."""
    _received.clear()  # of an earlier command in this process
    handle(signal.SIG_DFL, signal.SIGINT, *ENDING)


def unwind_at_signals() -> None:
    """Raise an exception at a signal, so that workers end and folders are cleaned up.

    Call it after all imports: an exception that is raised within an import may be lost or replaced
    by another one.
    """
    sys.unraisablehook = _resend_signal
    _raise_at_signals()
    _watch_signals(os.getpid())


@cache  # once in a process: a command may run in the process of another one
def _watch_signals(_: int) -> None:
    """Send a signal that another thread received to the main thread, which may wait for a lock.

    Python runs handlers in the main thread, but does not end its waiting. The system gives a
    signal to any thread if it arrives while the process is stopped, as a suspended job is.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # its signals are its own
    main = threading.main_thread()

    def watch() -> None:
        while number := os.read(reading, 1)[0]:
            time.sleep(WAKE_SECONDS)
            raises = signal.getsignal(number) in (_interrupt, _terminate)  # so it was not handled
            if raises and main.ident is not None:
                signal.pthread_kill(main.ident, number)

    threading.Thread(target=watch, daemon=True, name="signals").start()


def _raise_at_signals() -> None:
    handle(_interrupt, signal.SIGINT)
    handle(_terminate, *ENDING)


def ignore_signals() -> None:
    """Let signals pass from the first one on, and once the command has ended: it exits soon.

    An exception would leave the rest of a cleanup undone, or put a traceback in place of the
    message on how the command ended.
    """
    handle(lambda *_: None, signal.SIGINT, *ENDING)


def received_signal() -> int | None:
    """Return the first signal at which an exception was raised; None without one."""
    return _received[0] if _received else None


def _interrupt(number: int, _: object) -> None:
    """Unwind as at Ctrl-C."""
    _received.append(number)
    _exit_after_timeout(number)
    ignore_signals()
    raise KeyboardInterrupt


def _terminate(number: int, _: object) -> None:
    """Unwind; exit with 128 + signal, as a shell does."""
    _received.append(number)
    _exit_after_timeout(number)
    ignore_signals()
    raise SystemExit(128 + number)


def _exit_after_timeout(number: int) -> None:
    """Exit some seconds after a signal even if tasks still run; the journal survives that.

    This uses an alarm, not a thread: a thread cannot be started while another one starts.
    """

    def end(*_: object) -> None:
        with suppress(OSError):
            os.write(
                2, b"\nstopped before all tasks had ended; finished work of an export is kept\n"
            )
        os._exit(128 + number)

    if signal.getitimer(signal.ITIMER_REAL)[0] == 0:
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)


def _resend_signal(ignored: sys.UnraisableHookArgs) -> None:
    """Send a signal again when Python could not raise its exception.

    In a finalizer or in the callback of a weak reference, which every import has, the exception
    would only be printed.
    """
    ending = ignored.exc_value
    if isinstance(ending, KeyboardInterrupt):
        number = int(signal.SIGINT)
    elif isinstance(ending, SystemExit) and isinstance(ending.code, int) and ending.code > 128:
        number = ending.code - 128
    else:
        sys.__unraisablehook__(ignored)
        return
    _raise_at_signals()
    timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
    timer.daemon = True
    with suppress(RuntimeError):  # no more threads: the user must send the signal again
        timer.start()


def exit_process(ending: SystemExit) -> None:
    """Exit after the cleanup, also when a thread keeps the process alive."""
    code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    signal.setitimer(signal.ITIMER_REAL, 0)  # no task is left to wait for
    _codes.append(code)
    _flush()
    exit_timer = threading.Timer(EXIT_SECONDS, os._exit, [code])
    exit_timer.daemon = True
    with suppress(RuntimeError):  # no more threads, so none keeps the process alive
        exit_timer.start()
    raise ending


def exit_now() -> None:
    """Exit once the command has ended: finalizers may wait for ever."""
    if _codes:
        _flush()
        os._exit(_codes[0])


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # the stream was closed at start
            with suppress(OSError, ValueError):  # the reader is gone
                stream.flush()
