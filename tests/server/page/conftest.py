"""Packages that check the page."""

from __future__ import annotations

from javascript import packages  # noqa: F401
from ready_oracle import shared_folder  # noqa: F401
