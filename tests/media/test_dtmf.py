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


async def test_a_key_is_told_once_whatever_its_packets_rfc4733_2_5_1_4(rig):
    caller = rig.incoming("caller")
    for number in (1, 1, 10, 11, 15):
        presses(caller, number)
    assert await digits(rig.session, "caller") == "11*#D"


async def test_who_waits_for_a_key_gets_it_when_it_is_up(rig):
    phone = rig.outgoing("phone")
    waiting = asyncio.ensure_future(rig.session.digit("phone"))
    await phone.says(3)
    assert not waiting.done()
    presses(phone, 1)
    assert await asyncio.wait_for(waiting, 0.001) == "1"


async def test_a_key_whose_end_packets_are_all_lost_is_told_all_the_same_rfc4733_2_5_2_2(rig):
    caller = rig.incoming("caller")
    presses(caller, 4, ends=0)
    async with asyncio.timeout(0.25):
        assert await rig.session.digit("caller") == "4"
    presses(caller, 6, ends=0)
    presses(caller, 7, ends=1)
    assert await digits(rig.session, "caller") == "67"


async def test_a_key_of_which_only_the_end_arrives_is_told(rig):
    caller = rig.incoming("caller")
    presses(caller, 9, packets=0, ends=1)
    assert await digits(rig.session, "caller") == "9"


async def test_keys_keep_the_number_that_each_leg_gave_them(rig):
    caller = rig.incoming("caller", "0 96")
    phone = rig.outgoing("phone", "0 101")
    rig.session.join("caller", "phone")
    await caller.says(2)
    presses(caller, 3, pt=96)
    await caller.says(2)
    assert [packet.pt for packet in phone.heard] == [0, 0, *[101] * 7, 0, 0]
    keys = [packet for packet in phone.heard if packet.pt == 101]
    assert len({packet.timestamp for packet in keys}) == 1
    assert [packet.marker for packet in keys] == [True, *[False] * 6]
    assert await digits(rig.session, "caller") == "3"
    assert all(later.sequence - packet.sequence == 1 for packet, later in pairwise(phone.heard))


async def test_who_takes_no_events_hears_no_noise_of_them_and_the_key_is_told_rfc4733_2_5_1(rig):
    caller = rig.incoming("caller")
    agent = rig.outgoing("agent", "0")
    rig.session.join("caller", "agent")
    await caller.says(1)
    presses(caller, 2)
    await caller.says(1)
    assert [packet.payload for packet in agent.heard] == [SPEECH, SPEECH]
    assert agent.heard[1].sequence - agent.heard[0].sequence == 1
    assert await digits(rig.session, "caller") == "2"


async def test_a_key_told_by_signalling_is_pressed_in_rtp_rfc4733_2_5_1(rig):
    caller, phone = rig.incoming("caller"), rig.outgoing("phone", "0 96")
    rig.session.join("caller", "phone")
    talk = asyncio.ensure_future(caller.says(40))
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


async def test_beside_opus_keys_are_told_by_its_clock_and_pass_untouched_rfc4733_2_1(rig):
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


async def test_a_key_goes_on_by_the_clock_of_who_hears_it(rig):
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
async def test_a_key_told_by_signalling_is_pressed_by_the_clock_of_opus_rfc4733_2_1(rig, seconds, steps):
    rig.incoming("caller", "107 100")
    phone = rig.outgoing("phone", "107 100")
    rig.session.join("caller", "phone")
    rig.session.key_pressed("caller", "8", seconds)
    await asyncio.sleep(3.0)
    assert [packet.payload for packet in phone.heard] == [
        *(event(8, 960 * n) for n in range(1, steps)), *[event(8, 960 * steps, ends=True)] * 3
    ]  # fmt: skip


async def test_a_key_that_is_told_in_rtp_and_then_by_signalling_too_counts_once(rig):
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


async def test_a_key_that_signalling_tells_before_rtp_does_counts_once(rig):
    """INFO is sent when the key goes down; its first RTP packet is not yet due, or is lost."""
    caller, phone = rig.incoming("caller", "0 101"), rig.outgoing("phone", "0 96")
    rig.session.join("caller", "phone")
    await caller.says(1)
    rig.session.key_pressed("caller", "5", 0.1)
    for _ in range(20):
        await asyncio.sleep(0.02)
        caller.send(caller.sequence, caller.timestamp, pt=101, payload=event(5, 800))
        caller.sequence += 1
    presses(caller, 5, packets=0)
    await caller.says(2)
    assert await digits(rig.session, "caller") == "5"
    keys = [packet for packet in phone.heard if packet.pt == 96]
    assert len({(packet.timestamp, packet.payload[0]) for packet in keys}) == 1
    steps = [later.sequence - packet.sequence for packet, later in pairwise(phone.heard)]
    assert steps == [1] * (len(phone.heard) - 1)


@pytest.mark.parametrize("first", ["rtp", "signalling", "either"])
async def test_a_key_pressed_again_and_again_and_told_both_ways_counts_each_time(rig, first):
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


async def test_what_is_left_of_a_key_is_not_for_who_is_joined_by_it_rfc4733_2_5_1_4(rig):
    """A key held down while the call is put through, or one whose three end packets come slowly."""
    caller, phone = rig.incoming("caller", "0 101"), rig.outgoing("phone", "0 96")
    await caller.says(1)
    await phone.says(1)
    for n in range(1, 5):
        phone.send(phone.sequence, phone.timestamp, pt=96, payload=event(1, 160 * n, ends=n > 2))
        phone.sequence += 1
        if n == 3:
            assert await rig.session.digit("phone") == "1"
            rig.session.join("caller", "phone")
        await asyncio.sleep(0.02)
    phone.timestamp += 640
    await phone.says(1)
    presses(phone, 2, pt=96)
    assert await digits(rig.session, "phone") == "2"
    assert [packet.payload[0] for packet in caller.heard if packet.pt == 101] == [2] * 7
    steps = [later.sequence - packet.sequence for packet, later in pairwise(caller.heard)]
    assert steps == [1] * (len(caller.heard) - 1)


