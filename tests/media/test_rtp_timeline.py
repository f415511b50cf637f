"""Rewriting of RTP sequence numbers and timestamps so that the sources of a leg form one stream."""

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.media.rtp import HEADER
from proxy.media.rtp_timeline import RtpTimeline

AGENT, PHONE = object(), object()


def _timeline() -> RtpTimeline:
    return RtpTimeline(ssrc=7, sequence=100, timestamp=1000)


def _place(timeline, source, sequence, timestamp, now, event=False):
    return timeline.place(source, sequence, timestamp, now, rate=8000, event=event)


def test_first_packet_has_the_marker_and_follows_the_initial_numbers():
    assert _place(_timeline(), AGENT, 5, 5000, 1.0) == (101, 1000, True)


def test_loss_within_a_source_is_preserved():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, AGENT, 8, 5480, 1.06) == (104, 1480, False)


def test_reordering_within_a_source_is_preserved():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, AGENT, 7, 5320, 1.04) == (103, 1320, False)
    assert _place(timeline, AGENT, 6, 5160, 1.041) == (102, 1160, False)
    assert _place(timeline, AGENT, 8, 5480, 1.06) == (104, 1480, False)


def test_source_switch_continues_sequence_and_wall_clock_with_marker():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, PHONE, 60000, 4_000_000_000, 1.5) == (102, 5000, True)
    assert _place(timeline, PHONE, 60001, 4_000_000_160, 1.52) == (103, 5160, False)


def test_source_switch_within_a_packet_time_does_not_overlap_timestamps():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, PHONE, 9, 9, 1.001) == (102, 1160, True)


def test_packet_from_before_the_switch_is_dropped():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    _place(timeline, PHONE, 50, 900, 1.02)
    assert _place(timeline, PHONE, 49, 740, 1.03) is None
    assert _place(timeline, PHONE, 51, 1060, 1.04) == (103, 1320, False)


def test_switch_source_treats_the_same_source_as_new():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    timeline.switch_source()
    assert _place(timeline, AGENT, 505, 85000, 11.0) == (102, 81000, True)


def test_sequence_and_timestamp_wrap_in_both_directions():
    timeline = RtpTimeline(ssrc=7, sequence=0xFFFE, timestamp=0xFFFFFFFF)
    assert _place(timeline, AGENT, 0xFFFF, 0xFFFFFFF0, 1.0) == (0xFFFF, 0xFFFFFFFF, True)
    assert _place(timeline, AGENT, 0, 0x90, 1.02) == (0, 0x9F, False)
    assert _place(timeline, AGENT, 0xFFFF, 0xFFFFFFF0, 1.03) == (0xFFFF, 0xFFFFFFFF, False)


def test_telephone_event_keeps_its_start_timestamp_rfc4733_2_2():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, AGENT, 6, 5160, 1.02, event=True) == (102, 1160, False)
    assert _place(timeline, AGENT, 7, 5320, 1.03) == (103, 1320, False)
    assert _place(timeline, AGENT, 8, 5160, 1.04, event=True) == (104, 1160, False)
    assert _place(timeline, AGENT, 9, 5480, 1.05) == (105, 1480, False)


def test_backward_timestamp_jump_restarts_the_source():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, AGENT, 6, 100, 1.02) == (102, 1160, True)


def test_timestamp_jump_beyond_elapsed_time_restarts_the_source():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, AGENT, 6, 5000 + 2_000_000, 1.02) == (102, 1160, True)


def test_timestamp_gap_of_silence_suppression_is_kept():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, AGENT, 6, 5000 + 30 * 8000, 31.0) == (102, 1000 + 30 * 8000, False)


def test_large_sequence_jump_restarts_the_source_rfc3550_a_1():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    assert _place(timeline, AGENT, 20000, 5160, 1.02) == (102, 1160, True)


def test_skipped_packet_leaves_no_sequence_gap():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    timeline.skip(AGENT, 6)
    timeline.skip(PHONE, 7)
    assert _place(timeline, AGENT, 7, 5320, 1.04) == (102, 1320, False)


def test_skipped_packets_after_a_loss_leave_no_further_gap():
    timeline = _timeline()
    _place(timeline, AGENT, 5, 5000, 1.0)
    for sequence in range(7, 57):
        timeline.skip(AGENT, sequence)
    assert _place(timeline, AGENT, 57, 5000 + 52 * 160, 2.04) == (103, 1000 + 52 * 160, False)


def test_late_packet_beside_skipped_ones_reuses_no_sequence_number():
    timeline = _timeline()
    assert _place(timeline, AGENT, 5, 5000, 1.0) == (101, 1000, True)
    timeline.skip(AGENT, 7)
    assert _place(timeline, AGENT, 6, 5160, 1.02) is None
    assert _place(timeline, AGENT, 8, 5480, 1.04) == (103, 1480, False)
    assert _place(timeline, AGENT, 7, 5320, 1.05) is None


_PACKETS = st.lists(
    st.tuples(
        st.sampled_from([AGENT, PHONE]), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.booleans()
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(_PACKETS)
def test_any_input_gives_each_switch_the_next_sequence_number(packets):
    timeline, highest, now = RtpTimeline(1, 0, 0), 0, 0.0
    for source, sequence, timestamp, event in packets:
        now += 0.02
        place = timeline.place(source, sequence, timestamp, now, rate=8000, event=event)
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
def test_forwarded_packets_advance_the_timeline_like_placed_ones(start, clock, seen, unseen):
    one, other = _timeline(), _timeline()
    for n in range(seen):
        for timeline in (one, other):
            _place(timeline, AGENT, start + n & 0xFFFF, clock + 160 * n & 0xFFFFFFFF, n * 0.02)
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
def test_stamping_in_place_gives_the_same_packet_as_placing(steps, sequence, timestamp):
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
