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
from tests.media.kernel.rig import ENOUGH, Rig, is_one_stream

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
async def test_kernel_forwards_both_streams_once_latched_without_a_gap(namespaces, six):
    with made.rig(namespaces, six=six) as rig:
        rig.agree()
        at_caller, at_phone = await rig.talk(40)
        assert rig.in_kernel() == (True, True)
        assert rig.forwarded("caller") > 30
        assert rig.forwarded("phone") > 30
        for heard, who in ((at_caller, "caller"), (at_phone, "phone")):
            assert is_one_stream(heard)
            assert {each.source for each in heard} == {(rig.edge[who], rig.port(who))}
            assert {each.payload for each in heard} == {bytes(range(160))}
            assert [each.marker for each in heard] == [True] + [False] * 39
            assert {b.timestamp - a.timestamp for a, b in pairwise(heard[5:])} == {160}
        counts = rig.session.counts("caller")
        assert (counts.packets_in, counts.packets_out, counts.lost, counts.dropped) == (40, 40, 0, 0)


@pytest.mark.parametrize("where", [("caller", "edge"), ("edge", "phone")], ids=["before us", "behind us"])
@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
async def test_forwarded_frames_have_correct_checksums_complete_or_partial(six, where):
    with Namespaces("sdks") as namespaces, made.rig(namespaces, six=six) as rig:
        rig.namespaces.sum_in_software(*where)
        if where[0] == "caller":  # else it would leave with the partial checksum it came with
            rig.namespaces.sum_in_software("edge", "phone")
        rig.agree()
        await rig.talk()
        with rig.namespaces.inside("phone"):
            cable = frames("edge")
        before = rig.forwarded("caller")
        rig.caller.send_speech(3)
        await rig.phone.receive(3)
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


async def test_telephone_event_goes_through_userspace_in_sequence_rfc4733(rig):
    rig.agree(phone="0 96")
    _, heard = await rig.talk()
    for _ in range(3):
        rig.caller.send_speech(2)
        heard += await rig.phone.receive(2)
        rig.caller.send_speech(1, pt=101, payload=EVENT)
        heard += await rig.phone.receive(1)
    rig.caller.send_speech(2)
    heard += await rig.phone.receive(2)
    assert [each.pt for each in heard[ENOUGH:]] == [0, 0, 96, 0, 0, 96, 0, 0, 96, 0, 0]
    assert is_one_stream(heard)
    assert rig.in_kernel()[0]
    assert rig.session.counts("caller").packets_in == ENOUGH + 11


