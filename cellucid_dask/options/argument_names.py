"""Options of the command line that stand for arguments of the Python functions."""

from __future__ import annotations

from typing import Final

# Switches that turn an argument off; it is True by default.
NEGATIVE: Final = {
    "backed": "--no-backed",
    "cell_ids": "--no-cell-ids",
    "connectivity": "--no-graph",
    "expression": "--no-genes",
    "index": "--no-index",
    "open_browser": "--no-browser",
    "vectors": "--no-vectors",
}
# Options that may be repeated, with one value each; the argument holds all values.
REPEATED: Final = {
    "allowed_hosts": "--allowed-host",
    "embeddings": "--embedding",
    "genes": "--gene",
    "obs_keys": "--obs-key",
    "directives": "--directive",
}
_OPTIONS: Final = {**NEGATIVE, **REPEATED}


def option_of(argument: str) -> str:
    """Return the option of the command line for an argument, such as ``--obs-key``."""
    return _OPTIONS.get(argument) or "--" + argument.replace("_", "-")
