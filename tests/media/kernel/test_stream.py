"""Kernel-forwarded calls, end to end: real packets over veth pairs between network namespaces."""

import asyncio
import struct
import wave
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest

from proxy.media.rtp import HEADER
from proxy.media.sdes import AES_CM_128_80, Crypto
from proxy.media.srtp import sender
from proxy.media.tones import beep
from tests.media.kernel import rig as made
from tests.media.kernel.able import needs_kernel
from tests.media.kernel.frames import decode
from tests.media.kernel.namespaces import Namespaces, frames
from tests.media.kernel.rig import ENOUGH, Rig, one_line

pytestmark = [pytest.mark.network, needs_kernel]

EVENT = b"\x05\x0a\x00\xa0"


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Namespaces]:
    with Namespaces("sdkr") as namespaces:
        yield namespaces


@pytest.fixture
async def rig(namespaces) -> AsyncIterator[Rig]:
    with made.rig(namespaces) as each:
        yield each


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
async def test_once_both_are_latched_the_kernel_forwards_and_nothing_is_to_be_heard_of_it(namespaces, six):
    with made.rig(namespaces, six=six) as rig:
        rig.agree()
        at_caller, at_phone = await rig.talk(40)
        assert rig.in_kernel() == (True, True)
        assert rig.forwarded("caller") > 30
        assert rig.forwarded("phone") > 30
        for heard, who in ((at_caller, "caller"), (at_phone, "phone")):
            assert one_line(heard)
            assert {each.source for each in heard} == {(rig.edge[who], rig.port(who))}
            assert {each.payload for each in heard} == {bytes(range(160))}
            assert [each.marker for each in heard] == [True] + [False] * 39
            assert {b.timestamp - a.timestamp for a, b in pairwise(heard[5:])} == {160}
        counts = rig.session.counts("caller")
        assert (counts.packets_in, counts.packets_out, counts.lost, counts.dropped) == (40, 40, 0, 0)


@pytest.mark.parametrize("where", [("caller", "edge"), ("edge", "phone")], ids=["before us", "behind us"])
@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
async def test_checksums_on_the_cable_are_right_finished_or_half(six, where):
    with Namespaces("sdks") as namespaces, made.rig(namespaces, six=six) as rig:
        rig.namespaces.sum_in_software(*where)
        if where[0] == "caller":  # else it would leave with the partial checksum it came with
            rig.namespaces.sum_in_software("edge", "phone")
        rig.agree()
        await rig.talk()
        with rig.namespaces.inside("phone"):
            cable = frames("edge")
        before = rig.forwarded("caller")
        rig.caller.says(3)
        await rig.phone.hears(3)
        assert rig.forwarded("caller") == before + 3
        with cable:
            seen = [decode(frame) for frame in _all(cable) if len(frame) > 200]
        assert [(each.source, each.to) for each in seen] == [
            ((rig.edge["phone"], rig.port("phone")), rig.phone.address)
        ] * 3


def _all(cable) -> list[bytes]:
    frames = []
    while True:
        try:
            frames.append(cable.recv(2048))
        except BlockingIOError:
            return frames


async def test_a_key_goes_through_userspace_and_the_numbers_stay_in_line_rfc4733(rig):
    rig.agree(phone="0 96")
    _, heard = await rig.talk()
    for _ in range(3):
        rig.caller.says(2)
        heard += await rig.phone.hears(2)
        rig.caller.says(1, pt=101, payload=EVENT)
        heard += await rig.phone.hears(1)
    rig.caller.says(2)
    heard += await rig.phone.hears(2)
    assert [each.pt for each in heard[ENOUGH:]] == [0, 0, 96, 0, 0, 96, 0, 0, 96, 0, 0]
    assert one_line(heard)
    assert rig.in_kernel()[0]
    assert rig.session.counts("caller").packets_in == ENOUGH + 11


