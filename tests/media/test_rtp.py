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


def hears(reception: Reception, ssrc: int, *sequences: int, timestamp: int = 0, step_s: float = 0.02) -> None:
    """Receive packets of one SSRC, `step_s` apart; the timestamp is 160 times the sequence number."""
    for sequence in sequences:
        if ssrc != reception.ssrc:
            reception.begin(ssrc, sequence)
        now = 0.0 if reception.at is None else reception.at + step_s
        reception.heard(sequence & 0xFFFF, timestamp + 160 * sequence & 0xFFFFFFFF, now)


def test_losses_are_expected_less_received_rfc3550_a_3():
    reception = Reception()
    assert reception.lost == 0
    hears(reception, 7, 65534, 65535, 1, 3, 2)
    assert (reception.lost, reception.reordered, reception.duplicates, reception.total) == (1, 1, 0, 5)


def test_losses_are_kept_across_a_new_ssrc_and_a_restart():
    reception = Reception()
    hears(reception, 7, 10, 12)
    hears(reception, 8, 500, 502)
    hears(reception, 8, 30000, 30001)
    assert (reception.lost, reception.total) == (2, 6)


def test_duplicates_are_counted_apart_and_hide_no_loss():
    reception = Reception()
    hears(reception, 7, 10, 10, 10, 12, 12)
    assert (reception.lost, reception.duplicates, reception.total) == (1, 3, 5)


def test_what_comes_late_is_no_loss_the_first_time_and_a_duplicate_the_second():
    reception = Reception()
    hears(reception, 7, 10, 12, 11, 11)
    assert (reception.lost, reception.reordered, reception.duplicates) == (0, 1, 1)


def test_what_comes_before_the_first_is_no_duplicate_the_first_time():
    reception = Reception()
    hears(reception, 7, 10, 9, 9)
    assert (reception.lost, reception.reordered, reception.duplicates) == (0, 1, 1)


def test_a_steady_line_has_no_jitter_and_a_shaky_one_has_what_rfc3550_a_8_says():
    steady, shaky = Reception(), Reception()
    hears(steady, 7, *range(100))
    assert steady.jitter < 1e-6
    expected = now = 0.0
    shaky.begin(7, 0)
    for sequence in range(100):
        late = 0.005 * (sequence % 2)
        shaky.heard(sequence, 160 * sequence, now + late)
        if sequence:
            expected += (0.005 * 8000 - expected) / 16
        now += 0.02
    assert abs(shaky.jitter - expected) < 1e-6


def test_a_clock_set_anew_is_no_jitter():
    reception = Reception()
    hears(reception, 7, *range(10))
    hears(reception, 7, *range(10, 20), timestamp=3_000_000_000)
    assert reception.jitter < 1e-6


def test_the_longest_gap_is_of_speech_and_not_of_a_hold():
    reception = Reception()
    hears(reception, 7, 1, 2)
    hears(reception, 7, 3, step_s=0.3)
    reception.resumed()
    reception.heard(4, 640, 100.0)
    assert (round(reception.longest_gap_s, 3), reception.last_at) == (0.3, 100.0)


@pytest.mark.parametrize("sequence", [0, 3001, 40000, 65000])
def test_whatever_number_comes_next_the_loss_is_bounded(sequence):
    reception = Reception()
    hears(reception, 7, 65535, sequence)
    assert 0 <= reception.lost <= 3000
    assert reception.total == 2


def test_packets_judged_elsewhere_count_as_if_they_had_been_heard_here():
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
    for told in ("total", "lost", "highest", "expected", "received", "last_at", "last_timestamp"):
        assert getattr(there, told) == getattr(here, told)
    assert there.jitter == pytest.approx(here.jitter)
