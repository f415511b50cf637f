"""DTMF: received as RFC 4733 events or by signalling, counted once, passed on and generated."""

import asyncio
import gc
from itertools import pairwise
from struct import pack

import pytest

from proxy.media.dtmf import EventReader, KeyQueue, PressMatcher
from proxy.media.stream import Stream
from tests.media.peer import SPEECH

ENDS = 0x80


def event(number: int, duration: int, *, ends: bool = False) -> bytes:
    return pack("!BBH", number, 10 | (ENDS if ends else 0), duration)


def presses(peer, number: int = 5, *, pt: int = 101, packets: int = 4, ends: int = 3) -> None:
    """Send one key press as RFC 4733 events: all its packets have one timestamp."""
    start = peer.timestamp
    for n in range(packets):
        payload = event(number, 160 * (n + 1))
        peer.send(peer.sequence, start, pt=pt, payload=payload, marker=n == 0)
        peer.sequence += 1
    for _ in range(ends):
        payload = event(number, 160 * (packets + 1), ends=True)
        peer.send(peer.sequence, start, pt=pt, payload=payload)
        peer.sequence += 1
    peer.timestamp += 160 * (packets + 1)


async def digits(session, leg: str) -> str:
    """The leg's key presses that nobody has read yet."""
    found = ""
    while True:
        try:
            async with asyncio.timeout(1.0):
                found += await session.digit(leg)
        except TimeoutError:
            return found


async def test_key_is_reported_once_for_all_its_packets_rfc4733_2_5_1_4(rig):
    caller = rig.incoming("caller")
    for number in (1, 1, 10, 11, 15):
        presses(caller, number)
    assert await digits(rig.session, "caller") == "11*#D"


async def test_pending_digit_call_returns_when_the_key_is_released(rig):
    phone = rig.outgoing("phone")
    waiting = asyncio.ensure_future(rig.session.digit("phone"))
    await phone.send_speech(3)
    assert not waiting.done()
    presses(phone, 1)
    assert await asyncio.wait_for(waiting, 0.001) == "1"


async def test_key_with_all_end_packets_lost_is_still_reported_rfc4733_2_5_2_2(rig):
    caller = rig.incoming("caller")
    presses(caller, 4, ends=0)
    async with asyncio.timeout(0.25):
        assert await rig.session.digit("caller") == "4"
    presses(caller, 6, ends=0)
    presses(caller, 7, ends=1)
    assert await digits(rig.session, "caller") == "67"


async def test_key_is_reported_from_its_end_packet_alone(rig):
    caller = rig.incoming("caller")
    presses(caller, 9, packets=0, ends=1)
    assert await digits(rig.session, "caller") == "9"


async def test_events_are_relayed_with_each_leg_s_payload_type(rig):
    caller = rig.incoming("caller", "0 96")
    phone = rig.outgoing("phone", "0 101")
    rig.session.join("caller", "phone")
    await caller.send_speech(2)
    presses(caller, 3, pt=96)
    await caller.send_speech(2)
    assert [packet.pt for packet in phone.heard] == [0, 0, *[101] * 7, 0, 0]
    keys = [packet for packet in phone.heard if packet.pt == 101]
    assert len({packet.timestamp for packet in keys}) == 1
    assert [packet.marker for packet in keys] == [True, *[False] * 6]
    assert await digits(rig.session, "caller") == "3"
    assert all(later.sequence - packet.sequence == 1 for packet, later in pairwise(phone.heard))


async def test_events_are_not_relayed_to_a_leg_without_them_but_reported_rfc4733_2_5_1(rig):
    caller = rig.incoming("caller")
    agent = rig.outgoing("agent", "0")
    rig.session.join("caller", "agent")
    await caller.send_speech(1)
    presses(caller, 2)
    await caller.send_speech(1)
    assert [packet.payload for packet in agent.heard] == [SPEECH, SPEECH]
    assert agent.heard[1].sequence - agent.heard[0].sequence == 1
    assert await digits(rig.session, "caller") == "2"


