"""How the browser of a notebook reaches a port of the kernel: directly, or through Jupyter."""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from cellucid_dask.errors import OptionError

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
TIMEOUT: Final = 2.0  # seconds; of the request that asks Jupyter for its proxy


@dataclass(frozen=True, slots=True)
class JupyterServer:
    """The Jupyter server that this kernel belongs to.

    Parameters
    ----------
    base_url
        Prefix of all its paths, with a slash at both ends.
    remote
        Whether the browser is likely to be on another machine.
    address
        Host and port at which this process reaches it; None when unknown.
    """

    base_url: str
    remote: bool
    address: tuple[str, int] | None

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Self | None:
        """Find the server; None for a kernel that no Jupyter server started."""
        record = _read_record(environ.get("JPY_PARENT_PID", ""))
        hub = environ.get("JUPYTERHUB_SERVICE_PREFIX")
        if not record and not hub:
            return None
        base, name = hub or str(record.get("base_url", "/")), str(record.get("hostname", ""))
        base = f"/{base.strip('/')}/" if base.strip("/") else "/"
        is_far = (
            name not in LOOPBACK_NAMES or "SSH_CONNECTION" in environ or "SLURM_JOB_ID" in environ
        )
        is_reachable = (
            bool(record.get("port")) and not record.get("secure") and not record.get("sock")
        )
        host = name if name not in ("", "*", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
        address = (host, int(record["port"])) if is_reachable else None
        return cls(base, bool(hub) or is_far or base != "/", address)

    def lacks_proxy(self) -> bool:
        """Whether the server has no jupyter-server-proxy; False also when it does not respond.

        A request finds out, as the kernel often has another environment. It has no credentials:
        a path that exists asks for them, a path that does not exist gives 404.
        """
        if self.address is None:
            return False
        connection = http.client.HTTPConnection(*self.address, timeout=TIMEOUT)
        try:
            # Nothing listens on port 0. A path with a slash at the end would always be redirected.
            connection.request("HEAD", f"{self.base_url}proxy/0/page")
            return connection.getresponse().status == 404
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
        ):  # also for a host name beyond ASCII
            return False
        finally:
            connection.close()


def _read_record(pid: str) -> dict[str, Any]:
    """Read the file in which a Jupyter server describes itself; empty when there is none."""
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        folder = Path(jupyter_runtime_dir())
    except ImportError:
        return {}
    for kind in ("jpserver", "nbserver") if pid.isdecimal() else ():
        try:
            record = json.loads((folder / f"{kind}-{pid}.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        return record if isinstance(record, dict) else {}
    return {}


def find_proxy_prefix(proxy: bool | str | None, *, kernel: bool) -> str | None:
    """Return the prefix of the paths of Jupyter's proxy; None when the browser needs no proxy.

    Parameters
    ----------
    proxy
        The choice of the user: a base URL of Jupyter, True or False; None decides itself.
    kernel
        Whether this process is a kernel.

    Raises
    ------
    OptionError
        When the proxy is needed and missing, or its base URL is unknown.
    """
    if isinstance(proxy, str):
        if not re.fullmatch(r"/([^/\s\"'<>\\?#]+/)*[^/\s\"'<>\\?#]*", proxy):
            fix = "write the base URL of Jupyter as a path, such as /user/ada/"
            raise OptionError(f"{proxy!r} is not a path", where="'proxy'", fix=fix)
        return f"/{proxy.strip('/')}/" if proxy.strip("/") else "/"
    if proxy is False or (proxy is None and not kernel):
        return None
    if proxy is not None and proxy is not True:
        fix = "use True, False, or the base URL of Jupyter as a path, such as /user/ada/"
        raise OptionError(f"{proxy!r} is not a choice", where="'proxy'", fix=fix)
    jupyter = JupyterServer.find()
    if jupyter is None:
        if proxy is None:
            return None
        fix = "give its base URL as a path, such as /user/ada/"
        raise OptionError("no Jupyter server is known here", where="'proxy'", fix=fix)
    if proxy is None and not jupyter.remote:
        return None
    if jupyter.lacks_proxy():
        fix = (
            "install jupyter-server-proxy where Jupyter runs and restart Jupyter; or proxy=False, "
            "when your browser runs on this machine or the port is forwarded to it"
        )
        raise OptionError("Jupyter has no jupyter-server-proxy", where="'proxy'", fix=fix)
    return jupyter.base_url
