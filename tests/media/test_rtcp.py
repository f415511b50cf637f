"""RTCP packets: compounds that we build, and arbitrary bytes received (RFC 3550 §6)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.media.rtcp import Block, Sent, compound, middle, read

BLOCK = Block(0xB0B, 0.25, 7, 70000, 40, 0x1234_5678, 1.5)


def test_sender_report_has_the_layout_of_rfc3550_6_4_1():
    packet = compound(0xA11CE, Sent(2.5, 8000, 10, 1600), (BLOCK,), "ab", leaves=False)
    assert packet == bytes.fromhex(
        "81c8000c 000a11ce 00000002 80000000 00001f40 0000000a 00000640"
        "00000b0b 40000007 00011170 00000028 12345678 00018000"
        "81ca0003 000a11ce 01026162 00000000"
    )


def test_compound_of_a_leaving_source_ends_with_bye_rfc3550_6_6():
    packet = compound(0xA11CE, None, (), "abcd", leaves=True)
    assert packet == bytes.fromhex("80c90001 000a11ce 81ca0003 000a11ce 01046162 63640000 81cb0001 000a11ce")


def test_built_compound_reads_back_equal():
    sent = Sent(1000.25, 8000, 10, 1600)
    report = read(compound(0xA11CE, sent, (BLOCK, BLOCK._replace(lost=-3)), "name", leaves=True))
    assert report is not None
    assert report == (0xA11CE, middle(1000.25), (BLOCK, BLOCK._replace(lost=-3)), True)


@pytest.mark.parametrize(
    "packet",
    [
        b"", b"\x80", b"\x80\xc8\0\0", bytes.fromhex("80c80001 00000001"), bytes.fromhex("81c90001 00000001"),
        bytes.fromhex("80c90002 00000001"), bytes.fromhex("40c90001 00000001"),
        bytes.fromhex("80000001 00000001"),
        bytes.fromhex("80c90001 00000001 80"), bytes.fromhex("9fc90007 00000001") + bytes(24),
    ],
)  # fmt: skip
def test_malformed_compound_is_rejected_rfc3550_a_2(packet):
    assert read(packet) is None


def test_unknown_packet_types_are_skipped():
    known = compound(0xA11CE, None, (BLOCK,), "name", leaves=False)
    report = read(known + bytes.fromhex("81ce0002 00000001 00000002"))
    assert report is not None
    assert report.blocks == (BLOCK,)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(0, 31), st.integers(192, 223), st.integers(0, 60))
def test_arbitrary_bytes_never_raise(noise, count, kind, words):
    read(noise)
    read(bytes((0x80 | count, kind, 0, words)) + noise)


def test_values_too_large_for_their_field_are_clamped():
    block = BLOCK._replace(fraction_lost=1.0, lost=1 << 30, delay_s=1e9)
    report = read(compound(1, None, (block,), "n", leaves=False))
    assert report is not None
    assert report.blocks[0][1:3] == (255 / 256, 0x7FFFFF)


def test_sender_counts_wrap_at_32_bits_rfc3550_6_4_1():
    """Counters wrap at 2^32: a flood of large packets gets there in minutes, a call of G.711 in a week."""
    made = compound(1, Sent(1.0, 2, (1 << 32) + 7, (1 << 33) + 9), (), "n", leaves=True)
    assert made[20:28] == bytes((0, 0, 0, 7, 0, 0, 0, 9))