async def test_signalled_key_is_sent_as_rtp_event_rfc4733_2_5_1(rig):
    caller, phone = rig.incoming("caller"), rig.outgoing("phone", "0 96")
    rig.session.join("caller", "phone")
    talk = asyncio.ensure_future(caller.send_speech(40))
    await asyncio.sleep(0.1)
    rig.session.key_pressed("caller", "8", 0.16)
    await talk
    assert await digits(rig.session, "caller") == "8"
    keys = [packet for packet in phone.heard if packet.pt == 96]
    assert [packet.payload for packet in keys] == [
        *(event(8, 160 * n) for n in range(1, 8)), *[event(8, 1280, ends=True)] * 3
    ]  # fmt: skip
    assert [round(1000 * (later.at - packet.at)) for packet, later in pairwise(keys)] == [20] * 7 + [0, 0]
    assert [packet.marker for packet in keys] == [True] + [False] * 9
    assert len({packet.timestamp for packet in keys}) == 1
    assert [later.sequence - packet.sequence for packet, later in pairwise(phone.heard)] == [1] * (
        len(phone.heard) - 1
    )
    voices = [packet for packet in phone.heard if packet.pt == 0]
    assert all(later.timestamp >= packet.timestamp + 160 for packet, later in pairwise(voices))
    after = next(packet for packet in voices if packet.at > keys[-1].at)
    assert after.timestamp >= keys[0].timestamp + 1280


async def test_events_beside_opus_use_its_clock_and_pass_unchanged_rfc4733_2_1(rig):
    caller, phone = rig.incoming("caller", "107 100"), rig.outgoing("phone", "107 100")
    rig.session.join("caller", "phone")
    caller.send(1, 9600, pt=107, payload=b"opus")
    for n in range(4):
        caller.send(2 + n, 10560, pt=100, payload=event(5, 960 * (n + 1), ends=n == 3), marker=n == 0)
        await asyncio.sleep(0.02)
    assert await digits(rig.session, "caller") == "5"
    keys = [packet for packet in phone.heard if packet.pt == 100]
    assert [packet.payload for packet in keys] == [event(5, 960 * n, ends=n == 4) for n in range(1, 5)]
    assert {packet.timestamp - phone.heard[0].timestamp for packet in keys} == {960}


async def test_event_duration_is_converted_to_the_receiver_s_clock_rate(rig):
    caller, phone = rig.incoming("caller", "107 100"), rig.outgoing("phone", "107 101")
    rig.session.join("caller", "phone")
    for peer, number, payload in (
        (caller, 100, event(5, 4800, ends=True)), (phone, 101, event(7, 800, ends=True)),
        (phone, 101, b"\x07"),
    ):  # fmt: skip
        peer.send(peer.sequence, peer.timestamp, pt=number, payload=payload)
        peer.sequence += 1
        peer.timestamp += 4800
        await asyncio.sleep(0.1)
    assert [(packet.pt, packet.payload) for packet in phone.heard] == [(101, event(5, 800, ends=True))]
    assert [(packet.pt, packet.payload) for packet in caller.heard] == [
        (100, event(7, 4800, ends=True)),
        (100, b"\x07"),
    ]


@pytest.mark.parametrize(("seconds", "steps"), [(0.1, 5), (2.0, 68)])
async def test_signalled_key_beside_opus_has_durations_in_its_clock_rfc4733_2_1(rig, seconds, steps):
    rig.incoming("caller", "107 100")
    phone = rig.outgoing("phone", "107 100")
    rig.session.join("caller", "phone")
    rig.session.key_pressed("caller", "8", seconds)
    await asyncio.sleep(3.0)
    assert [packet.payload for packet in phone.heard] == [
        *(event(8, 960 * n) for n in range(1, steps)), *[event(8, 960 * steps, ends=True)] * 3
    ]  # fmt: skip


