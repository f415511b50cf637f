"""Rewriting of RTP sequence numbers and timestamps so that the sources of a leg form one stream."""

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.media.rtp import HEADER
from proxy.media.rtp_timeline import RtpTimeline

AGENT, PHONE = object(), object()


def _line() -> RtpTimeline:
    return RtpTimeline(ssrc=7, sequence=100, timestamp=1000)


def _place(line, source, sequence, timestamp, now, event=False):
    return line.place(source, sequence, timestamp, now, rate=8000, event=event)


def test_the_first_packet_sets_the_marker_and_follows_the_chosen_start():
    assert _place(_line(), AGENT, 5, 5000, 1.0) == (101, 1000, True)


def test_loss_inside_a_source_stays_loss():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, AGENT, 8, 5480, 1.06) == (104, 1480, False)


def test_reordering_inside_a_source_stays_reordering():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, AGENT, 7, 5320, 1.04) == (103, 1320, False)
    assert _place(line, AGENT, 6, 5160, 1.041) == (102, 1160, False)
    assert _place(line, AGENT, 8, 5480, 1.06) == (104, 1480, False)


def test_a_switch_goes_on_by_one_and_by_the_wall_time_with_marker():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, PHONE, 60000, 4_000_000_000, 1.5) == (102, 5000, True)
    assert _place(line, PHONE, 60001, 4_000_000_160, 1.52) == (103, 5160, False)


def test_a_switch_within_one_packet_does_not_overlap_what_was_said():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, PHONE, 9, 9, 1.001) == (102, 1160, True)


def test_a_packet_older_than_the_switch_is_not_sent_on_a_number_already_used():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    _place(line, PHONE, 50, 900, 1.02)
    assert _place(line, PHONE, 49, 740, 1.03) is None
    assert _place(line, PHONE, 51, 1060, 1.04) == (103, 1320, False)


def test_after_a_cut_the_same_source_is_a_new_one():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    line.switch_source()
    assert _place(line, AGENT, 505, 85000, 11.0) == (102, 81000, True)


def test_numbers_wrap_in_the_packet_and_not_in_the_reckoning():
    line = RtpTimeline(ssrc=7, sequence=0xFFFE, timestamp=0xFFFFFFFF)
    assert _place(line, AGENT, 0xFFFF, 0xFFFFFFF0, 1.0) == (0xFFFF, 0xFFFFFFFF, True)
    assert _place(line, AGENT, 0, 0x90, 1.02) == (0, 0x9F, False)
    assert _place(line, AGENT, 0xFFFF, 0xFFFFFFF0, 1.03) == (0xFFFF, 0xFFFFFFFF, False)


def test_a_telephone_event_keeps_its_start_as_timestamp_rfc4733_2_2():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, AGENT, 6, 5160, 1.02, event=True) == (102, 1160, False)
    assert _place(line, AGENT, 7, 5320, 1.03) == (103, 1320, False)
    assert _place(line, AGENT, 8, 5160, 1.04, event=True) == (104, 1160, False)
    assert _place(line, AGENT, 9, 5480, 1.05) == (105, 1480, False)


def test_a_source_whose_timestamps_go_back_counts_as_started_anew():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, AGENT, 6, 100, 1.02) == (102, 1160, True)


def test_a_source_that_leaps_further_than_time_allows_counts_as_started_anew():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, AGENT, 6, 5000 + 2_000_000, 1.02) == (102, 1160, True)


def test_silence_suppression_is_no_leap():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, AGENT, 6, 5000 + 30 * 8000, 31.0) == (102, 1000 + 30 * 8000, False)


def test_a_sequence_jump_beyond_any_loss_counts_as_started_anew_rfc3550_a_1():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    assert _place(line, AGENT, 20000, 5160, 1.02) == (102, 1160, True)


def test_a_packet_left_out_on_purpose_is_no_loss():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    line.skip(AGENT, 6)
    line.skip(PHONE, 7)
    assert _place(line, AGENT, 7, 5320, 1.04) == (102, 1320, False)


