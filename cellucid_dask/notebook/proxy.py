"""How the browser of a notebook reaches a port of the kernel: by itself, or through Jupyter."""

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

HERE: Final = ("localhost", "127.0.0.1", "::1")
SECONDS: Final = 2.0  # for Jupyter to say whether it has the proxy


@dataclass(frozen=True, slots=True)
class Jupyter:
    """The Jupyter server that this kernel belongs to.

    Parameters
    ----------
    base_url
        Begin of all its paths, with a slash at both ends.
    remote
        Whether the browser is likely to be on another machine.
    address
        Where this process reaches it; None when that is not known.
    """

    base_url: str
    remote: bool
    address: tuple[str, int] | None

    @classmethod
    def found(cls, environ: Mapping[str, str] = os.environ) -> Self | None:
        """Look for it; None for a kernel that no Jupyter server started."""
        record = _record(environ.get("JPY_PARENT_PID", ""))
        hub = environ.get("JUPYTERHUB_SERVICE_PREFIX")
        if not record and not hub:
            return None
        base, name = hub or str(record.get("base_url", "/")), str(record.get("hostname", ""))
        base = f"/{base.strip('/')}/" if base.strip("/") else "/"
        far = name not in HERE or "SSH_CONNECTION" in environ or "SLURM_JOB_ID" in environ
        plain = bool(record.get("port")) and not record.get("secure") and not record.get("sock")
        host = name if name not in ("", "*", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
        address = (host, int(record["port"])) if plain else None
        return cls(base, bool(hub) or far or base != "/", address)

    def lacks_proxy(self) -> bool:
        """Whether it says that it has no jupyter-server-proxy; False also when it says nothing.

        Asked of the server, since a kernel is often of another environment. Without credentials:
        a path that is there asks for them, one that is not is a 404.
        """
        if self.address is None:
            return False
        connection = http.client.HTTPConnection(*self.address, timeout=SECONDS)
        try:
            # Nothing listens on port 0; what ends with a slash would be redirected in any case.
            connection.request("HEAD", f"{self.base_url}proxy/0/page")
            return connection.getresponse().status == 404
        except (OSError, ValueError, http.client.HTTPException):  # also of letters beyond ASCII
            return False
        finally:
            connection.close()


def _record(pid: str) -> dict[str, Any]:
    """What a Jupyter server noted of itself for the programs of its user; empty for none."""
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        folder = Path(jupyter_runtime_dir())
    except ImportError:
        return {}
    for kind in ("jpserver", "nbserver") if pid.isdecimal() else ():
        try:
            found = json.loads((folder / f"{kind}-{pid}.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        return found if isinstance(found, dict) else {}
    return {}


def proxy_prefix(proxy: bool | str | None, *, kernel: bool) -> str | None:
    """Begin of the paths of Jupyter's proxy; None when the browser reaches 127.0.0.1 itself.

    Parameters
    ----------
    proxy
        What the user chose: a base URL of Jupyter, True or False; None finds out.
    kernel
        Whether this process is a kernel.

    Raises
    ------
    OptionError
        When the proxy is needed and not there, or where it is is not known.
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
    jupyter = Jupyter.found()
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
