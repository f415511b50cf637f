import pytest

from proxy.media.rtp import HEADER, Reception, is_rtcp, payload_span, signed16, signed32


def _packet(first: int, rest: bytes) -> bytes:
    return HEADER.pack(first, 0, 1, 2, 3) + rest


@pytest.mark.parametrize(
    ("packet", "span"),
    [
        (_packet(0x80, b"abcd"), (12, 16)),
        (_packet(0x80, b""), (12, 12)),
        (_packet(0x82, b"\0" * 8 + b"ab"), (20, 22)),
        (_packet(0x90, b"\xbe\xde\0\1abcdxyz"), (20, 23)),
        (_packet(0xA0, b"abcd\0\0\3"), (12, 16)),
        (_packet(0xB1, b"csrc\0\0\0\0hi\0\2"), (20, 22)),
    ],
)
def test_the_payload_is_found_behind_csrcs_extension_and_before_padding_rfc3550_5_1(packet, span):
    assert payload_span(packet) == span


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80" * 11,
        _packet(0x40, b"abcd"),
        _packet(0x00, b"abcd"),
        _packet(0x8F, b"abcd"),
        _packet(0x90, b"ab"),
        _packet(0x90, b"\0\0\xff\xffabcd"),
        _packet(0xA0, b"abc\0"),
        _packet(0xA0, b"abc\xff"),
        _packet(0xA0, b"")[:12],
    ],
)
def test_what_does_not_add_up_is_no_packet_rfc3550_a_1(packet):
    assert payload_span(packet) is None


def test_rtcp_is_told_from_rtp_by_its_type_rfc5761_4():
    assert is_rtcp(bytes([0x80, 200]) + bytes(26))
    assert is_rtcp(bytes([0x81, 203]) + bytes(6))
    assert not is_rtcp(bytes([0x80, 0]) + bytes(26))
    assert not is_rtcp(b"\x80\xc8")


def test_differences_wrap():
    assert signed16(0 - 0xFFFF) == 1
    assert signed16(0xFFFF - 0) == -1
    assert signed32(5 - 0xFFFFFFFF) == 6
    assert signed32(-160) == -160


def test_losses_are_expected_less_received_rfc3550_a_3():
    reception = Reception()
    assert reception.lost == 0
    for sequence in (65534, 65535, 1, 3, 2):
        reception.heard(7, sequence)
    assert reception.lost == 1


def test_losses_are_kept_across_a_new_ssrc_and_a_restart():
    reception = Reception()
    for sequence in (10, 12):
        reception.heard(7, sequence)
    for sequence in (500, 502):
        reception.heard(8, sequence)
    for sequence in (30000, 30001):
        reception.heard(8, sequence)
    assert reception.lost == 2


def test_duplicates_never_make_the_loss_negative():
    reception = Reception()
    for sequence in (10, 10, 10):
        reception.heard(7, sequence)
    assert reception.lost == 0
