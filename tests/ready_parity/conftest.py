"""Fixtures of tests that compare ready files with those of the public packages."""

from ready_oracle import ready_oracle  # noqa: F401
