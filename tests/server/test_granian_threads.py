"""The private names of granian that the server uses: an upgrade that changes them fails here."""

from __future__ import annotations

import errno
import inspect
import socket
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from serving import Wire, internal, request, wait_until

granian = pytest.importorskip("granian")
VERSION = granian.__version__
LIMITS: dict[str, Any] = {
    "backlog": 128,
    "connections": 64,
    "threads": 4,
    "header_bytes": 32_768,
    "idle_ms": 15_000,
}
WORKER_PARAMETERS = (
    "worker_id shutdown_event callback sock loop runtime_mode runtime_threads "
    "runtime_blocking_threads blocking_threads blocking_threads_idle_timeout backpressure "
    "task_impl http_mode http1_settings http2_settings websockets static_path log_access_fmt "
    "ssl_ctx scope_opts metrics"
)


def changed(what: str) -> str:
    """Message for the person who upgrades granian."""
    return (
        f"granian {VERSION} changed {what}: adapt cellucid_dask/server/http/granian_threads.py, "
        "run tests/server, then change the limits of granian in pyproject.toml"
    )


def parameters_of(function: Any) -> list[str]:
    """Names of the parameters of a function, without `self`."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Respond with the path."""
    body = environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def listening_socket() -> socket.socket:
    """A socket that listens on a free port, without SO_REUSEPORT."""
    listening: socket.socket = internal("http.listener").bind("127.0.0.1", 0)
    return listening


def bind_error(port: int) -> int | None:
    """Error number when another socket takes the port, as a server that shares its port does."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            other.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno
    return None


def start_threads(listening: socket.socket, app: Any = hello) -> Any:
    """Start the threads of the server, without the rest of it."""
    return internal("http.granian_threads").GranianThreads(app, listening, **LIMITS)


def test_granian_is_of_the_range_that_was_tested() -> None:
    """The range ends before the next minor version, for private names may change in any."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    listed = map(Requirement, tomllib.loads(project.read_text())["project"]["dependencies"])
    (limits,) = (entry.specifier for entry in listed if entry.name == "granian")
    assert limits.contains(VERSION), (
        f"granian {VERSION} is not in the tested range {limits}: run tests/server with it, "
        "then change the limits of granian in pyproject.toml"
    )
    major, minor, *_ = map(int, VERSION.split("."))
    assert not limits.contains(f"{major}.{minor + 1}.0"), "the range must end at the next minor"


def test_private_functions_of_granian_have_the_tested_parameters() -> None:
    from granian._granian import SocketHolder
    from granian.server import MTServer
    from granian.server.mt import WorkerThread

    expected = {
        "_spawn_workers": (MTServer, "spawn_target target_loader"),
        "_spawn_worker": (MTServer, "idx target callback_loader"),
        "_spawn_wsgi_worker": (MTServer, WORKER_PARAMETERS),
        "terminate": (WorkerThread, ""),
        "is_alive": (WorkerThread, ""),
        "join": (WorkerThread, "timeout"),
    }
    for name, (owner, parameters) in expected.items():
        function = getattr(owner, name, None)
        assert function is not None, changed(f"{owner.__name__}: it has no {name}")
        names = parameters_of(function)
        assert names == parameters.split(), changed(f"the parameters of {owner.__name__}.{name}")
    used = {"interface", "http", "http1_settings", "runtime_mode", "runtime_threads"}
    used |= {"blocking_threads", "backlog", "backpressure", "websockets", "log_enabled"}
    used |= {"workers_kill_timeout"}
    missing = used - set(parameters_of(MTServer.__init__))
    assert not missing, changed(f"MTServer: it has no {', '.join(sorted(missing))}")
    with listening_socket() as plain:
        held = plain.detach()
    try:
        holder: Any = SocketHolder(held, False, 128)  # type: ignore[call-arg]
    except TypeError as error:
        socket.close(held)
        pytest.fail(changed(f"SocketHolder ({error})"))
    assert holder.get_fd() == held, changed("SocketHolder: it holds another socket")
    assert not holder.is_uds(), changed("SocketHolder: it holds no TCP socket")


def test_a_worker_gets_the_socket_of_the_server() -> None:
    """From `_ssp` and `_shd`; without a thread, which would hide where the socket comes from."""
    from granian.server import MTServer

    server = MTServer("nothing")
    for name in ("_ssp", "_shd", "wrks"):
        assert hasattr(server, name), changed(f"MTServer: it has no {name}")
    specification, holder = object(), object()
    server._ssp, server._shd = specification, holder
    worker = server._spawn_worker(0, server._spawn_wsgi_worker, hello)
    assert isinstance(worker.inner, threading.Thread), changed("WorkerThread.inner")
    arguments = worker.inner._args  # type: ignore[attr-defined]
    assert arguments[3] == (specification, holder), changed("the sockets that a worker gets")
    assert arguments[2] is hello, changed("the application that a worker gets")
    assert server.wrks == [], changed("MTServer.wrks: it lists workers that did not start")


def test_threads_serve_on_the_given_socket_and_release_it() -> None:
    before = set(threading.enumerate())
    listening = listening_socket()
    port = listening.getsockname()[1]
    threads = start_threads(listening)
    try:
        assert listening.fileno() == -1, "the socket must belong to granian"
        assert len(threads.wrks) == 1, changed("MTServer.wrks: it does not list the worker")
        assert threads.accepts_requests(), changed("WorkerThread.is_alive")
        for path in ("/one", "/two"):
            with Wire(port) as wire:
                reply = wire.send(request(port, path)).reply()
                assert reply is not None, changed("the socket that a worker accepts from")
                assert (reply.status, reply.body) == (200, path.encode())
        assert bind_error(port) == errno.EADDRINUSE, changed("its socket: the port is shared")
    finally:
        threads.stop_accepting()
        ended = threads.wait(60)
    assert ended, changed("how a worker stops")
    assert not threads.accepts_requests(), changed("WorkerThread.is_alive")
    wait_until(
        lambda: not set(threading.enumerate()) - before, changed("its threads: some do not end")
    )
    with socket.create_server(("127.0.0.1", port)):
        pass  # granian closed the socket


def test_stopping_waits_for_the_request_that_runs() -> None:
    listening = listening_socket()
    port = listening.getsockname()[1]
    entered, leave = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        entered.set()
        leave.wait(60)
        return hello(environ, start_response)

    threads = start_threads(listening, slow)
    try:
        with Wire(port) as wire:
            wire.send(request(port, "/slow", {"Connection": "close"}))
            assert entered.wait(60)
            threads.stop_accepting()
            assert not threads.wait(0.2), changed("how a worker stops: it does not wait")
            leave.set()
            reply = wire.reply()
            assert reply is not None, changed("how a worker stops: it cuts requests that run")
            assert reply.body == b"/slow"
    finally:
        leave.set()
        threads.stop_accepting()
        ended = threads.wait(60)
    assert ended, changed("how a worker stops")
