"""RTP header parsing and reception statistics: loss, jitter, duplicates (RFC 3550)."""

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
def test_payload_is_found_after_csrcs_and_extension_and_before_padding_rfc3550_5_1(packet, span):
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
def test_malformed_packet_is_rejected_rfc3550_a_1(packet):
    assert payload_span(packet) is None


def test_rtcp_is_distinguished_from_rtp_by_its_packet_type_rfc5761_4():
    assert is_rtcp(bytes([0x80, 200]) + bytes(26))
    assert is_rtcp(bytes([0x81, 203]) + bytes(6))
    assert not is_rtcp(bytes([0x80, 0]) + bytes(26))
    assert not is_rtcp(b"\x80\xc8")


def test_signed_differences_wrap():
    assert signed16(0 - 0xFFFF) == 1
    assert signed16(0xFFFF - 0) == -1
    assert signed32(5 - 0xFFFFFFFF) == 6
    assert signed32(-160) == -160


def receive(
    reception: Reception, ssrc: int, *sequences: int, timestamp: int = 0, step_s: float = 0.02
) -> None:
    """Receive packets of one SSRC, `step_s` apart; the timestamp is 160 times the sequence number."""
    for sequence in sequences:
        if ssrc != reception.ssrc:
            reception.begin(ssrc, sequence)
        now = 0.0 if reception.at is None else reception.at + step_s
        reception.heard(sequence & 0xFFFF, timestamp + 160 * sequence & 0xFFFFFFFF, now)


def test_lost_is_expected_minus_received_rfc3550_a_3():
    reception = Reception()
    assert reception.lost == 0
    receive(reception, 7, 65534, 65535, 1, 3, 2)
    assert (reception.lost, reception.reordered, reception.duplicates, reception.total) == (1, 1, 0, 5)


def test_losses_accumulate_across_a_new_ssrc_and_a_restart():
    reception = Reception()
    receive(reception, 7, 10, 12)
    receive(reception, 8, 500, 502)
    receive(reception, 8, 30000, 30001)
    assert (reception.lost, reception.total) == (2, 6)


def test_duplicates_are_counted_separately_and_hide_no_loss():
    reception = Reception()
    receive(reception, 7, 10, 10, 10, 12, 12)
    assert (reception.lost, reception.duplicates, reception.total) == (1, 3, 5)


def test_late_packet_is_reordered_and_its_repetition_a_duplicate():
    reception = Reception()
    receive(reception, 7, 10, 12, 11, 11)
    assert (reception.lost, reception.reordered, reception.duplicates) == (0, 1, 1)


def test_packet_before_the_first_is_reordered_and_its_repetition_a_duplicate():
    reception = Reception()
    receive(reception, 7, 10, 9, 9)
    assert (reception.lost, reception.reordered, reception.duplicates) == (0, 1, 1)


def test_steady_stream_has_no_jitter_and_an_uneven_one_that_of_rfc3550_a_8():
    steady, uneven = Reception(), Reception()
    receive(steady, 7, *range(100))
    assert steady.jitter < 1e-6
    expected = now = 0.0
    uneven.begin(7, 0)
    for sequence in range(100):
        late = 0.005 * (sequence % 2)
        uneven.heard(sequence, 160 * sequence, now + late)
        if sequence:
            expected += (0.005 * 8000 - expected) / 16
        now += 0.02
    assert abs(uneven.jitter - expected) < 1e-6


def test_timestamp_jump_adds_no_jitter():
    reception = Reception()
    receive(reception, 7, *range(10))
    receive(reception, 7, *range(10, 20), timestamp=3_000_000_000)
    assert reception.jitter < 1e-6


def test_longest_gap_excludes_time_on_hold():
    reception = Reception()
    receive(reception, 7, 1, 2)
    receive(reception, 7, 3, step_s=0.3)
    reception.resumed()
    reception.heard(4, 640, 100.0)
    assert (round(reception.longest_gap_s, 3), reception.last_at) == (0.3, 100.0)


@pytest.mark.parametrize("sequence", [0, 3001, 40000, 65000])
def test_sequence_jump_adds_a_bounded_loss(sequence):
    reception = Reception()
    receive(reception, 7, 65535, sequence)
    assert 0 <= reception.lost <= 3000
    assert reception.total == 2


def test_forwarded_packets_count_like_packets_received_here():
    here, there = Reception(), Reception()
    for reception in (here, there):
        reception.begin(7, 65530)
        reception.heard(65530, 100, 1.0)
    for n in range(1, 101):
        here.heard(65530 + n & 0xFFFF, 100 + 160 * n, 1.0 + 0.02 * n)
    there.add_forwarded(100, 100 + 16000, 3.0, here.jitter, here.longest_gap_s)
    for reception in (here, there):
        reception.heard(65530 + 101 & 0xFFFF, 100 + 160 * 101, 3.02)
        reception.heard(65530 + 103 & 0xFFFF, 100 + 160 * 103, 3.06)
    for field in ("total", "lost", "highest", "expected", "received", "last_at", "last_timestamp"):
        assert getattr(there, field) == getattr(here, field)
    assert there.jitter == pytest.approx(here.jitter)
