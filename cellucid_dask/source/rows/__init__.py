"""Rows of a source: blocks of them, and selections of them."""
