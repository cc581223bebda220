"""Servers in this process and in a new one, and clients that talk to them byte by byte.

The clients check that no response holds private text: paths of this machine, values of the
environment, tracebacks.
"""

from __future__ import annotations

import http.client
import importlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import psutil
from atlas import Outcome, command
from forks import Forked, fork

from cellucid_dask import CellucidServer

SECONDS = 120.0  # until something that must come is missed, beside other busy processes
SECRET = "of-the-environment-7f3a91"  # no answer may hold it
os.environ.setdefault("CELLUCID_TEST_SECRET", SECRET)
PRIVATE = tuple(
    text.encode()
    for text in {
        str(Path.home()),
        str(Path.cwd()),
        str(Path(tempfile.gettempdir()) / "pytest-of"),
        sys.prefix,
        SECRET,
        "Traceback",
        'File "',
    }
    if len(text) > 4
)
SESSION_VARIABLES = (
    "SSH_CONNECTION",
    "SLURM_JOB_ID",
    "SLURM_SUBMIT_HOST",
    "DISPLAY",
    "WAYLAND_DISPLAY",
)
POINTS = "/points_2d.bin.gz"
TOKEN = "a-token_of.tests~1"
MANIFESTS = (
    "dataset_identity.json",
    "obs_manifest.json",
    "var_manifest.json",
    "connectivity_manifest.json",
)


def internal(name: str) -> ModuleType:
    """Import a module of the server by its name, for its constants."""
    return importlib.import_module(f"{CellucidServer.__module__.rpartition('.')[0]}.{name}")


def with_long_payload(export: Path, folder: Path, n_bytes: int) -> Path:
    """Copy an export, with points that take some time to send."""
    copy = Path(shutil.copytree(export, folder / "export"))
    (copy / "points_3d.bin.gz").write_bytes(os.urandom(n_bytes))
    return copy


def wait_until(
    reached: Callable[[], Any], otherwise: str, seconds: float = SECONDS, pause: float = 0.01
) -> Any:
    """Wait until a condition is true, and return its value."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, otherwise
        time.sleep(pause)
    return found


# ------------------------------------------------------------------------------ in this process


@contextmanager
def serving(data: Any, **options: Any) -> Iterator[CellucidServer]:
    """Serve from threads of this process, on a free port."""
    with CellucidServer(data, port=0, **{"quiet": True, **options}) as server:
        assert server.is_running()
        yield server
    assert not server.is_running()


# ------------------------------------------------------------------------------ clients


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as it came over the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Values of the headers of a name."""
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name: str) -> str | None:
        """Value of a header that may occur only once; None without it."""
        found = self.all(name)
        assert len(found) <= 1, f"{name} is there {len(found)} times: {found}"
        return found[0] if found else None

    def headers_without_date(self) -> dict[str, str]:
        """All headers except the date."""
        return {key: value for key, value in self.headers if key != "date"}


def check_privacy(reply: Reply) -> Reply:
    """Check that a response holds no private text, and return it."""
    heads = repr(reply.headers).encode()
    for private in PRIVATE:
        assert private not in heads, f"{private!r} in the headers {heads!r}"
        assert private not in reply.body[:1_000_000], f"{private!r} in {reply.body[:500]!r}"
    return reply