async def test_keys_pressed_fast_are_told_apart(rig):
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
async def test_a_key_told_by_signalling_is_not_sent_to_who_cannot_take_it(rig, formats):
    rig.incoming("caller")
    phone = rig.outgoing("phone", formats, "a=inactive" if formats != "0" else "a=sendrecv")
    rig.session.join("caller", "phone")
    rig.session.key_pressed("caller", "1")
    rig.session.key_pressed("nobody", "1")
    await asyncio.sleep(1)
    assert phone.heard == []


async def test_a_leg_that_goes_while_a_key_is_down_leaves_no_timer(rig):
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


async def test_a_strangers_keys_are_nobodys(rig):
    caller = rig.incoming("caller")
    await caller.says(1)
    thief = rig.peer("thief")
    thief.remote = rig.session.address("caller")
    presses(thief, 1)
    assert await digits(rig.session, "caller") == ""


async def test_of_keys_that_nobody_asks_for_the_latest_are_kept():
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
async def test_a_key_told_in_rtp_and_by_signalling_is_one_press_in_any_order(ways, presses):
    twins, told = PressMatcher(asyncio.get_running_loop().time), []
    for way in ways:
        if way == ".":
            await asyncio.sleep(1.1)
        else:
            told.append(twins.is_new("5", in_rtp=way == "R"))
            await asyncio.sleep(0.05)
    assert told.count(True) == presses


class Reading:
    def __init__(self) -> None:
        self.keys: list[tuple[str, float]] = []
        loop = asyncio.get_running_loop()
        self.reader = EventReader(self._press, loop.time, PressMatcher(loop.time))
        self.source = object()

    def _press(self, key: str, seconds: float) -> None:
        self.keys.append((key, round(seconds, 3)))

    def takes(self, timestamp: int, payload: bytes) -> None:
        self.reader.heard(self.source, timestamp & 0xFFFFFFFF, payload)


async def test_a_key_held_long_is_one_key_of_several_segments_rfc4733_2_5_1_3():
    reading = Reading()
    start = 2**32 - 70000
    for timestamp in (start, start + 0xFFFF, start + 2 * 0xFFFF):
        for duration in range(160, 0xFFFF, 160):
            reading.takes(timestamp, event(1, duration))
    for _ in range(3):
        reading.takes(start + 2 * 0xFFFF, event(1, 65440, ends=True))
    assert reading.keys == [("1", round((2 * 0xFFFF + 65440) / 8000, 3))]


async def test_each_key_is_as_long_as_itself_and_not_as_the_one_before():
    reading = Reading()
    reading.takes(1000, event(1, 8000, ends=True))
    reading.takes(20000, event(2, 800, ends=True))
    assert reading.keys == [("1", 1.0), ("2", 0.1)]


async def test_a_key_held_long_in_rtp_and_told_by_signalling_once_it_is_up_is_one_press():
    twins = PressMatcher(asyncio.get_running_loop().time)
    assert twins.is_new("5", in_rtp=True)
    for _ in range(5):
        await asyncio.sleep(1)
        twins.held("5")
    assert not twins.is_new("5", in_rtp=False)


async def test_late_packets_of_a_key_before_are_no_key(rig):
    reading = Reading()
    reading.takes(1000, event(1, 160, ends=True))
    reading.takes(3000, event(2, 160, ends=True))
    reading.takes(1000, event(1, 160, ends=True))
    reading.takes(3000, event(2, 160))
    assert [key for key, _ in reading.keys] == ["1", "2"]


async def test_a_sender_that_starts_anew_is_heard():
    reading = Reading()
    reading.takes(2_000_000_000, event(1, 160, ends=True))
    reading.takes(1000, event(2, 160, ends=True))
    reading.source = object()
    reading.takes(1000, event(3, 160, ends=True))
    assert [key for key, _ in reading.keys] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "payload", [b"", b"\x01", b"\x01\x80\x00", event(16, 160, ends=True), event(255, 1, ends=True)]
)
async def test_what_is_no_key_is_nothing_rfc4733_2_3(payload):
    reading = Reading()
    reading.takes(1000, payload)
    assert reading.keys == []


async def test_the_end_may_come_before_what_it_overtook():
    reading = Reading()
    reading.takes(1000, event(1, 480, ends=True))
    reading.takes(1000, event(1, 160))
    reading.takes(1000, event(1, 320))
    await asyncio.sleep(1)
    assert reading.keys == [("1", 0.06)]


async def test_a_stream_that_is_gone_is_known_to_none_of_its_parts(rig):
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


async def test_what_one_has_pressed_in_a_heap_does_not_deafen_who_is_joined_to_another_since(rig):
    """A peer's INFO may queue ninety seconds of keys, which hold back speech; a new join drops the queue."""
    caller, agent, phone = rig.incoming("caller"), rig.outgoing("agent"), rig.outgoing("phone")
    rig.session.join("caller", "agent")
    await caller.says(1)
    for _ in range(100):
        rig.session.key_pressed("agent", "5", 3.0)
    rig.session.join("caller", "phone")
    await asyncio.sleep(3.3)  # the key being sent is completed
    await phone.says(10)
    assert [packet.payload for packet in caller.heard].count(SPEECH) == 10
    assert agent.heard != []


async def test_thousands_of_keys_leave_the_last_few_and_one_timer_rfc4733_2_5(rig):
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