async def test_speech_in_the_kernel_never_overtakes_a_key_in_userspace(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.caller.says(1)
    rig.caller.says(1, pt=101, payload=EVENT)
    rig.caller.says(2)  # userspace has not seen the key yet
    heard += await rig.phone.hears(4)
    assert [each.pt for each in heard[-4:]] == [0, 101, 0, 0]
    assert one_line(heard)
    assert rig.session.counts("caller").lost == 0


async def test_a_key_that_the_other_does_not_take_is_no_loss(rig):
    rig.agree(phone="0")
    _, heard = await rig.talk()
    for _ in range(3):
        rig.caller.says(1, pt=101, payload=EVENT)
        while not (await _seen(rig, "caller")):
            pass
        rig.caller.says(2)
        heard += await rig.phone.hears(2)
    assert one_line(heard)
    assert rig.forwarded("caller") >= 6


async def _seen(rig: Rig, leg: str) -> bool:
    """Whether userspace has counted every packet that the leg sent."""
    await asyncio.sleep(0)
    said = (rig.caller if leg == "caller" else rig.phone).sequence - 65000
    return rig.session.counts(leg).packets_in == said


async def test_a_strangers_packets_go_nowhere_and_are_counted(rig):
    rig.agree()
    _, heard = await rig.talk()
    stranger = rig.far("caller", 0xAAAA)
    stranger.remote = rig.caller.remote
    stranger.sequence, stranger.timestamp = rig.caller.sequence, rig.caller.timestamp
    stranger.says(20)
    while rig.session.counts("caller").dropped < 20:
        await asyncio.sleep(0)
    rig.caller.says(2)
    heard += await rig.phone.hears(2)
    assert one_line(heard)
    assert rig.session.counts("phone").packets_out == ENOUGH + 2
    assert rig.in_kernel() == (True, True)


async def test_hold_stops_the_kernel_and_resume_lets_it_go_on_rfc3264_8_4(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.session.accept("phone", rig.phone.sdp("a=sendonly"))
    assert rig.in_kernel() == (False, False)
    rig.caller.says(10)
    while rig.session.counts("caller").packets_in < ENOUGH + 10:
        await asyncio.sleep(0)
    rig.session.accept("phone", rig.phone.sdp("a=sendrecv"))
    _, more = await rig.talk()
    assert one_line([*heard, *more])
    assert rig.session.counts("phone").packets_out == 2 * ENOUGH
    assert rig.in_kernel() == (True, True)


async def test_a_peer_that_moves_by_reinvite_is_followed_rfc3264_8_3_1(rig):
    rig.agree()
    _, heard = await rig.talk()
    old, rig.phone = rig.phone, rig.far("phone", 0xBBBB)
    rig.phone.remote = old.remote
    rig.session.accept("phone", rig.phone.sdp())
    _, more = await rig.talk()
    assert one_line([*heard, *more])
    assert rig.in_kernel() == (True, True)
    before = rig.session.counts("caller").packets_out
    old.says(5)
    rig.caller.says(1)
    await rig.phone.hears(1)
    while rig.session.counts("phone").dropped < 5:
        await asyncio.sleep(0)
    assert rig.session.counts("caller").packets_out == before


async def test_the_address_of_the_sdp_takes_the_stream_from_a_faster_stranger(rig):
    rig.agree()
    stranger, real = rig.far("phone", 0xCCCC), rig.phone
    stranger.remote, rig.phone = real.remote, stranger
    stranger.says(1)
    await rig.caller.hears(1)
    await rig.talk()
    assert rig.in_kernel() == (True, True)
    rig.phone = real
    real.says(1)
    await rig.caller.hears(1)
    _, at_real = await rig.talk()
    assert rig.in_kernel() == (True, True)
    assert len(at_real) == ENOUGH
    assert rig.forwarded("caller") > ENOUGH


async def test_a_phone_that_speaks_late_is_spoken_to_where_it_is_and_not_where_its_sdp_says_rfc4961(rig):
    rig.agree()
    named, rig.phone = rig.phone, rig.far("phone", 0xBBBB)
    rig.phone.remote = named.remote
    for _ in range(2 * ENOUGH):  # audio to the phone is forwarded before the phone sends any
        rig.caller.says(1)
        await named.hears(1)
    assert rig.in_kernel() == (True, False)
    rig.phone.says(1)
    await rig.caller.hears(1)
    _, heard = await rig.talk()
    assert one_line(heard)
    assert named.has_heard() == []


async def test_a_peer_that_is_recorded_and_moves_is_followed_by_what_the_kernel_sends_it(rig, tmp_path):
    rig.agree()
    rig.session.record("caller", tmp_path / "heard.wav")
    at_caller, _ = await rig.talk()
    assert rig.in_kernel() == (False, True)
    old, rig.caller = rig.caller, rig.far("caller", rig.caller.ssrc)
    rig.caller.remote = old.remote
    rig.caller.sequence, rig.caller.timestamp = old.sequence, old.timestamp
    await asyncio.sleep(0.25)  # a NAT rebinding: the old source falls silent
    more, _ = await rig.talk()
    assert one_line([*at_caller, *more])
    assert old.has_heard() == []


async def test_a_new_ssrc_continues_the_line_and_is_handed_over_again_rfc3550_8_1(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.caller.ssrc, rig.caller.sequence, rig.caller.timestamp = 0xDDDD, 7, 7
    before = rig.forwarded("caller")
    _, more = await rig.talk(10)
    assert one_line([*heard, *more])
    assert rig.forwarded("caller") > before + 5


async def test_a_sound_of_our_own_takes_the_line_and_gives_it_back(rig):
    rig.agree()
    heard, _ = await rig.talk()
    await asyncio.gather(rig.session.play("caller", beep()), _keep(rig.caller.hears(20), heard))
    assert rig.in_kernel() == (True, False)
    more, _ = await rig.talk()
    assert one_line([*heard, *more])
    assert rig.in_kernel() == (True, True)


async def _keep(hears, heard: list) -> None:
    heard += await hears


async def test_ringback_while_the_kernel_forwards_is_never_heard_in_between(rig):
    rig.agree()
    await rig.talk()
    rig.session.ringback("caller", True)
    assert not rig.in_kernel()[1]
    await rig.talk(10)
    assert not rig.in_kernel()[1]
    rig.session.ringback("caller", False)
    await rig.talk(60)
    assert rig.in_kernel() == (True, True)


async def test_a_recording_has_every_packet_from_its_first(rig, tmp_path):
    rig.agree()
    await rig.talk()
    recording = rig.session.record("caller", tmp_path / "heard.wav")
    _, heard = await rig.talk(20)
    assert not rig.in_kernel()[0]
    assert one_line(heard)
    assert recording.close() == pytest.approx(0.4, abs=0.05)
    with wave.open(str(tmp_path / "heard.wav")) as wav:
        assert wav.getnframes() > 0
    await rig.talk(60)
    assert rig.in_kernel()[0]


async def test_a_recording_of_both_has_what_the_leg_hears_too_and_gives_both_back(rig, tmp_path):
    rig.agree()
    await rig.talk()
    recording = rig.session.record_both("caller", tmp_path / "both.wav")
    at_caller, at_phone = await rig.talk(60)
    assert rig.in_kernel() == (False, False)
    assert one_line(at_caller)
    assert one_line(at_phone)
    assert recording.close() == pytest.approx(1.2, abs=0.05)
    with wave.open(str(tmp_path / "both.wav")) as wav:
        assert wav.getnchannels() == 2
        samples = wav.readframes(wav.getnframes())
    left, right = samples[0::4] + samples[1::4], samples[2::4] + samples[3::4]
    assert any(left)
    assert any(right)
    await rig.talk(60)
    assert rig.in_kernel() == (True, True)


async def test_a_leg_that_is_played_a_clip_hears_nobody_meanwhile_even_if_it_cannot_be_played_it(rig):
    rig.agree()
    await rig.talk()
    rig.stream("phone").reserve(True)
    assert rig.in_kernel() == (False, True)
    rig.caller.says(60)
    while rig.session.counts("caller").packets_in < ENOUGH + 60:
        await asyncio.sleep(0)
    assert rig.session.counts("phone").packets_out == ENOUGH
    rig.stream("phone").reserve(False)
    await rig.talk()
    assert rig.in_kernel() == (True, True)


async def test_a_key_is_told_to_whoever_waits_for_it_and_speech_stays_in_the_kernel_rfc4733(rig):
    rig.agree()
    _, heard = await rig.talk()
    waiting = asyncio.ensure_future(rig.session.digit("caller"))
    rig.caller.says(1, pt=101, payload=EVENT)
    heard += await rig.phone.hears(1)
    rig.caller.says(1, pt=101, payload=b"\x05\x8a\x01\x40")
    heard += await rig.phone.hears(1)
    assert await waiting == "5"
    rig.caller.says(2)
    heard += await rig.phone.hears(2)
    assert one_line(heard)
    assert rig.in_kernel() == (True, True)


async def test_a_key_told_by_signalling_takes_the_line_and_gives_it_back(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.session.key_pressed("caller", "5")
    assert rig.in_kernel() == (False, True)
    while rig.stream("phone")._sending_key:
        await asyncio.sleep(0.01)
    heard += rig.phone.has_heard()
    assert heard[-1].pt == 101
    assert rig.in_kernel() == (False, True)
    _, more = await rig.talk()
    assert one_line([*heard, *more])
    assert rig.in_kernel() == (True, True)


async def test_keys_told_one_after_another_keep_the_line_until_the_last_is_up(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.session.key_pressed("caller", "5")
    rig.session.key_pressed("caller", "6")
    while rig.stream("phone")._sending_key:
        await asyncio.sleep(0.005)
    rig.caller.says(ENOUGH)  # in the pause between the two keys
    while len([each for each in heard if each.pt == 101]) < 14:
        rig.caller.says(1)
        heard += rig.phone.has_heard()
        await asyncio.sleep(0.02)
    while rig.stream("phone")._sending_key:
        await asyncio.sleep(0.005)
    heard += rig.phone.has_heard()
    assert {each.payload[0] for each in heard if each.pt == 101} == {5, 6}
    assert one_line(heard)
    await asyncio.sleep(0.15)
    _, more = await rig.talk(60)
    assert one_line([*heard, *more])
    assert rig.in_kernel() == (True, True)


async def test_what_is_enciphered_on_one_leg_stays_in_userspace_rfc3711(rig):
    key = Crypto(1, AES_CM_128_80, bytes(range(30)))
    plain = rig.caller.sdp().decode()
    offer = plain.replace("RTP/AVP", "RTP/SAVP") + f"{key.line}\r\n"
    with rig.namespaces.inside("edge"):
        rig.session.accept("caller", offer.encode())
        rig.session.offer("phone")
    rig.session.answered("phone", rig.phone.sdp())
    rig.session.join("caller", "phone")
    rig.caller.remote, rig.phone.remote = ((rig.edge[who], rig.port(who)) for who in ("caller", "phone"))
    sealing = sender(key)
    for n in range(1, 60):
        sealed = sealing.protect(HEADER.pack(0x80, 0, n, n * 160, 7) + bytes(160))
        assert sealed is not None
        rig.caller.raw(sealed)
        assert (await rig.phone.hears(1))[0].payload == bytes(160)
        rig.phone.says(1)
        await rig.caller.hears(1)
    assert rig.in_kernel() == (False, False)


async def test_what_must_be_translated_stays_in_userspace(rig):
    rig.agree(caller="8", phone="0")
    for _ in range(60):
        rig.caller.says(1, pt=8)
        await rig.phone.hears(1)
    assert not rig.in_kernel()[0]


async def test_loss_stays_loss_and_is_counted_rfc3550_a_3(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.caller.sequence += 3
    rig.caller.timestamp += 480
    rig.caller.says(1)
    heard += await rig.phone.hears(1)
    assert (heard[-1].sequence - heard[-2].sequence) & 0xFFFF == 4
    assert heard[-1].timestamp - heard[-2].timestamp == 640
    assert rig.session.counts("caller").lost == 3


async def test_a_long_time_in_the_kernel_is_caught_up_with_however_often_numbers_wrapped(rig):
    rig.agree()
    _, heard = await rig.talk()
    before = rig.forwarded("caller")
    for _ in range(700):
        rig.caller.says(100)
        heard = await rig.phone.hears(100)
    assert rig.forwarded("caller") == before + 70_000
    rig.caller.says(1, pt=101, payload=EVENT)
    heard += await rig.phone.hears(1)
    rig.caller.says(1)
    heard += await rig.phone.hears(1)
    assert one_line(heard)
    counts = rig.session.counts("caller")
    assert (counts.packets_in, counts.lost) == (ENOUGH + 70_002, 0)


async def test_what_comes_late_is_told_from_what_comes_twice_rfc3550_a_3(rig):
    rig.agree()
    await rig.talk()
    rig.caller.sequence += 1
    rig.caller.says(2)
    heard = await rig.phone.hears(2)
    rig.caller.sequence -= 3
    rig.caller.says(1)
    heard += await rig.phone.hears(1)
    rig.caller.says(1)
    heard += await rig.phone.hears(1)
    assert [each.sequence - heard[0].sequence for each in heard] == [0, 1, -1, 0]
    came = rig.session.quality("caller").heard
    assert (came.lost, came.reordered, came.duplicates) == (0, 1, 1)


async def test_quality_is_known_of_what_the_kernel_forwards(rig):
    rig.agree()
    await rig.talk()
    await asyncio.sleep(0.1)
    for _ in range(100):
        rig.caller.says(1)
        await rig.phone.hears(1)
    assert rig.in_kernel()[0]
    quality = rig.session.quality("caller")
    assert quality.heard.packets == ENOUGH + 100
    assert 100 <= quality.heard.longest_gap_ms < 1000
    assert 10 < quality.heard.jitter_ms < 25  # packets of 20 ms are sent back to back
    assert quality.heard.mos is not None
    assert rig.session.quiet_s("caller") < 1


async def test_reports_tell_of_what_the_kernel_forwarded_rfc3550_6_4(rig):
    rig.agree()
    await rig.talk(20)
    assert rig.in_kernel() == (True, True)
    control = rig.far("phone", 0, rig.phone.address[1] + 1)
    rig.stream("phone").report()
    report = (await control.hears(1))[0].packet
    _, kind, _, _, _, _, _, packets, octets = struct.unpack_from("!BBHIIIIII", report)
    assert (kind, packets, octets) == (200, 20, 20 * 160)
    source, _, highest = struct.unpack_from("!III", report, 28)
    assert (source, highest & 0xFFFF) == (0xBBBB, rig.phone.sequence - 1)


async def test_a_peer_whose_nat_gave_it_another_port_is_followed_once_the_old_one_is_silent(rig):
    rig.agree()
    _, heard = await rig.talk()
    moved = rig.far("caller", rig.caller.ssrc)
    moved.remote, moved.sequence, moved.timestamp = (
        rig.caller.remote,
        rig.caller.sequence,
        rig.caller.timestamp,
    )
    before = rig.session.counts("caller").dropped
    moved.says(1)  # too early: the old source is not silent yet
    while rig.session.counts("caller").dropped == before:
        await asyncio.sleep(0)
    assert rig.in_kernel() == (True, True)
    await asyncio.sleep(0.25)
    moved.sequence -= 1
    moved.timestamp -= 160
    rig.caller = moved
    _, more = await rig.talk()
    assert one_line([*heard, *more])
    assert rig.in_kernel() == (True, True)


async def test_a_stream_that_the_kernel_never_takes_is_left_alone_for_a_while(rig):
    rig.agree()
    await rig.talk()
    extended = b"\xbe\xde\x00\x00" + bytes(160)
    for _ in range(20):
        rig.caller.says(1, first=0x90, payload=extended)
        assert (await rig.phone.hears(1))[0].payload == extended
    assert rig.in_kernel() == (False, True)
    for _ in range(250):
        rig.caller.says(1)
        await rig.phone.hears(1)
    assert rig.in_kernel() == (True, True)


async def test_a_route_that_changes_brings_every_stream_back_and_it_finds_its_new_way(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.namespaces.ip("edge", "route", "add", "203.0.113.0/24", "via", rig.hosts["phone"])
    await asyncio.sleep(0)
    before = rig.forwarded("caller")
    while rig.forwarder._live:
        await asyncio.sleep(0)
    _, more = await rig.talk(1)
    assert rig.forwarded("caller") == before
    _, most = await rig.talk()
    assert one_line([*heard, *more, *most])
    assert rig.in_kernel() == (True, True)
    assert rig.forwarded("caller") > before


async def test_two_peers_on_this_machine_are_forwarded_without_leaving_it(rig):
    rig.hosts = dict.fromkeys(rig.hosts, "127.0.0.1")
    rig.edge = dict.fromkeys(rig.edge, "127.0.0.1")
    with rig.namespaces.inside("edge"):
        rig.caller, rig.phone = (made.SocketPeer("127.0.0.1", ssrc) for ssrc in (1, 2))
    rig.agree()
    _, heard = await rig.talk(20)
    assert rig.in_kernel() == (True, True)
    assert rig.forwarded("caller") > 10
    assert one_line(heard)
    rig.caller.close()
    rig.phone.close()


async def test_a_leg_that_is_released_is_forwarded_no_more(rig):
    rig.agree()
    await rig.talk()
    rig.session.release("phone")
    before = rig.forwarded("caller")
    rig.caller.says(3)
    while rig.session.counts("caller").packets_in < ENOUGH + 3:
        await asyncio.sleep(0)
    assert rig.forwarded("caller") == before
    assert rig.session.counts("phone").packets_out == ENOUGH


async def test_a_queue_before_the_handover_is_heard_in_order_and_keeps_no_stream_from_it(rig):
    rig.agree()
    rig.caller.says(100)
    heard = await rig.phone.hears(100)
    assert rig.in_kernel()[0]
    rig.caller.says(3)
    heard += await rig.phone.hears(3)
    assert one_line(heard)
    assert rig.forwarded("caller") == 3


async def test_who_asks_when_a_leg_was_last_fed_hears_of_what_the_kernel_sent_it(rig):
    rig.agree()
    await rig.talk()
    before = rig.stream("phone").last_relayed_at
    rig.caller.says(1)
    await rig.phone.hears(1)
    assert rig.in_kernel()[0]
    assert rig.stream("phone").last_relayed_at > before
