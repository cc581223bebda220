"""Chunks of a store: which ones are missing, and what an array means without them."""