async def test_key_sent_in_rtp_and_then_signalled_counts_once(rig):
    """Some gear is set to send both; another key sent by signalling alone still counts."""
    caller, phone = rig.incoming("caller", "0 101"), rig.outgoing("phone", "0 96")
    rig.session.join("caller", "phone")
    presses(caller, 5)
    await asyncio.sleep(0.3)
    rig.session.key_pressed("caller", "5", 0.16)
    rig.session.key_pressed("caller", "7", 0.16)
    assert await digits(rig.session, "caller") == "57"
    await asyncio.sleep(2.5)
    assert len({(packet.timestamp, packet.payload[0]) for packet in phone.heard if packet.pt == 96}) == 2
    rig.session.key_pressed("caller", "5", 0.16)
    assert await digits(rig.session, "caller") == "5"


async def test_key_signalled_before_its_rtp_events_counts_once(rig):
    """INFO is sent when the key goes down; its first RTP packet is not yet due, or is lost."""
    caller, phone = rig.incoming("caller", "0 101"), rig.outgoing("phone", "0 96")
    rig.session.join("caller", "phone")
    await caller.send_speech(1)
    rig.session.key_pressed("caller", "5", 0.1)
    for _ in range(20):
        await asyncio.sleep(0.02)
        caller.send(caller.sequence, caller.timestamp, pt=101, payload=event(5, 800))
        caller.sequence += 1
    presses(caller, 5, packets=0)
    await caller.send_speech(2)
    assert await digits(rig.session, "caller") == "5"
    keys = [packet for packet in phone.heard if packet.pt == 96]
    assert len({(packet.timestamp, packet.payload[0]) for packet in keys}) == 1
    steps = [later.sequence - packet.sequence for packet, later in pairwise(phone.heard)]
    assert steps == [1] * (len(phone.heard) - 1)


@pytest.mark.parametrize("first", ["rtp", "signalling", "either"])
async def test_repeated_key_sent_both_ways_counts_once_per_press(rig, first):
    caller = rig.incoming("caller", "0 101")
    for n in range(6):
        if first == "rtp" or (first == "either" and n % 2):
            presses(caller, 5)
            await asyncio.sleep(0.01)
            rig.session.key_pressed("caller", "5", 0.1)
        else:
            rig.session.key_pressed("caller", "5", 0.1)
            presses(caller, 5)
        await asyncio.sleep(0.2)
    assert await digits(rig.session, "caller") == "555555"


async def test_rest_of_a_key_pressed_before_the_join_is_not_relayed_rfc4733_2_5_1_4(rig):
    """A key held down while the call is put through, or one whose three end packets come slowly."""
    caller, phone = rig.incoming("caller", "0 101"), rig.outgoing("phone", "0 96")
    await caller.send_speech(1)
    await phone.send_speech(1)
    for n in range(1, 5):
        phone.send(phone.sequence, phone.timestamp, pt=96, payload=event(1, 160 * n, ends=n > 2))
        phone.sequence += 1
        if n == 3:
            assert await rig.session.digit("phone") == "1"
            rig.session.join("caller", "phone")
        await asyncio.sleep(0.02)
    phone.timestamp += 640
    await phone.send_speech(1)
    presses(phone, 2, pt=96)
    assert await digits(rig.session, "phone") == "2"
    assert [packet.payload[0] for packet in caller.heard if packet.pt == 101] == [2] * 7
    steps = [later.sequence - packet.sequence for packet, later in pairwise(caller.heard)]
    assert steps == [1] * (len(caller.heard) - 1)


async def test_keys_signalled_together_are_sent_as_separate_events(rig):
    rig.incoming("caller")
    phone = rig.outgoing("phone")
    rig.session.join("caller", "phone")
    for key in "42#":
        rig.session.key_pressed("caller", key)
    await asyncio.sleep(2)
    starts = {packet.timestamp: packet.payload[0] for packet in phone.heard}
    assert list(starts.values()) == [4, 2, 11]
    marked = [packet.at for packet in phone.heard if packet.marker]
    assert [round(later - at, 2) for at, later in pairwise(marked)] == [0.2, 0.2]


