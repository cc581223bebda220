"""An independent decoder of finished exports.

Nothing in this package imports the code that writes exports. It uses only the names and markers
of the format, and the errors: a bug in an encoder cannot hide itself here.
"""

from cellucid_dask.verify.report import VerifyReport
from cellucid_dask.verify.verification import verify

__all__ = ["VerifyReport", "verify"]
