"""A web site on 127.0.0.1 that behaves as it is told, byte by byte."""

from __future__ import annotations

import datetime as dt
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "png": "image/png"}
Behaviour = Callable[[socket.socket], object]


def index_of(build: str, rest: str = "") -> bytes:
    """A page that says of which build it is."""
    return (
        f'<!doctype html><html><head><meta name="cellucid-web-build-id" content="{build}" />'
        f'<script type="module" src="assets/js/main.js"></script></head><body>{rest}</body></html>'
    ).encode()


def whole(body: bytes, media: str = "text/html", *headers: str, status: str = "200 OK") -> bytes:
    """An answer as it should be."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def moved(location: str) -> bytes:
    """A redirect."""
    return whole(b"", "text/html", f"Location: {location}", status="302 Found")


class Site(ThreadingTCPServer):
    """A site whose files are in `files`: their bytes, or what is done with the connection.

    Bytes are answered as a file; an answer of `raw` goes out as it is.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.files: dict[str, bytes | Behaviour] = {}
        self.asked: Counter[str] = Counter()
        self.heads: list[bytes] = []
        self.over = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def publish(self, build: str, **files: bytes) -> None:
        """Have another build, with these scripts besides the main one."""
        self.files["index.html"] = index_of(build)
        self.files["assets/js/main.js"] = f"export const build = '{build}';".encode()
        for name, body in files.items():
            self.files[f"assets/js/{name}.js"] = body

    def raw(self, path: str, data: bytes) -> None:
        """Answer these bytes and close the connection."""
        self.files[path] = lambda sock: sock.sendall(data)

    def hang(self, path: str, data: bytes = b"") -> None:
        """Answer these bytes, and then nothing more, until the end."""

        def behave(sock: socket.socket) -> None:
            sock.sendall(data)
            self.over.wait(60)

        self.files[path] = behave

    def drip(self, path: str, data: bytes, pause: float) -> None:
        """Answer these bytes one by one."""

        def behave(sock: socket.socket) -> None:
            for byte in data:
                sock.sendall(bytes([byte]))
                if self.over.wait(pause):
                    return

        self.files[path] = behave

    def handle_error(self, *_: object) -> None:
        """A client that hung up: nothing to tell."""


class _Handler(BaseRequestHandler):
    def handle(self) -> None:
        site, head = self.server, b""
        assert isinstance(site, Site)
        while b"\r\n\r\n" not in head:
            piece = self.request.recv(65536)
            if not piece:
                return
            head += piece
        path = head.split(b" ")[1].decode()
        name = re.sub(r"^(http://[^/]*)?/", "", path)
        site.asked[name] += 1
        site.heads.append(head)
        found = site.files.get(name)
        if found is None:
            self.request.sendall(whole(b"<html>no</html>", status="404 Not Found"))
        elif isinstance(found, bytes):
            media = TYPES.get(name.rpartition(".")[2], "application/octet-stream")
            self.request.sendall(whole(found, media))
        else:
            found(self.request)


@contextmanager
def site(port: int = 0, tls: tuple[Path, Path] | None = None) -> Iterator[Site]:
    """A site that answers from threads of this process; with `tls`, a certificate and its key."""
    with Site(port) as running:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            running.socket = context.wrap_socket(
                running.socket, server_side=True, do_handshake_on_connect=False
            )
        running.publish("one")
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield running
        finally:
            running.over.set()
            with suppress(OSError):
                running.shutdown()
            thread.join()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that vouches for itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a site of the tests")])
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "site.pem", folder / "site.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    return paths