@pytest.mark.parametrize("formats", ["0", "0 101"])
async def test_signalled_key_is_not_sent_to_a_leg_without_events_or_inactive(rig, formats):
    rig.incoming("caller")
    phone = rig.outgoing("phone", formats, "a=inactive" if formats != "0" else "a=sendrecv")
    rig.session.join("caller", "phone")
    rig.session.key_pressed("caller", "1")
    rig.session.key_pressed("nobody", "1")
    await asyncio.sleep(1)
    assert phone.heard == []


async def test_releasing_the_legs_during_a_key_press_stops_its_events(rig):
    caller, phone = rig.incoming("caller"), rig.outgoing("phone")
    rig.session.join("caller", "phone")
    rig.session.key_pressed("caller", "1")
    presses(caller, 5, ends=0)
    await asyncio.sleep(0.01)
    rig.session.release("phone")
    rig.session.release("caller")
    heard = len(phone.heard)
    await asyncio.sleep(1)
    assert len(phone.heard) == heard


async def test_keys_from_an_unlatched_source_are_ignored(rig):
    caller = rig.incoming("caller")
    await caller.send_speech(1)
    thief = rig.peer("thief")
    thief.remote = rig.session.address("caller")
    presses(thief, 1)
    assert await digits(rig.session, "caller") == ""


async def test_unread_keys_are_limited_to_the_latest_32():
    keys = KeyQueue()
    for n in range(100):
        keys.put(str(n % 10))
    assert keys.count == 100
    assert [await keys.next() for _ in range(32)] == [str(n % 10) for n in range(68, 100)]


@pytest.mark.parametrize(
    ("ways", "presses"),
    [
        ("RI", 1),
        ("IR", 1),
        ("RIRI", 2),
        ("RIIR", 2),
        ("RRII", 2),
        ("RII", 2),  # the second RTP event is lost
        ("IRR", 2),
        ("III", 3),
        ("R..I", 2),  # so far apart that they are two presses
    ],
)
async def test_rtp_and_signalled_reports_are_matched_in_any_order(ways, presses):
    matcher, results = PressMatcher(asyncio.get_running_loop().time), []
    for way in ways:
        if way == ".":
            await asyncio.sleep(1.1)
        else:
            results.append(matcher.is_new("5", in_rtp=way == "R"))
            await asyncio.sleep(0.05)
    assert results.count(True) == presses


class KeyRecorder:
    def __init__(self) -> None:
        self.keys: list[tuple[str, float]] = []
        loop = asyncio.get_running_loop()
        self.reader = EventReader(self._press, loop.time, PressMatcher(loop.time))
        self.source = object()

    def _press(self, key: str, seconds: float) -> None:
        self.keys.append((key, round(seconds, 3)))

    def receive(self, timestamp: int, payload: bytes) -> None:
        self.reader.heard(self.source, timestamp & 0xFFFFFFFF, payload)


async def test_long_key_in_several_segments_is_one_key_rfc4733_2_5_1_3():
    recorder = KeyRecorder()
    start = 2**32 - 70000
    for timestamp in (start, start + 0xFFFF, start + 2 * 0xFFFF):
        for duration in range(160, 0xFFFF, 160):
            recorder.receive(timestamp, event(1, duration))
    for _ in range(3):
        recorder.receive(start + 2 * 0xFFFF, event(1, 65440, ends=True))
    assert recorder.keys == [("1", round((2 * 0xFFFF + 65440) / 8000, 3))]


