"""Benchmarks and comparisons: ``python -m benchmarks --help`` lists them."""