def test_after_a_loss_what_is_left_out_on_purpose_is_no_loss_either():
    line = _line()
    _place(line, AGENT, 5, 5000, 1.0)
    for sequence in range(7, 57):
        line.skip(AGENT, sequence)
    assert _place(line, AGENT, 57, 5000 + 52 * 160, 2.04) == (103, 1000 + 52 * 160, False)


def test_what_comes_late_beside_packets_left_out_takes_no_number_twice():
    line = _line()
    assert _place(line, AGENT, 5, 5000, 1.0) == (101, 1000, True)
    line.skip(AGENT, 7)
    assert _place(line, AGENT, 6, 5160, 1.02) is None
    assert _place(line, AGENT, 8, 5480, 1.04) == (103, 1480, False)
    assert _place(line, AGENT, 7, 5320, 1.05) is None


_PACKETS = st.lists(
    st.tuples(
        st.sampled_from([AGENT, PHONE]), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.booleans()
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(_PACKETS)
def test_whatever_comes_every_switch_is_the_next_number_and_never_earlier(packets):
    line, highest, now = RtpTimeline(1, 0, 0), 0, 0.0
    for source, sequence, timestamp, event in packets:
        now += 0.02
        place = line.place(source, sequence, timestamp, now, rate=8000, event=event)
        if place is None:
            continue
        step = (place[0] - highest + 0x8000) % 0x10000 - 0x8000
        assert step <= 3000
        if place[2]:
            assert step == 1
        highest = max(highest, highest + step)


@settings(max_examples=200)
@given(
    start=st.integers(0, 65535),
    clock=st.integers(0, 2**32 - 1),
    seen=st.integers(1, 5),
    unseen=st.integers(1, 200_000),
)
def test_packets_that_went_another_way_leave_the_line_as_if_it_had_placed_them(start, clock, seen, unseen):
    one, other = _line(), _line()
    for n in range(seen):
        for line in (one, other):
            _place(line, AGENT, start + n & 0xFFFF, clock + 160 * n & 0xFFFFFFFF, n * 0.02)
    steps = one.offsets
    last = seen + unseen - 1
    ticks, at = clock + 160 * last & 0xFFFFFFFF, last * 0.02
    one.add_forwarded(unseen, 160 * unseen, ticks, at)
    assert one.follows(AGENT)
    assert one.offsets == steps
    assert one.last_placed == ((start + last) & 0xFFFF, ticks)
    assert (one.packets, one.octets) == (unseen, 160 * unseen)
    number = 101 + last + 1
    here = _place(one, AGENT, start + last + 1 & 0xFFFF, ticks + 160 & 0xFFFFFFFF, at + 0.02)
    assert here == (number & 0xFFFF, (1000 + 160 * (last + 1)) & 0xFFFFFFFF, False)
    assert _place(one, PHONE, 9, 9, at + 0.04) == (
        (number + 1) & 0xFFFF,
        (1000 + 160 * (last + 2)) & 0xFFFFFFFF,
        True,
    )


_STEPS = st.lists(
    st.tuples(
        st.sampled_from([AGENT, AGENT, AGENT, PHONE]),
        st.sampled_from([1, 1, 1, 1, 2, 0, -1, 60000]),
        st.sampled_from([160, 160, 160, 0, 8000, 8001, -160, 2**31]),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(_STEPS, st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_a_packet_changed_where_it_lies_is_the_one_that_would_be_made_anew(steps, sequence, timestamp):
    made, changed, now = RtpTimeline(7, 65530, 2**32 - 500), RtpTimeline(7, 65530, 2**32 - 500), 0.0
    for source, step, ticks, marker in steps:
        sequence, timestamp, now = (sequence + step) & 0xFFFF, (timestamp + ticks) & 0xFFFFFFFF, now + 0.02
        place = made.place(source, sequence, timestamp, now, 8000)
        packet = memoryview(bytearray(HEADER.pack(0x91, marker << 7, sequence, timestamp, 9) + b"speech"))
        before = bytes(packet)
        assert changed.stamp(packet, marker << 7, 8, source, sequence, timestamp, now, 8000, False) == (
            place is not None
        )
        if place is None:
            assert packet == before
        else:
            second = (marker or place[2]) << 7 | 8
            assert packet == HEADER.pack(0x91, second, place[0], place[1], 7) + b"speech"
