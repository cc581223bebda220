"""How the command line spells the arguments of the Python functions."""

from __future__ import annotations

from typing import Final

# A switch that turns off what the argument, True by default, turns on.
NEGATIVE: Final = {
    "backed": "--no-backed",
    "connectivity": "--no-graph",
    "expression": "--no-genes",
    "index": "--no-index",
    "open_browser": "--no-browser",
    "vectors": "--no-vectors",
}
# An option that may be repeated names one value; the argument holds all of them.
REPEATED: Final = {
    "allowed_hosts": "--allowed-host",
    "embeddings": "--embedding",
    "genes": "--gene",
    "obs_keys": "--obs-key",
    "slurm_directives": "--slurm-directive",
}
_OPTIONS: Final = {**NEGATIVE, **REPEATED}


def option_of(argument: str) -> str:
    """Return the option of the command line for an argument, such as ``--obs-key``."""
    return _OPTIONS.get(argument) or "--" + argument.replace("_", "-")
