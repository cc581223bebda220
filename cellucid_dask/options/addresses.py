"""Hosts, URLs and paths that a user gives a server."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit


def is_plain_path(path: str) -> bool:
    """Whether a path is empty, or has only characters that a URL writes without escapes."""
    return bool(re.fullmatch(r"(/[A-Za-z0-9._~@:-]+)*", path)) and ".." not in path


def is_site_url(url: str) -> bool:
    """Whether `url` is http or https, a host, optionally a port and a path, and no more."""
    match = re.fullmatch(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?(/.*)?", url)
    if match is None or not is_plain_path(match[3] or ""):
        return False
    try:
        return urlsplit(url).port != 0 and bool(urlsplit(url).hostname)
    except ValueError:  # a port above 65535, or brackets around something else than an address
        return False


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
