"""matplotlib as it comes: whatever a user has set, and without a word to the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from cellucid_dask.errors import OptionError
from cellucid_dask.options.preview_path import INSTALL

# Names of parts of an SVG would otherwise be random.
FIXED: Final[dict[str, Any]] = {"svg.hashsalt": "cellucid-dask", "text.parse_math": False}


def require_matplotlib() -> None:
    """Import matplotlib.

    Raises
    ------
    OptionError
        When there is none, or one that does not work.
    """
    try:
        with quiet():
            import matplotlib.backends.backend_agg
            import matplotlib.font_manager
            import matplotlib.style  # noqa: F401  all of it now, not while something is drawn
    except Exception as error:  # also of a variable of the environment that it cannot use
        what, fix = "a preview needs matplotlib, which is not installed", INSTALL
        if not isinstance(error, ImportError):
            fix = "unset MPLBACKEND, if that is set"
        if fix != INSTALL or getattr(error, "name", "") != "matplotlib":
            what = f"a preview needs matplotlib, which cannot be imported ({error})"
        raise OptionError(what, fix=fix) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what matplotlib says of its font cache and of settings it does not know.

    On a compute node the home may be read-only: it then makes a cache of fonts for this once.
    """
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def defaults(families: list[str]) -> Iterator[None]:
    """Draw with the settings of matplotlib itself, and with fonts of these families."""
    import matplotlib as mpl
    import matplotlib.style

    with quiet(), mpl.style.context(["default", {**FIXED, "font.family": families}]):
        yield