async def test_kernel_forwarded_speech_never_overtakes_an_event_in_userspace(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.caller.send_speech(1)
    rig.caller.send_speech(1, pt=101, payload=EVENT)
    rig.caller.send_speech(2)  # userspace has not seen the key yet
    heard += await rig.phone.receive(4)
    assert [each.pt for each in heard[-4:]] == [0, 101, 0, 0]
    assert is_one_stream(heard)
    assert rig.session.counts("caller").lost == 0


async def test_event_dropped_for_a_peer_without_events_leaves_no_gap(rig):
    rig.agree(phone="0")
    _, heard = await rig.talk()
    for _ in range(3):
        rig.caller.send_speech(1, pt=101, payload=EVENT)
        while not (await _all_counted(rig, "caller")):
            pass
        rig.caller.send_speech(2)
        heard += await rig.phone.receive(2)
    assert is_one_stream(heard)
    assert rig.forwarded("caller") >= 6


async def _all_counted(rig: Rig, leg: str) -> bool:
    """Whether userspace has counted every packet that the leg sent."""
    await asyncio.sleep(0)
    sent = (rig.caller if leg == "caller" else rig.phone).sequence - 65000
    return rig.session.counts(leg).packets_in == sent


async def test_stranger_s_packets_are_dropped_and_counted(rig):
    rig.agree()
    _, heard = await rig.talk()
    stranger = rig.add_peer("caller", 0xAAAA)
    stranger.remote = rig.caller.remote
    stranger.sequence, stranger.timestamp = rig.caller.sequence, rig.caller.timestamp
    stranger.send_speech(20)
    while rig.session.counts("caller").dropped < 20:
        await asyncio.sleep(0)
    rig.caller.send_speech(2)
    heard += await rig.phone.receive(2)
    assert is_one_stream(heard)
    assert rig.session.counts("phone").packets_out == ENOUGH + 2
    assert rig.in_kernel() == (True, True)


async def test_hold_stops_kernel_forwarding_and_resume_restarts_it_rfc3264_8_4(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.session.accept("phone", rig.phone.sdp("a=sendonly"))
    assert rig.in_kernel() == (False, False)
    rig.caller.send_speech(10)
    while rig.session.counts("caller").packets_in < ENOUGH + 10:
        await asyncio.sleep(0)
    rig.session.accept("phone", rig.phone.sdp("a=sendrecv"))
    _, more = await rig.talk()
    assert is_one_stream([*heard, *more])
    assert rig.session.counts("phone").packets_out == 2 * ENOUGH
    assert rig.in_kernel() == (True, True)


async def test_peer_moving_by_reinvite_is_followed_rfc3264_8_3_1(rig):
    rig.agree()
    _, heard = await rig.talk()
    old, rig.phone = rig.phone, rig.add_peer("phone", 0xBBBB)
    rig.phone.remote = old.remote
    rig.session.accept("phone", rig.phone.sdp())
    _, more = await rig.talk()
    assert is_one_stream([*heard, *more])
    assert rig.in_kernel() == (True, True)
    before = rig.session.counts("caller").packets_out
    old.send_speech(5)
    rig.caller.send_speech(1)
    await rig.phone.receive(1)
    while rig.session.counts("phone").dropped < 5:
        await asyncio.sleep(0)
    assert rig.session.counts("caller").packets_out == before


async def test_sdp_address_takes_over_from_an_earlier_stranger(rig):
    rig.agree()
    stranger, real = rig.add_peer("phone", 0xCCCC), rig.phone
    stranger.remote, rig.phone = real.remote, stranger
    stranger.send_speech(1)
    await rig.caller.receive(1)
    await rig.talk()
    assert rig.in_kernel() == (True, True)
    rig.phone = real
    real.send_speech(1)
    await rig.caller.receive(1)
    _, at_real = await rig.talk()
    assert rig.in_kernel() == (True, True)
    assert len(at_real) == ENOUGH
    assert rig.forwarded("caller") > ENOUGH


async def test_late_sender_is_sent_to_at_its_source_not_its_sdp_address_rfc4961(rig):
    rig.agree()
    named, rig.phone = rig.phone, rig.add_peer("phone", 0xBBBB)
    rig.phone.remote = named.remote
    for _ in range(2 * ENOUGH):  # audio to the phone is forwarded before the phone sends any
        rig.caller.send_speech(1)
        await named.receive(1)
    assert rig.in_kernel() == (True, False)
    rig.phone.send_speech(1)
    await rig.caller.receive(1)
    _, heard = await rig.talk()
    assert is_one_stream(heard)
    assert named.received() == []


async def test_recorded_peer_that_rebinds_is_followed_by_the_forwarded_stream(rig, tmp_path):
    rig.agree()
    rig.session.record("caller", tmp_path / "heard.wav")
    at_caller, _ = await rig.talk()
    assert rig.in_kernel() == (False, True)
    old, rig.caller = rig.caller, rig.add_peer("caller", rig.caller.ssrc)
    rig.caller.remote = old.remote
    rig.caller.sequence, rig.caller.timestamp = old.sequence, old.timestamp
    await asyncio.sleep(0.25)  # a NAT rebinding: the old source falls silent
    more, _ = await rig.talk()
    assert is_one_stream([*at_caller, *more])
    assert old.received() == []


async def test_new_ssrc_continues_the_stream_and_returns_to_the_kernel_rfc3550_8_1(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.caller.ssrc, rig.caller.sequence, rig.caller.timestamp = 0xDDDD, 7, 7
    before = rig.forwarded("caller")
    _, more = await rig.talk(10)
    assert is_one_stream([*heard, *more])
    assert rig.forwarded("caller") > before + 5


async def test_played_clip_suspends_kernel_forwarding_and_returns_it(rig):
    rig.agree()
    heard, _ = await rig.talk()
    await asyncio.gather(rig.session.play("caller", beep()), _collect(rig.caller.receive(20), heard))
    assert rig.in_kernel() == (True, False)
    more, _ = await rig.talk()
    assert is_one_stream([*heard, *more])
    assert rig.in_kernel() == (True, True)


async def _collect(receiving, heard: list) -> None:
    heard += await receiving


async def test_ringback_suspends_kernel_forwarding_until_it_ends(rig):
    rig.agree()
    await rig.talk()
    rig.session.ringback("caller", True)
    assert not rig.in_kernel()[1]
    await rig.talk(10)
    assert not rig.in_kernel()[1]
    rig.session.ringback("caller", False)
    await rig.talk(60)
    assert rig.in_kernel() == (True, True)


async def test_recording_moves_the_stream_to_userspace_and_back(rig, tmp_path):
    rig.agree()
    await rig.talk()
    recording = rig.session.record("caller", tmp_path / "heard.wav")
    _, heard = await rig.talk(20)
    assert not rig.in_kernel()[0]
    assert is_one_stream(heard)
    assert recording.close() == pytest.approx(0.4, abs=0.05)
    with wave.open(str(tmp_path / "heard.wav")) as wav:
        assert wav.getnframes() > 0
    await rig.talk(60)
    assert rig.in_kernel()[0]


async def test_stereo_recording_moves_both_streams_to_userspace_and_back(rig, tmp_path):
    rig.agree()
    await rig.talk()
    recording = rig.session.record_both("caller", tmp_path / "both.wav")
    at_caller, at_phone = await rig.talk(60)
    assert rig.in_kernel() == (False, False)
    assert is_one_stream(at_caller)
    assert is_one_stream(at_phone)
    assert recording.close() == pytest.approx(1.2, abs=0.05)
    with wave.open(str(tmp_path / "both.wav")) as wav:
        assert wav.getnchannels() == 2
        samples = wav.readframes(wav.getnframes())
    left, right = samples[0::4] + samples[1::4], samples[2::4] + samples[3::4]
    assert any(left)
    assert any(right)
    await rig.talk(60)
    assert rig.in_kernel() == (True, True)


async def test_reserved_leg_is_sent_no_speech_until_it_is_free(rig):
    rig.agree()
    await rig.talk()
    rig.stream("phone").reserve(True)
    assert rig.in_kernel() == (False, True)
    rig.caller.send_speech(60)
    while rig.session.counts("caller").packets_in < ENOUGH + 60:
        await asyncio.sleep(0)
    assert rig.session.counts("phone").packets_out == ENOUGH
    rig.stream("phone").reserve(False)
    await rig.talk()
    assert rig.in_kernel() == (True, True)


async def test_pending_digit_call_gets_the_key_and_speech_stays_in_the_kernel_rfc4733(rig):
    rig.agree()
    _, heard = await rig.talk()
    waiting = asyncio.ensure_future(rig.session.digit("caller"))
    rig.caller.send_speech(1, pt=101, payload=EVENT)
    heard += await rig.phone.receive(1)
    rig.caller.send_speech(1, pt=101, payload=b"\x05\x8a\x01\x40")
    heard += await rig.phone.receive(1)
    assert await waiting == "5"
    rig.caller.send_speech(2)
    heard += await rig.phone.receive(2)
    assert is_one_stream(heard)
    assert rig.in_kernel() == (True, True)


async def test_signalled_key_suspends_kernel_forwarding_and_returns_it(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.session.key_pressed("caller", "5")
    assert rig.in_kernel() == (False, True)
    while rig.stream("phone")._sending_key:
        await asyncio.sleep(0.01)
    heard += rig.phone.received()
    assert heard[-1].pt == 101
    assert rig.in_kernel() == (False, True)
    _, more = await rig.talk()
    assert is_one_stream([*heard, *more])
    assert rig.in_kernel() == (True, True)


async def test_consecutive_signalled_keys_suspend_forwarding_until_the_last_ends(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.session.key_pressed("caller", "5")
    rig.session.key_pressed("caller", "6")
    while rig.stream("phone")._sending_key:
        await asyncio.sleep(0.005)
    rig.caller.send_speech(ENOUGH)  # in the pause between the two keys
    while len([each for each in heard if each.pt == 101]) < 14:
        rig.caller.send_speech(1)
        heard += rig.phone.received()
        await asyncio.sleep(0.02)
    while rig.stream("phone")._sending_key:
        await asyncio.sleep(0.005)
    heard += rig.phone.received()
    assert {each.payload[0] for each in heard if each.pt == 101} == {5, 6}
    assert is_one_stream(heard)
    await asyncio.sleep(0.15)
    _, more = await rig.talk(60)
    assert is_one_stream([*heard, *more])
    assert rig.in_kernel() == (True, True)


async def test_srtp_on_one_leg_keeps_streams_in_userspace_rfc3711(rig):
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
        assert (await rig.phone.receive(1))[0].payload == bytes(160)
        rig.phone.send_speech(1)
        await rig.caller.receive(1)
    assert rig.in_kernel() == (False, False)


async def test_transcoded_stream_stays_in_userspace(rig):
    rig.agree(caller="8", phone="0")
    for _ in range(60):
        rig.caller.send_speech(1, pt=8)
        await rig.phone.receive(1)
    assert not rig.in_kernel()[0]


async def test_loss_is_preserved_and_counted_rfc3550_a_3(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.caller.sequence += 3
    rig.caller.timestamp += 480
    rig.caller.send_speech(1)
    heard += await rig.phone.receive(1)
    assert (heard[-1].sequence - heard[-2].sequence) & 0xFFFF == 4
    assert heard[-1].timestamp - heard[-2].timestamp == 640
    assert rig.session.counts("caller").lost == 3


async def test_sequence_wraps_in_the_kernel_are_counted_and_continued(rig):
    rig.agree()
    _, heard = await rig.talk()
    before = rig.forwarded("caller")
    for _ in range(700):
        rig.caller.send_speech(100)
        heard = await rig.phone.receive(100)
    assert rig.forwarded("caller") == before + 70_000
    rig.caller.send_speech(1, pt=101, payload=EVENT)
    heard += await rig.phone.receive(1)
    rig.caller.send_speech(1)
    heard += await rig.phone.receive(1)
    assert is_one_stream(heard)
    counts = rig.session.counts("caller")
    assert (counts.packets_in, counts.lost) == (ENOUGH + 70_002, 0)


async def test_reordered_and_duplicate_packets_are_counted_separately_rfc3550_a_3(rig):
    rig.agree()
    await rig.talk()
    rig.caller.sequence += 1
    rig.caller.send_speech(2)
    heard = await rig.phone.receive(2)
    rig.caller.sequence -= 3
    rig.caller.send_speech(1)
    heard += await rig.phone.receive(1)
    rig.caller.send_speech(1)
    heard += await rig.phone.receive(1)
    assert [each.sequence - heard[0].sequence for each in heard] == [0, 1, -1, 0]
    came = rig.session.quality("caller").heard
    assert (came.lost, came.reordered, came.duplicates) == (0, 1, 1)


async def test_quality_includes_kernel_forwarded_packets(rig):
    rig.agree()
    await rig.talk()
    await asyncio.sleep(0.1)
    for _ in range(100):
        rig.caller.send_speech(1)
        await rig.phone.receive(1)
    assert rig.in_kernel()[0]
    quality = rig.session.quality("caller")
    assert quality.heard.packets == ENOUGH + 100
    assert 100 <= quality.heard.longest_gap_ms < 1000
    assert 10 < quality.heard.jitter_ms < 25  # packets of 20 ms are sent back to back
    assert quality.heard.mos is not None
    assert rig.session.quiet_s("caller") < 1


async def test_reports_include_kernel_forwarded_packets_rfc3550_6_4(rig):
    rig.agree()
    await rig.talk(20)
    assert rig.in_kernel() == (True, True)
    control = rig.add_peer("phone", 0, rig.phone.address[1] + 1)
    rig.stream("phone").report()
    report = (await control.receive(1))[0].packet
    _, kind, _, _, _, _, _, packets, octets = struct.unpack_from("!BBHIIIIII", report)
    assert (kind, packets, octets) == (200, 20, 20 * 160)
    source, _, highest = struct.unpack_from("!III", report, 28)
    assert (source, highest & 0xFFFF) == (0xBBBB, rig.phone.sequence - 1)


async def test_nat_rebinding_is_followed_once_the_old_source_is_silent(rig):
    rig.agree()
    _, heard = await rig.talk()
    moved = rig.add_peer("caller", rig.caller.ssrc)
    moved.remote, moved.sequence, moved.timestamp = (
        rig.caller.remote,
        rig.caller.sequence,
        rig.caller.timestamp,
    )
    before = rig.session.counts("caller").dropped
    moved.send_speech(1)  # too early: the old source is not silent yet
    while rig.session.counts("caller").dropped == before:
        await asyncio.sleep(0)
    assert rig.in_kernel() == (True, True)
    await asyncio.sleep(0.25)
    moved.sequence -= 1
    moved.timestamp -= 160
    rig.caller = moved
    _, more = await rig.talk()
    assert is_one_stream([*heard, *more])
    assert rig.in_kernel() == (True, True)


async def test_stream_the_kernel_cannot_forward_is_retried_only_later(rig):
    rig.agree()
    await rig.talk()
    extended = b"\xbe\xde\x00\x00" + bytes(160)
    for _ in range(20):
        rig.caller.send_speech(1, first=0x90, payload=extended)
        assert (await rig.phone.receive(1))[0].payload == extended
    assert rig.in_kernel() == (False, True)
    for _ in range(250):
        rig.caller.send_speech(1)
        await rig.phone.receive(1)
    assert rig.in_kernel() == (True, True)


async def test_route_change_moves_streams_to_userspace_and_back_to_the_kernel(rig):
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
    assert is_one_stream([*heard, *more, *most])
    assert rig.in_kernel() == (True, True)
    assert rig.forwarded("caller") > before


async def test_two_peers_on_this_host_are_forwarded_in_the_kernel(rig):
    rig.hosts = dict.fromkeys(rig.hosts, "127.0.0.1")
    rig.edge = dict.fromkeys(rig.edge, "127.0.0.1")
    with rig.namespaces.inside("edge"):
        rig.caller, rig.phone = (made.SocketPeer("127.0.0.1", ssrc) for ssrc in (1, 2))
    rig.agree()
    _, heard = await rig.talk(20)
    assert rig.in_kernel() == (True, True)
    assert rig.forwarded("caller") > 10
    assert is_one_stream(heard)
    rig.caller.close()
    rig.phone.close()


async def test_released_leg_is_no_longer_forwarded_to(rig):
    rig.agree()
    await rig.talk()
    rig.session.release("phone")
    before = rig.forwarded("caller")
    rig.caller.send_speech(3)
    while rig.session.counts("caller").packets_in < ENOUGH + 3:
        await asyncio.sleep(0)
    assert rig.forwarded("caller") == before
    assert rig.session.counts("phone").packets_out == ENOUGH


async def test_packets_queued_before_the_handover_are_delivered_in_order(rig):
    rig.agree()
    rig.caller.send_speech(100)
    heard = await rig.phone.receive(100)
    assert rig.in_kernel()[0]
    rig.caller.send_speech(3)
    heard += await rig.phone.receive(3)
    assert is_one_stream(heard)
    assert rig.forwarded("caller") == 3


async def test_last_relayed_at_includes_kernel_forwarded_packets(rig):
    rig.agree()
    await rig.talk()
    before = rig.stream("phone").last_relayed_at
    rig.caller.send_speech(1)
    await rig.phone.receive(1)
    assert rig.in_kernel()[0]
    assert rig.stream("phone").last_relayed_at > before
