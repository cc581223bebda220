"""Fixtures of tests on ready files."""

from ready_oracle import shared_folder  # noqa: F401