class Wire:
    """A connection that sends any bytes."""

    def __init__(
        self, port: int, seconds: float = SECONDS, *, host: str = "127.0.0.1", buffer: int = 0
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if buffer:  # before it connects: it bounds the window
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(seconds)
        try:
            self.socket.connect((host, port))
        except OSError:
            self.socket.close()
            raise
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Self:
        """Send bytes; the server may have closed the connection already."""
        with suppress(ConnectionError):
            self.socket.sendall(data)
        return self

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        self._left += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._left:
            if not self._more():
                return None
        found, _, self._left = self._left.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        pieces, have = [self._left], len(self._left)
        self._left = b""
        while have < size:
            if not self._more():
                break
            pieces.append(self._left)
            have += len(self._left)
            self._left = b""
        whole = b"".join(pieces)
        assert len(whole) >= size, f"the body ended after {len(whole)} of {size} bytes"
        self._left = whole[size:]
        return whole[:size]

    def reply(self, method: str = "GET") -> Reply | None:
        """The next response; None when the server closes the connection instead."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            assert self._left == b"", f"a head that does not end: {self._left!r}"
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.[01] (\d{3})( .*)?", first)
        assert found, f"no status line: {first!r}"
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon, f"no header: {line!r}"
            assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), f"no header name: {name!r}"
            headers.append((name.lower(), value.strip()))
        status, fields = int(found[1]), dict(headers)
        reply = Reply(status, tuple(headers), b"")
        if method != "HEAD" and status not in (204, 304) and status >= 200:
            if "transfer-encoding" in fields:
                assert fields["transfer-encoding"].lower() == "chunked"
                assert "content-length" not in fields, "a length and chunks"
                body = self._chunks()
            elif "content-length" in fields:
                body = self._exactly(int(reply.get("content-length") or ""))
            else:
                body = self.rest()
            reply = Reply(status, tuple(headers), body)
        return check_privacy(reply)

    def _chunks(self) -> bytes:
        pieces = []
        while True:
            line = self._until(b"\r\n")
            assert line is not None, "the chunks have no end"
            size = int(line.split(b";")[0], 16)
            pieces.append(self._exactly(size))
            assert self._exactly(2) == b"\r\n"
            if size == 0:
                return b"".join(pieces)

    def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        pieces, self._left = [self._left], b""
        while self._more():
            pieces.append(self._left)
            self._left = b""
        return b"".join(pieces)

    def closed(self) -> bool:
        """Whether the server closes the connection in time, without sending anything."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def request(
    port: int,
    path: str | bytes,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    body: bytes = b"",
    version: str = "1.1",
) -> bytes:
    """Bytes of a request, with the usual Host header unless `headers` has one (None: no Host)."""
    given = {"Host": f"127.0.0.1:{port}", **(headers or {})}
    if body:
        given.setdefault("Content-Length", str(len(body)))
    target = path if isinstance(path, bytes) else path.encode()
    lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
    head = f"{method} ".encode() + target + f" HTTP/{version}\r\n".encode()
    return head + "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def ask(
    server: Any,
    path: str | bytes,
    headers: Mapping[str, Any] | None = None,
    *,
    method: str = "GET",
    seconds: float = SECONDS,
    **more: Any,
) -> Reply:
    """Send one request on a new connection, with the path unchanged, and return the response."""
    port = server if isinstance(server, int) else server.port
    with Wire(port, seconds) as wire:
        wire.send(
            request(port, path, {"Connection": "close", **(headers or {})}, method=method, **more)
        )
        reply = wire.reply(method)
        assert reply is not None, f"no answer to {method} {path!r}"
        assert wire.rest() == b"", "bytes after the answer"
        return reply


def send_bytes(
    server: Any, data: bytes, *, method: str = "GET", seconds: float = SECONDS
) -> Reply | None:
    """Send any bytes on a new connection; the response, or None when the server closes it."""
    port = server if isinstance(server, int) else server.port
    with Wire(port, seconds) as wire:
        return wire.send(data).reply(method)


