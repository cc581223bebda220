"""What a server prints: its URL, and the SSH command that makes it reachable from a laptop."""

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

from cellucid_dask.arguments.boundary import reword_all
from cellucid_dask.options.addresses import is_loopback

EVERYWHERE = ("0.0.0.0", "::", "[::]", "")  # noqa: S104  compared, not bound


def write_lines(stream: TextIO | None, lines: Iterable[str]) -> None:
    """Write lines to a stream; replace letters that the stream cannot encode.

    A program without a console has no streams, and the reader of a stream may have closed it: the
    server serves all the same.
    """
    text = "\n".join(reword_all(lines)) + "\n"
    with suppress(OSError, ValueError):  # closed by its reader, or by the program
        if stream is not None:
            encoding = getattr(stream, "encoding", None) or "utf-8"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()


def reachable_name(host: str) -> str:
    """Name of the host in a URL."""
    if host in EVERYWHERE:
        return socket.gethostname()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def tunnel_command(host: str, port: int, environ: Mapping[str, str] = os.environ) -> str | None:
    """SSH command that forwards the port to the user's own computer; None when none is needed.

    Parameters
    ----------
    host, port
        Where the server listens.
    environ
        Environment; its variables show an SSH session or a SLURM job.
    """
    inside_job = "SLURM_JOB_ID" in environ
    if not inside_job and "SSH_CONNECTION" not in environ:
        return None
    user, this_host = _user(), socket.gethostname()
    if not inside_job:
        # The address by which the user reached this machine works from outside.
        fields = environ["SSH_CONNECTION"].split()
        server = fields[2] if len(fields) == 4 else this_host
        ssh_port = f"-p {fields[3]} " if len(fields) == 4 and fields[3] != "22" else ""
        return f"ssh -N -L {_forward(port, host)} {ssh_port}{shlex.quote(f'{user}@{server}')}"
    login = environ.get("SLURM_SUBMIT_HOST") or "LOGIN-NODE"
    if is_loopback(host):
        # Only the node itself reaches it: connect to the node through the login node.
        jump = shlex.quote(f"{user}@{login}")
        return f"ssh -N -L {_forward(port, host)} -J {jump} {shlex.quote(f'{user}@{this_host}')}"
    return f"ssh -N -L {port}:{this_host}:{port} {shlex.quote(f'{user}@{login}')}"


def _forward(port: int, host: str) -> str:
    target = "localhost" if host in EVERYWHERE else reachable_name(host)
    return shlex.quote(f"{port}:{target}:{port}")


def open_lines(viewer_url: str, local_url: str, tunnel: str | None, *, has_page: bool) -> list[str]:
    """Lines that say what to open where, and how to stop.

    Parameters
    ----------
    viewer_url
        URL on this machine.
    local_url
        URL on the user's own computer, when `tunnel` runs there.
    tunnel
        Command of `tunnel_command`.
    has_page
        Whether the server shows a page.
    """
    verb = "open" if has_page else "no page, data only:"
    lines = [f"{verb} {viewer_url}"]
    if tunnel is not None:
        lines += ["on your own computer:", f"    {tunnel}", f"    then {verb} {local_url}"]
    return [*lines, "Ctrl-C stops it"]


def has_browser(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a browser can open on a screen of this machine."""
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
