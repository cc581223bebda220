"""LZF is decompressed as its format says, and what is damaged is refused."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellucid_dask.native.calls import NativeError, call
from cellucid_dask.native.library import load

pytestmark = pytest.mark.skipif(load() is None, reason="there is no native library")


def expected(coded: bytes, size: int) -> bytes | None:
    """Decompress one item after another; None where that is impossible."""
    plain, left = bytearray(), list(coded)
    while left:
        control = left.pop(0)
        if control < 32:
            if len(left) <= control:
                return None
            plain += bytes(left[: control + 1])
            del left[: control + 1]
            continue
        length = control >> 5
        if len(left) < 1 + (length == 7):
            return None
        if length == 7:
            length += left.pop(0)
        distance = ((control & 31) << 8) + left.pop(0) + 1
        if distance > len(plain):
            return None
        for _ in range(length + 2):
            plain.append(plain[-distance])
    return bytes(plain) if len(plain) == size else None


def decompress(coded: bytes, size: int) -> bytes | None:
    """The same in C, between bytes that must stay as they are."""
    memory = np.full(size + 64, 77, np.uint8)
    try:
        call(
            "lzf_decompress",
            len(coded),
            np.frombuffer(coded, np.uint8),
            size,
            memory[32 : 32 + size],
        )
    except NativeError:
        return None
    finally:
        assert (memory[:32] == 77).all()
        assert (memory[32 + size :] == 77).all()
    return memory[32 : 32 + size].tobytes()


LITERALS = st.binary(min_size=1, max_size=32).map(lambda b: bytes([len(b) - 1]) + b)
COPIES = st.builds(
    lambda length, more, high, low: bytes([length << 5 | high, *[more] * (length == 7), low]),
    st.integers(1, 7),
    st.integers(0, 255),
    st.sampled_from([0] * 9 + [1, 31]),
    st.integers(0, 60),
)


@given(items=st.lists(LITERALS | COPIES, max_size=30), cut=st.integers(0, 3), more=st.data())
@settings(max_examples=600)
def test_any_items(items: list[bytes], cut: int, more: st.DataObject) -> None:
    coded = (bytes(range(32)) + b"".join(items)).join([b"\x1f", b""])
    coded = coded[: len(coded) - cut]
    size = more.draw(st.integers(0, 400)) if cut == 1 else length_of(coded)
    assert decompress(coded, size) == expected(coded, size)


def length_of(coded: bytes) -> int:
    """Length that the items of `coded` have, as far as they are whole."""
    at = size = 0
    while at < len(coded):
        control = coded[at]
        if control < 32:
            at, size = at + control + 2, size + control + 1
        elif control >> 5 < 7:
            at, size = at + 2, size + (control >> 5) + 2
        else:
            size += 9 + (coded[at + 1] if at + 1 < len(coded) else 0)
            at += 3
    return size


@given(coded=st.binary(max_size=60), size=st.integers(0, 100))
@settings(max_examples=300)
def test_any_bytes(coded: bytes, size: int) -> None:
    assert decompress(coded, size) == expected(coded, size)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20), st.integers(0, 9999))
@settings(max_examples=60)
def test_what_h5py_compresses(words: list[bytes], seed: int) -> None:
    picked = np.random.default_rng(seed).integers(0, len(words), 300)
    plain = b"".join(words[i] for i in picked)
    with TemporaryDirectory() as folder, h5py.File(Path(folder, "a.h5"), "w") as file:
        values = np.frombuffer(plain, np.uint8)
        made = file.create_dataset("x", data=values, chunks=values.shape, compression="lzf")
        mask, coded = made.id.read_direct_chunk((0,))
    assert mask or decompress(coded, len(plain)) == plain
