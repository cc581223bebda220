"""Fixtures of tests on ready files."""

from javascript import packages  # noqa: F401
from ready_oracle import shared_folder  # noqa: F401