async def test_each_key_is_reported_with_its_own_duration():
    recorder = KeyRecorder()
    recorder.receive(1000, event(1, 8000, ends=True))
    recorder.receive(20000, event(2, 800, ends=True))
    assert recorder.keys == [("1", 1.0), ("2", 0.1)]


async def test_long_rtp_key_signalled_at_its_end_counts_once():
    matcher = PressMatcher(asyncio.get_running_loop().time)
    assert matcher.is_new("5", in_rtp=True)
    for _ in range(5):
        await asyncio.sleep(1)
        matcher.held("5")
    assert not matcher.is_new("5", in_rtp=False)


async def test_late_packets_of_earlier_keys_are_ignored(rig):
    recorder = KeyRecorder()
    recorder.receive(1000, event(1, 160, ends=True))
    recorder.receive(3000, event(2, 160, ends=True))
    recorder.receive(1000, event(1, 160, ends=True))
    recorder.receive(3000, event(2, 160))
    assert [key for key, _ in recorder.keys] == ["1", "2"]


async def test_keys_are_read_after_a_timestamp_jump_or_a_new_source():
    recorder = KeyRecorder()
    recorder.receive(2_000_000_000, event(1, 160, ends=True))
    recorder.receive(1000, event(2, 160, ends=True))
    recorder.source = object()
    recorder.receive(1000, event(3, 160, ends=True))
    assert [key for key, _ in recorder.keys] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "payload", [b"", b"\x01", b"\x01\x80\x00", event(16, 160, ends=True), event(255, 1, ends=True)]
)
async def test_malformed_or_non_dtmf_event_is_ignored_rfc4733_2_3(payload):
    recorder = KeyRecorder()
    recorder.receive(1000, payload)
    assert recorder.keys == []


async def test_key_whose_end_packet_arrives_first_is_reported_once():
    recorder = KeyRecorder()
    recorder.receive(1000, event(1, 480, ends=True))
    recorder.receive(1000, event(1, 160))
    recorder.receive(1000, event(1, 320))
    await asyncio.sleep(1)
    assert recorder.keys == [("1", 0.06)]


async def test_closed_session_leaves_no_reference_cycle_of_its_streams(rig):
    """No reference cycles: a closed session is freed without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        session = rig.new_session()
        for leg in ("caller", "phone"):
            session.accept(leg, rig.peer(leg).sdp())
        session.join("caller", "phone")
        session.key_pressed("caller", "1")
        await asyncio.sleep(1)
        session.close()
        del session
        assert [each for each in gc.get_objects() if isinstance(each, Stream)] == []
    finally:
        gc.enable()


async def test_joining_another_leg_drops_the_queued_keys_of_the_last(rig):
    """A peer's INFO may queue ninety seconds of keys, which hold back speech; a new join drops the queue."""
    caller, agent, phone = rig.incoming("caller"), rig.outgoing("agent"), rig.outgoing("phone")
    rig.session.join("caller", "agent")
    await caller.send_speech(1)
    for _ in range(100):
        rig.session.key_pressed("agent", "5", 3.0)
    rig.session.join("caller", "phone")
    await asyncio.sleep(3.3)  # the key being sent is completed
    await phone.send_speech(10)
    assert [packet.payload for packet in caller.heard].count(SPEECH) == 10
    assert agent.heard != []


async def test_flood_of_keys_keeps_the_latest_32_and_starts_few_timers_rfc4733_2_5(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    timers = len(asyncio.get_running_loop()._scheduled)
    for n in range(5000):
        payload = event(n % 256, 0xFFFF)
        caller.send(2000 + n, 1_000_000 + 160 * n, pt=101, payload=payload, marker=True)
        if n % 100 == 99:
            await asyncio.sleep(0.001)
    assert len(asyncio.get_running_loop()._scheduled) <= timers + 3  # RTCP reports, a key, this test
    await asyncio.sleep(1)
    assert (len(agent.heard), rig.session.counts("caller").dropped) == (5000, 0)
    assert len(await digits(rig.session, "caller")) == 32
