"""Filters of HDF5 that h5py lacks, such as that of Blosc.

They come with hdf5plugin, which takes 186 MB and few files need: it is the extra ``hdf5-filters``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from cellucid_dask.errors import InputError

INSTALL_FILTERS: Final = "pip install hdf5plugin (the extra hdf5-filters)"
_NAMES: Final = {  # as the HDF Group lists them (Registered Filter Plugins)
    307: "BZIP2",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "SPERR",
}
_MAX_NAMED: Final = 5


@cache
def register_filters() -> bool:
    """Register the filters with h5py; whether they are installed."""
    try:
        import hdf5plugin  # noqa: F401
    except ImportError:
        return False
    return True


def refuse_missing_filters(root: Any, path: str) -> None:
    """Refuse a file some arrays of which need filters of hdf5plugin, where that is not installed.

    Parameters
    ----------
    root
        Open h5py.File; other groups have no such filters.
    path
        Of the file.

    Raises
    ------
    InputError
        Names the filters and arrays that need them.
    """
    import h5py

    if not isinstance(root, h5py.File) or register_filters():
        return
    arrays: dict[int, list[str]] = {}

    def visit(name: str, element: Any) -> None:
        if isinstance(element, h5py.Dataset):
            made = element.id.get_create_plist()
            for i in range(made.get_nfilters()):
                number = made.get_filter(i)[0]
                if not h5py.h5z.filter_avail(number):
                    arrays.setdefault(number, []).append(name)

    root.visititems(visit)
    if arrays:
        needs = "; ".join(f"{_name(number)} for {_join(of)}" for number, of in arrays.items())
        raise InputError(
            f"needs filters of HDF5 that are not installed: {needs}",
            where=path,
            fix=INSTALL_FILTERS,
        )


def _name(number: int) -> str:
    return _NAMES.get(number, f"filter {number}")


def _join(names: list[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
