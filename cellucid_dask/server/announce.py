"""What a server tells when it starts: what it found, where to look, how to get there by SSH."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import sys
import webbrowser
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TextIO

from cellucid_dask.arguments.boundary import worded_all
from cellucid_dask.options.serve import is_loopback

EVERYWHERE = ("0.0.0.0", "::", "[::]", "")  # noqa: S104  compared, not bound


def write_lines(stream: TextIO | None, lines: Iterable[str]) -> None:
    """Write lines to a stream, also to one that cannot write all letters.

    A program without a console has no streams, and nobody may read one any more: a server serves
    all the same.
    """
    text = "\n".join(worded_all(lines)) + "\n"
    with suppress(OSError, ValueError):  # closed by its reader, or by the program
        if stream is not None:
            coding = getattr(stream, "encoding", None) or "utf-8"
            stream.write(text.encode(coding, "backslashreplace").decode(coding))
            stream.flush()


def reachable_name(host: str) -> str:
    """What to write for the host in a URL."""
    if host in EVERYWHERE:
        return socket.gethostname()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def tunnel_command(host: str, port: int, environ: Mapping[str, str] = os.environ) -> str | None:
    """Command for the user's own computer that makes the server reachable there; None if none.

    Parameters
    ----------
    host, port
        Where the server listens.
    environ
        Tells of SSH and SLURM.
    """
    inside_job = "SLURM_JOB_ID" in environ
    if not inside_job and "SSH_CONNECTION" not in environ:
        return None
    user, here = _user(), socket.gethostname()
    if not inside_job:
        # The address the user reached this machine by is the one that works from outside.
        fields = environ["SSH_CONNECTION"].split()
        server = fields[2] if len(fields) == 4 else here
        at = f"-p {fields[3]} " if len(fields) == 4 and fields[3] != "22" else ""
        return f"ssh -N -L {_forward(port, host)} {at}{shlex.quote(f'{user}@{server}')}"
    login = environ.get("SLURM_SUBMIT_HOST") or "LOGIN-NODE"
    if is_loopback(host):
        # Only the node itself reaches it: go on to the node by way of the login node.
        jump = shlex.quote(f"{user}@{login}")
        return f"ssh -N -L {_forward(port, host)} -J {jump} {shlex.quote(f'{user}@{here}')}"
    return f"ssh -N -L {port}:{here}:{port} {shlex.quote(f'{user}@{login}')}"


def _forward(port: int, host: str) -> str:
    target = "localhost" if host in EVERYWHERE else reachable_name(host)
    return shlex.quote(f"{port}:{target}:{port}")


def has_browser(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a screen here that a browser could open on."""
    if "SSH_CONNECTION" in environ or "SLURM_JOB_ID" in environ:
        return False
    if sys.platform == "linux" and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for this user
        return "USER"