class Client:
    """A client of the standard library that reuses its connection."""

    def __init__(self, server: Any, host: str = "127.0.0.1") -> None:
        port = server if isinstance(server, int) else server.port
        self.connection = http.client.HTTPConnection(host, port, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.connection.close()

    def __call__(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Reply:
        self.connection.request(method, path, headers=dict(headers or {}), body=body)
        answer = self.connection.getresponse()
        kept = self.connection.sock is not None
        reply = Reply(
            answer.status,
            tuple((name.lower(), value) for name, value in answer.getheaders()),
            answer.read(),
        )
        assert kept or answer.will_close
        return check_privacy(reply)

    @property
    def address(self) -> Any:
        """Local address of the connection; it changes with a new connection. None without one."""
        return None if self.connection.sock is None else self.connection.sock.getsockname()


# ------------------------------------------------------------------------------ checks


def is_refused(reply: Reply | None) -> bool:
    """Whether the server refused: a closed connection, or a 4xx with at most one line."""
    if reply is None:
        return True
    assert 400 <= reply.status < 500, reply
    assert reply.body.count(b"\n") <= 1, reply
    assert reply.body == b"" or reply.get("X-Content-Type-Options") == "nosniff", reply
    return True


@contextmanager
def occupied_port(port: int = 0) -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        yield listener.getsockname()[1]


def free_port() -> int:
    """A free port, of those that the system gives to nobody by itself; so are those after it."""
    while True:
        with (
            suppress(OSError),
            occupied_port(random.SystemRandom().randrange(10_000, 32_000)) as port,
        ):
            return port


def check_refusal(ended: Outcome, *texts: str) -> None:
    assert ended.code == 2, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for text in texts:
        assert text in ended.err, ended.err


def is_listening(pid: int) -> bool:
    found = psutil.Process(pid).net_connections("tcp")
    return any(connection.status == psutil.CONN_LISTEN for connection in found)


# ------------------------------------------------------------------------------ the command


class Served:
    """``cellucid-dask serve``, or another command that serves, in a new process.

    Parameters
    ----------
    *arguments
        Arguments of the command; ``--no-browser`` is added without a `browser`.
    by
        Name of the command.
    folder
        Working folder; the output is written here.
    browser
        Command that is the browser of this user.
    through
        Words of a command that starts the server, such as nohup.
    first
        Lines of Python that a fork runs first.
    anew
        Whether to start a new Python, with all its imports, instead of a fork.
    **environment
        Added to the environment of this process, without the variables of screens, SSH and SLURM.
    """

    def __init__(
        self,
        *arguments: object,
        folder: Path,
        browser: str = "",
        through: Sequence[str] = (),
        first: str = "",
        anew: bool = False,
        by: str = "serve",
        **environment: str,
    ) -> None:
        self.out, self.err = (
            folder / f"{name}-{time.monotonic_ns()}.txt" for name in ("out", "err")
        )
        kept = {key: value for key, value in os.environ.items() if key not in SESSION_VARIABLES}
        kept.pop("CELLUCID_DASK_TOKEN", None)
        words = [*arguments] if browser else [*arguments, "--no-browser"]
        if browser:
            kept |= {"BROWSER": browser, "DISPLAY": ":99"}
        kept |= environment
        self.out.touch()
        self.err.touch()
        self.process: Forked | subprocess.Popen[bytes]
        if not (anew or through or any(name.startswith("PYTHON") for name in environment)):
            how = {"out": self.out, "err": self.err, "environment": kept, "first": first}
            self.process = fork(by, *words, cwd=folder, **how)
            return
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*through, *command(by, *words)],
                cwd=folder,
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def printed(self) -> str:
        """Standard output so far."""
        return self.out.read_text()

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return self.err.read_text()

    def url(self) -> str:
        """Wait for the URL that the server prints."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, f"it ended: {self.errors}"
            assert "internal error" not in self.errors, self.errors
            return re.search(r"^open (http://\S+)$", self.printed, re.MULTILINE)

        return str(wait_until(found, "it never printed its URL")[1])

    @property
    def port(self) -> int:
        """Port in the URL."""
        found = re.match(r"http://(?:\[[^\]]*\]|[^:/]+):(\d+)", self.url())
        assert found
        return int(found[1])

    def listens_on(self) -> int:
        """Port that the server listens on, found without its output."""

        def found() -> int | None:
            assert self.process.poll() is None, f"it ended: {self.errors}"
            for connection in psutil.Process(self.process.pid).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    return int(connection.laddr.port)
            return None

        return int(wait_until(found, "it never listened"))

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)
