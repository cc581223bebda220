"""Errors that libraries raise on damaged files, and how messages describe them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from zlib_ng import zlib_ng

from cellucid_dask.errors import CellucidDaskError, InputError, MachineError, refuse_fault
from cellucid_dask.hdf5_filters import INSTALL_FILTERS

# What h5py, zarr and the codecs raise on bytes that are not what they should be.
_ZLIB_NG: Any = zlib_ng.error  # its stub takes the class for an instance
DAMAGE: tuple[type[Exception], ...] = (
    OSError,
    RuntimeError,
    SystemError,  # numcodecs, of a blosc header with a negative size
    MemoryError,  # or with an absurd one
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    zlib.error,
    _ZLIB_NG,
    zipfile.BadZipFile,
)
COPY_AGAIN = "the file is truncated or corrupt: copy or write it again"
NEWER_ZARR = "install a newer zarr; pip finds it only for a Python that is new enough"
_UNKNOWN = (  # what zarr says of data types, codecs and extensions that it does not know
    "No Zarr data type found",
    "Unknown codec",
    "codec not available",
    "An implementation for codec",
    "Unknown chunk",
    "Rectilinear chunk grids",
    "storage transformers",
    "disallowed extra fields",
    "Invalid zarr_format",
)
_NO_FILTER = ("required filter", "can't open directory")  # HDF5, which looks for it in a folder


def describe_damage(error: Exception, action: str = "read") -> tuple[str, str]:
    """What a library says of bytes that it cannot read, and what to do about it."""
    what = " ".join(str(error).split())
    if any(piece in what for piece in _UNKNOWN):
        return f"needs a newer zarr than the installed {version('zarr')} ({what})", NEWER_ZARR
    if any(piece in what for piece in _NO_FILTER):  # on another machine than the one that looked
        return "needs a filter of HDF5 that is not installed", INSTALL_FILTERS
    if isinstance(error, FileNotFoundError) and error.errno is not None:
        return f"cannot be {action} ({error.strerror})", "put back what was there before"
    return f"cannot be {action} ({what})", COPY_AGAIN


def result_or_error(make: Callable[..., Any], value: Any, where: str, *more: Any) -> Any:
    """Return ``make(value, where, *more)``, or the error that says why it cannot be made.

    An error is returned, not raised: only what an export uses can refuse an input.

    Parameters
    ----------
    where
        How messages name `value`.

    Raises
    ------
    MachineError
        When the machine is at fault, and not the data.
    """
    try:
        return make(value, where, *more)
    except MachineError:
        raise  # says nothing of the element
    except CellucidDaskError as error:
        return error
    except DAMAGE as error:
        refuse_fault(error, where)
        return InputError(f"cannot be read ({error})", where=where)
