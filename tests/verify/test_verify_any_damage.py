"""`verify` on native exports: it finds any change of a byte or a file."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from verifying import EXAMPLES, KINDS, MutableExport


@KINDS
@EXAMPLES
@given(data=st.data())
def test_any_flipped_byte_is_found(mutable_export: MutableExport, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(mutable_export.names))
    raw = bytearray(mutable_export.good[name])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    mutable_export.notices(name, **{name: bytes(raw)})


@KINDS
@EXAMPLES
@given(data=st.data())
def test_any_lost_or_extra_bytes_are_found(
    mutable_export: MutableExport, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(mutable_export.names))
    raw = mutable_export.good[name]
    at = data.draw(st.integers(0, len(raw) - 1))
    more = data.draw(st.binary(min_size=1, max_size=3))
    bad = data.draw(
        st.sampled_from(
            [raw[:at], raw + more, raw[:at] + more + raw[at:], raw[:at] + raw[at + 1 :]]
        )
    )
    mutable_export.notices(name, **{name: bad})


@KINDS
@EXAMPLES
@given(data=st.data())
def test_any_two_swapped_files_are_found(
    mutable_export: MutableExport, data: st.DataObject
) -> None:
    one, other = data.draw(st.lists(st.sampled_from(mutable_export.names), min_size=2, max_size=2))
    first, second = mutable_export.good[one], mutable_export.good[other]
    if first != second:
        mutable_export.notices(one, other, **{one: second, other: first})


@KINDS
def test_any_deleted_or_renamed_file_is_found(mutable_export: MutableExport) -> None:
    for name in mutable_export.names:
        report = mutable_export.notices(name, **{name: None})
        assert report.problems == (f"{name}: is missing",)
        mutable_export.notices(
            name, name + "2", **{name: None, name + "2": mutable_export.good[name]}
        )


@KINDS
@settings(EXAMPLES, max_examples=25)
@given(
    folder=st.sampled_from(["", "obs/", "var/", "connectivity/"]),
    name=st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
    ).filter(lambda name: name not in (".", "..")),
)
def test_any_added_file_is_found(mutable_export: MutableExport, folder: str, name: str) -> None:
    assert folder + name not in mutable_export.good
    assert len(mutable_export.notices(folder, **{folder + name: b"x"}).problems) == 1
