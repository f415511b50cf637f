"""The relay session: SDP, joins, transcoding, hold, early media, recording and IP versions."""

import asyncio
import wave
from itertools import pairwise

import pytest

from proxy.media.engine import MediaEngine
from proxy.media.g711 import planes
from proxy.media.interface import Counts, MediaRefused, MediaSession
from proxy.media.ports import NoPortFree
from proxy.media.rtp import HEADER
from proxy.media.session import RelaySession
from proxy.media.tones import beep
from tests.media.peer import PUBLIC, SPEECH, Peer, Rig, counting


def _origin(sdp: bytes) -> list[str]:
    return sdp.decode().split("\r\n")[1].split()


def _media_line(sdp: bytes) -> str:
    return next(line for line in sdp.decode().split("\r\n") if line.startswith("m="))


async def test_relay_is_a_media_session(rig):
    session: MediaSession = rig.session
    assert session.counts("caller") == Counts()


async def test_our_offer_contains_nothing_of_the_caller_s_sdp(rig):
    rig.incoming("caller")
    offer = rig.session.offer("agent")
    assert f"c=IN IP4 {PUBLIC}".encode() in offer
    assert _media_line(offer) == "m=audio 20002 RTP/AVP 0 8 101"
    for foreign in (b"192.0.2.99", b"198.51.100", b"secret", b"them", b"4711"):
        assert foreign not in offer


async def test_reoffer_keeps_origin_and_port_and_increases_the_version_rfc3264_8(rig):
    first, second = rig.session.offer("agent"), rig.session.offer("agent")
    assert _origin(second)[:2] == _origin(first)[:2]
    assert int(_origin(second)[2]) == int(_origin(first)[2]) + 1
    assert _media_line(second) == _media_line(first)


async def test_repeat_sdp_returns_our_last_sdp_unchanged_rfc4028_7_4(rig):
    assert rig.session.repeat_sdp("agent") == rig.session.repeat_sdp("agent")
    caller = rig.peer("caller")
    answer = rig.session.accept("caller", caller.sdp("0 8 101", "a=sendonly"))
    assert rig.session.repeat_sdp("caller") == answer
    rig.session.answered("caller", caller.sdp("0 8 101", "a=sendonly"))
    assert rig.session.repeat_sdp("caller") == answer


async def test_repeated_offer_gets_the_same_answer_rfc3264_8(rig):
    peer = rig.peer("caller")
    first = rig.session.accept("caller", peer.sdp())
    assert rig.session.accept("caller", peer.sdp()) == first
    held = rig.session.accept("caller", peer.sdp("0 8 101", "a=sendonly"))
    assert b"a=recvonly\r\n" in held
    assert int(_origin(held)[2]) == int(_origin(first)[2]) + 1


async def test_each_leg_has_its_own_origin(rig):
    rig.incoming("caller")
    assert _origin(rig.session.offer("agent"))[1] != _origin(rig.session.offer("phone"))[1]


async def test_joined_legs_are_relayed_to_each_other(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await asyncio.gather(caller.send_speech(5), agent.send_speech(5))
    assert [packet.payload for packet in agent.heard] == [bytes(range(160))] * 5
    assert len(caller.heard) == 5
    assert {packet.source for packet in agent.heard} == {rig.session.address("agent")}
    assert rig.session.counts("caller") == Counts(packets_in=5, packets_out=5)


async def test_no_audio_is_relayed_before_a_join_or_after_a_part(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    await caller.send_speech(2)
    rig.session.join("caller", "agent")
    await caller.send_speech(2)
    rig.session.part("agent")
    rig.session.part("agent")
    await caller.send_speech(2)
    assert len(agent.heard) == 2


async def test_join_replaces_earlier_joins(rig):
    caller, agent, phone = rig.incoming("caller"), rig.outgoing("agent"), rig.outgoing("phone")
    rig.session.join("caller", "agent")
    rig.session.join("caller", "phone")
    await asyncio.gather(agent.send_speech(2), caller.send_speech(3), phone.send_speech(4))
    assert (len(agent.heard), len(phone.heard), len(caller.heard)) == (0, 3, 4)


async def test_joining_the_same_legs_again_sets_no_marker(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await agent.send_speech(2)
    rig.session.join("agent", "caller")
    await agent.send_speech(2)
    assert [packet.marker for packet in caller.heard] == [True, False, False, False]


async def test_joining_an_unknown_leg_ends_the_earlier_join(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rig.session.join("caller", "phone")
    await asyncio.gather(caller.send_speech(1), agent.send_speech(1))
    assert caller.heard == agent.heard == []


async def test_peer_sees_one_rtp_stream_across_agent_ringback_and_phone(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await agent.send_speech(10)
    rig.session.release("agent")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.31)
    phone = rig.outgoing("phone")
    rig.session.join("caller", "phone")
    rig.session.ringback("caller", False)
    phone.sequence, phone.timestamp = 65530, 4_294_967_000
    await phone.send_speech(10)
    heard = caller.heard
    assert len({packet.ssrc for packet in heard}) == 1
    assert len(heard) == 10 + 16 + 10
    for before, after in pairwise(heard):
        assert (after.sequence - before.sequence) & 0xFFFF == 1
        samples = (after.timestamp - before.timestamp) & 0xFFFFFFFF
        assert 160 <= samples <= 320
        assert samples == pytest.approx(max(160, (after.at - before.at) * 8000), abs=2)
    assert [n for n, packet in enumerate(heard) if packet.marker] == [0, 10, 26]


async def test_loss_and_reordering_are_relayed_as_they_are(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    for sequence in (10, 12, 11, 15):
        agent.send(sequence, sequence * 160)
        await asyncio.sleep(0.02)
    first = caller.heard[0]
    assert [packet.sequence - first.sequence for packet in caller.heard] == [0, 2, 1, 5]
    assert [packet.timestamp - first.timestamp for packet in caller.heard] == [0, 320, 160, 800]
    assert rig.session.counts("agent").lost == 2


async def test_pcmu_and_pcma_are_transcoded_between_differing_legs(rig):
    caller, agent = rig.incoming("caller", "8 101"), rig.outgoing("agent", "0 101")
    rig.session.join("caller", "agent")
    await asyncio.gather(
        caller.send_speech(1, pt=8, payload=b"\xaa\x2a\xd5"),
        agent.send_speech(1, pt=0, payload=b"\x80\x00\xff"),
    )
    assert [(packet.pt, packet.payload) for packet in agent.heard] == [(0, b"\x80\x00\xfe")]
    assert [(packet.pt, packet.payload) for packet in caller.heard] == [(8, b"\xaa\x2a\xd5")]


async def test_transcoding_leaves_csrcs_and_padding_unchanged(rig):
    caller, agent = rig.incoming("caller", "8 101"), rig.outgoing("agent", "0 101")
    rig.session.join("caller", "agent")
    agent.send_raw(b"\xa1\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x07" + b"csrc" + b"\x80" + b"\x00\x02")
    await asyncio.sleep(0.01)
    assert [packet.payload for packet in caller.heard] == [b"csrc" + b"\xaa" + b"\x00\x02"]


async def test_telephone_events_are_relayed_with_each_peer_s_payload_type_rfc4733(rig):
    caller, agent = rig.incoming("caller", "0 96"), rig.outgoing("agent", "0 101")
    rig.session.join("caller", "agent")
    await caller.send_speech(1)
    for step in range(3):
        caller.send(1001 + step, 50160, pt=96, payload=b"\x05\x0a\x00\xa0", marker=step == 0)
        await asyncio.sleep(0.02)
    events = [packet for packet in agent.heard if packet.pt == 101]
    assert [packet.marker for packet in events] == [True, False, False]
    assert len({packet.timestamp for packet in events}) == 1
    assert [packet.sequence for packet in agent.heard] == list(
        range(agent.heard[0].sequence, agent.heard[0].sequence + 4)
    )


async def test_events_to_a_peer_without_them_are_dropped_without_a_sequence_gap(rig):
    caller, agent = rig.incoming("caller", "0 101"), rig.outgoing("agent", "0")
    rig.session.join("caller", "agent")
    caller.send(1, 160)
    caller.send(2, 320, pt=101, payload=b"\x05\x0a\x00\xa0")
    caller.send(3, 480)
    await asyncio.sleep(0.01)
    assert [packet.sequence - agent.heard[0].sequence for packet in agent.heard] == [0, 1]


async def test_codec_common_to_both_legs_passes_unchanged(rig):
    caller = rig.incoming("caller", "107 101")
    assert _media_line(rig.session.offer("agent")).endswith(" 107 0 8 110 101")
    agent = rig.outgoing("agent", "107 101")
    rig.session.join("caller", "agent")
    await caller.send_speech(1, pt=107, payload=b"opus")
    assert [(packet.pt, packet.payload) for packet in agent.heard] == [(107, b"opus")]


async def test_unnegotiated_comfort_noise_is_neither_audio_nor_loss_rfc3389(rig, tmp_path):
    caller, agent = rig.incoming("caller", "0 101"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    caller.send(0, 0, pt=13, payload=b"\x40")
    await asyncio.sleep(0.01)
    assert rig.session.counts("caller").packets_in == 0, "it takes no lock"
    recording = rig.session.record("caller", tmp_path / "said.wav")
    await caller.send_speech(10)
    for n in range(10):
        caller.send(1010 + n, 51600 + 160 * n, pt=13, payload=b"\x40")
        await asyncio.sleep(0.02)
    quiet_s = rig.session.quiet_s("caller")
    assert quiet_s is not None
    assert quiet_s < 0.03, "who is quiet is not gone"
    caller.sequence, caller.timestamp = 1020, 53200
    await caller.send_speech(10)
    recording.close()
    assert {packet.payload for packet in agent.heard} == {SPEECH}
    assert [packet.sequence - agent.heard[0].sequence for packet in agent.heard] == list(range(20))
    assert rig.session.counts("caller").lost == 0
    with wave.open(str(recording.path)) as file:
        samples = file.readframes(4800)
    assert set(samples[3200:6400]) == {0}
    assert set(samples[:3200]) != {0}


async def test_unknown_payload_types_are_dropped_and_counted_but_not_as_loss(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    caller.send(1, 160)
    caller.send(2, 320, pt=18)
    caller.send(3, 480)
    await asyncio.sleep(0.01)
    assert [packet.sequence - agent.heard[0].sequence for packet in agent.heard] == [0, 1]
    counts = rig.session.counts("caller")
    assert (counts.packets_in, counts.dropped, counts.lost) == (2, 1, 0)


async def test_zrtp_packets_are_dropped_without_counting_as_loss_rfc6189_5(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    for number in range(1, 6):
        caller.send(number, 160 * number)
        hello = HEADER.pack(0x10, 0, 1000 + number, 0x5A525450, caller.ssrc)
        caller.send_raw(hello + b"PZ" + bytes(30))  # ZRTP numbers its packets separately
    await asyncio.sleep(0.01)
    assert [packet.sequence - agent.heard[0].sequence for packet in agent.heard] == [0, 1, 2, 3, 4]
    counts = rig.session.counts("caller")
    assert (counts.packets_in, counts.dropped, counts.lost) == (5, 5, 0)


async def test_hold_sends_nothing_and_resume_continues_the_rtp_stream_rfc3264_8_4(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await agent.send_speech(3)
    assert b"a=recvonly" in rig.session.accept("caller", caller.sdp("0 8 101", "a=sendonly"))
    await agent.send_speech(50)
    await caller.send_speech(2)
    assert len(caller.heard) == 3
    assert sum(packet.payload == SPEECH for packet in agent.heard) == 2
    rig.session.accept("caller", caller.sdp())
    await agent.send_speech(3)
    assert len(caller.heard) == 6
    assert caller.heard[3].sequence - caller.heard[2].sequence == 1
    assert caller.heard[3].timestamp - caller.heard[2].timestamp == pytest.approx(53 * 160, abs=330)


async def test_inactive_peer_neither_receives_nor_is_relayed(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    assert b"a=inactive" in rig.session.accept("caller", caller.sdp("0 8 101", "a=inactive"))
    await asyncio.gather(caller.send_speech(2), agent.send_speech(2))
    assert caller.heard == agent.heard == []
    assert rig.session.counts("caller").dropped == 2


async def test_nothing_is_sent_to_the_zero_address(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    assert b"a=recvonly" in rig.session.accept("caller", caller.sdp(host="0.0.0.0"))
    await agent.send_speech(3)
    assert caller.heard == []
    assert rig.network.strayed == 0
    await caller.send_speech(1)
    assert len(agent.heard) == 1
    await agent.send_speech(1)
    assert caller.heard == []


async def test_refused_reoffer_leaves_the_session_unchanged(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    for bad in (b"", b"garbage", caller.sdp("18"), caller.sdp(port=0)):
        with pytest.raises(MediaRefused):
            rig.session.accept("caller", bad)
    await agent.send_speech(2)
    assert len(caller.heard) == 2


async def test_refused_first_offer_uses_no_port(rig):
    with pytest.raises(MediaRefused):
        rig.session.accept("caller", b"garbage")
    assert rig.ports.lent == 0


async def test_answer_without_an_offer_is_refused(rig):
    with pytest.raises(MediaRefused, match="without an offer"):
        rig.session.answered("phone", rig.peer("phone").sdp())


async def test_no_port_free_raises_until_a_leg_is_released():
    rig = Rig(20000, 20003)
    rig.incoming("caller")
    rig.outgoing("agent")
    with pytest.raises(NoPortFree):
        rig.session.offer("phone")
    with pytest.raises(NoPortFree):
        rig.new_session().accept("caller", rig.peer("other").sdp())
    rig.session.release("agent")
    assert _media_line(rig.session.offer("phone")).startswith("m=audio 20002 ")
    rig.session.close()
    rig.session.close()
    assert (rig.ports.lent, rig.ports.free) == (0, 2)


@pytest.mark.parametrize("taken", [20000, 20001])
async def test_ports_used_by_another_program_are_skipped(rig, taken):
    other = rig.network.bind(PUBLIC, taken, lambda packet, source: None)
    assert _media_line(rig.session.offer("agent")).startswith("m=audio 20002 ")
    assert (rig.ports.lent, rig.ports.free) == (1, 49)
    other.close()


async def test_no_port_free_raises_if_other_programs_use_all():
    rig = Rig(20000, 20003)
    for port in (20000, 20002):
        rig.network.bind(PUBLIC, port, lambda packet, source: None)
    with pytest.raises(NoPortFree, match="2 taken by other programs"):
        rig.session.offer("agent")
    assert rig.ports.lent == 0


async def test_counts_survive_release_and_restart_with_a_new_leg_of_that_name(rig):
    phone = rig.outgoing("phone")
    await phone.send_speech(3)
    first = rig.session.offer("phone")
    rig.session.release("phone")
    rig.session.release("phone")
    assert rig.session.counts("phone").packets_in == 3
    assert _origin(rig.session.offer("phone"))[1] != _origin(first)[1]
    assert rig.session.counts("phone").packets_in == 0


async def test_counts_of_a_silent_leg_exclude_an_earlier_leg_of_that_name(rig):
    phone = rig.outgoing("phone")
    await phone.send_speech(3)
    rig.session.release("phone")
    rig.session.offer("phone")
    rig.session.release("phone")
    assert rig.session.counts("phone").packets_in == 0


async def test_calls_for_an_unknown_leg_do_nothing(rig):
    rig.session.part("phone")
    rig.session.release("phone")
    rig.session.ringback("phone", True)
    await rig.session.play("phone", beep())
    assert rig.session.address("phone") is None


async def test_leg_is_recorded_until_the_recording_is_closed(rig, tmp_path):
    caller = rig.incoming("caller")
    recording = rig.session.record("caller", tmp_path / "mail" / "1.wav")
    await caller.send_speech(50)
    assert recording.close() == 1.0
    await caller.send_speech(5)
    with wave.open(str(recording.path)) as file:
        assert file.getnframes() == 8000


async def test_releasing_a_leg_finishes_its_recordings(rig, tmp_path):
    caller = rig.incoming("caller")
    one, two = (rig.session.record("caller", tmp_path / name) for name in ("1.wav", "2.wav"))
    await caller.send_speech(10)
    rig.session.release("caller")
    assert (one.close(), two.close()) == (0.2, 0.2)
    with wave.open(str(two.path)) as file:
        assert file.getnframes() == 1600


async def test_recording_an_unknown_leg_makes_an_empty_file(rig, tmp_path):
    recording = rig.session.record("caller", tmp_path / "1.wav")
    assert recording.close() == 0.0
    assert recording.path.exists()


def _channels(path):
    with wave.open(str(path)) as file:
        assert file.getnchannels() == 2
        frames = file.readframes(file.getnframes())
    return frames[::4] + frames[1::4], frames[2::4] + frames[3::4]


async def test_stereo_recording_has_both_sides_and_our_tones(rig, tmp_path):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent", "8 101")
    rig.session.join("caller", "agent")
    recording = rig.session.record_both("caller", tmp_path / "1.wav")
    await asyncio.gather(caller.send_speech(50), agent.send_speech(50, pt=8))
    await rig.session.play("caller", beep())
    assert recording.close() == pytest.approx(1.4, abs=0.03)
    heard = b"".join(packet.payload for packet in caller.heard)
    left, right = _channels(recording.path)
    length = len(left) // 2
    assert left[:8000] == planes("pcmu/8000", SPEECH)[0] * 50
    assert right[: len(heard)] == planes("pcmu/8000", heard)[0]
    assert length == pytest.approx(11200, abs=320)


async def test_telephone_events_are_not_recorded_rfc4733(rig, tmp_path):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    recording = rig.session.record_both("caller", tmp_path / "1.wav")
    await agent.send_speech(5, pt=101, payload=b"\x01\x0a\x00\xa0")
    assert len(caller.heard) == 5
    assert recording.close() == 0.0


async def test_prefer_g711_answers_and_offers_g711_first(rig):
    rig.session.prefer_g711()
    answer = rig.session.accept("caller", rig.peer("caller").sdp("9 107 8 101")).decode()
    assert "RTP/AVP 8 101" in answer
    assert _media_line(rig.session.offer("agent")).endswith(" RTP/AVP 8 0 101")


async def test_peer_without_g711_is_accepted_but_cannot_be_recorded(rig, tmp_path):
    rig.session.prefer_g711()
    rig.incoming("caller", "107 101")
    with pytest.raises(MediaRefused, match=r"opus/48000/2 cannot be recorded, only G\.711"):
        rig.session.record_both("caller", tmp_path / "1.wav")
    with pytest.raises(MediaRefused, match="no audio"):
        rig.session.record_both("phone", tmp_path / "1.wav")
    assert list(tmp_path.iterdir()) == []


SILENCE = b"\xff" * 160


async def test_caller_hears_ringback_while_the_agent_sends_silence(rig):
    """A voice agent has nothing to say while the phone rings, but its packets go on."""
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await agent.send_speech(10)
    rig.session.ringback("caller", True)
    await agent.send_speech(100, payload=SILENCE)
    payloads = [packet.payload for packet in caller.heard]
    assert payloads.count(SPEECH) == 10
    assert payloads.count(SILENCE) == pytest.approx(30, abs=1)  # ringback takes over after 0.6 s of silence
    assert len(payloads) == pytest.approx(110, abs=2)
    await agent.send_speech(5)
    assert [packet.payload for packet in caller.heard[-5:]] == [SPEECH] * 5
    rig.session.ringback("caller", False)
    await agent.send_speech(5, payload=SILENCE)
    assert [packet.payload for packet in caller.heard[-5:]] == [SILENCE] * 5
    numbers = [packet.sequence for packet in caller.heard]
    assert all((after - before) & 0xFFFF == 1 for before, after in pairwise(numbers))


# IPv4 and IPv6.

SIX = "2001:db8::10"


class DualStackRig(Rig):
    """A rig whose session has an IPv4 and an IPv6 address."""

    def new_session(self) -> RelaySession:
        clock = asyncio.get_running_loop().time
        return RelaySession(
            MediaEngine(self.network, self.ports, PUBLIC, PUBLIC, counting(), clock, (SIX, SIX))
        )


def offer_over_ipv6(rig: Rig) -> bytes:
    """An offer from a peer over IPv6."""
    peer = Peer(rig.network, "2001:db8::77")
    return peer.sdp("0 101").replace(b"IN IP4 2001", b"IN IP6 2001")


def addresses_in(sdp: bytes) -> set[bytes]:
    lines = [line for line in sdp.splitlines() if line[:2] in (b"c=", b"o=")]
    return {line.partition(b"IN ")[2] for line in lines}


async def test_offer_is_answered_in_its_own_ip_version() -> None:
    rig = DualStackRig()
    assert addresses_in(rig.session.accept("caller", offer_over_ipv6(rig))) == {f"IP6 {SIX}".encode()}
    assert addresses_in(rig.session.accept("phone", rig.peer("phone").sdp())) == {f"IP4 {PUBLIC}".encode()}
    assert {host for host, _ in rig.network.open if host in (SIX, PUBLIC)} == {SIX, PUBLIC}


async def test_our_offer_uses_the_ip_version_of_the_signalling() -> None:
    rig = DualStackRig()
    rig.session.use_ip_version("phone", 6)
    assert addresses_in(rig.session.offer("phone")) == {f"IP6 {SIX}".encode()}
    assert rig.session.address("phone") == (SIX, 20000)
    rig.session.answered("phone", offer_over_ipv6(rig))
    with pytest.raises(MediaRefused, match="media over IPv4 is not possible here"):
        rig.session.accept("phone", rig.peer("phone").sdp())


async def test_offer_to_the_next_target_may_use_the_other_ip_version() -> None:
    rig = DualStackRig()
    rig.session.use_ip_version("phone", 6)
    rig.session.offer("phone")
    rig.session.use_ip_version("phone", 4)
    assert addresses_in(rig.session.offer("phone")) == {f"IP4 {PUBLIC}".encode()}
    assert rig.ports.lent == 1
    rig.session.close()
    assert rig.ports.lent == 0


async def test_other_ip_version_is_offered_if_we_have_no_address_in_the_requested_one() -> None:
    rig = Rig()
    rig.session.use_ip_version("phone", 6)
    assert addresses_in(rig.session.offer("phone")) == {f"IP4 {PUBLIC}".encode()}
    with pytest.raises(MediaRefused, match="media over IPv6 is not possible here"):
        rig.session.accept("caller", offer_over_ipv6(rig))


async def test_hold_by_the_unspecified_ipv6_address_is_answered_as_hold() -> None:
    rig = DualStackRig()
    rig.session.accept("caller", offer_over_ipv6(rig))
    held = rig.session.accept(
        "caller", offer_over_ipv6(rig).replace(b"c=IN IP6 2001:db8::77", b"c=IN IP6 ::")
    )
    assert b"a=recvonly\r\n" in held


def _rings_early(rig, leg: str = "phone") -> Peer:
    """A called peer that may send early media before it answers."""
    peer = rig.peer(leg)
    rig.session.offer(leg)
    peer.remote = rig.session.address(leg)
    rig.session.take_early_media(leg, peer.sdp("0 101"))
    return peer


async def test_early_media_is_dropped_by_default(rig):
    caller = rig.incoming("caller")
    phone = _rings_early(rig)
    await phone.send_speech(10)
    assert caller.heard == []
    assert rig.session.counts("phone").packets_in == 0


async def test_early_media_passed_to_a_leg_replaces_its_ringback(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    rig.session.pass_early_media("phone", "caller")
    phone = _rings_early(rig)
    await phone.send_speech(10, payload=SILENCE)
    assert SPEECH not in {packet.payload for packet in caller.heard}
    await phone.send_speech(2)
    caller.heard.clear()
    await phone.send_speech(10)
    assert {packet.payload for packet in caller.heard} == {SPEECH}
    other = _rings_early(rig, "phone 2")
    await other.send_speech(2)
    assert rig.session.counts("phone 2").packets_in == 0
    rig.session.answered("phone", phone.sdp("0 101"))
    await phone.send_speech(2)
    assert {packet.ssrc for packet in caller.heard} == {caller.heard[0].ssrc}


async def test_unusable_early_sdp_changes_nothing(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    rig.session.pass_early_media("phone", "caller")
    rig.session.offer("phone")
    rig.session.take_early_media("phone", b"nonsense")
    await asyncio.sleep(0.1)
    assert len(caller.heard) == 5


HERE, ELSEWHERE = "192.168.1.10", "192.168.1.30"


def _connection_address(sdp: bytes) -> str:
    return next(line[9:] for line in sdp.decode().split("\r\n") if line.startswith("c=IN IP4 "))


async def test_leg_in_our_own_network_is_offered_our_private_address(rig):
    rig.session.use_ip_version("phone", 4, ("192.168.1.20", HERE))
    assert _connection_address(rig.session.offer("phone")) == HERE
    assert _connection_address(rig.session.offer("agent")) == PUBLIC
    assert rig.session.address("phone")[0] == HERE


async def test_offer_with_media_at_the_signalling_host_gets_our_private_address(rig):
    peer = rig.peer("caller")
    rig.session.use_ip_version("caller", 4, (peer.address[0], HERE))
    assert _connection_address(rig.session.accept("caller", peer.sdp())) == HERE


async def test_offer_with_media_elsewhere_gets_our_public_address(rig):
    rig.session.use_ip_version("caller", 4, (ELSEWHERE, HERE))
    assert _connection_address(rig.session.accept("caller", rig.peer("caller").sdp())) == PUBLIC


async def test_each_target_is_offered_the_address_that_suits_it(rig):
    rig.session.use_ip_version("phone", 4, ("192.168.1.20", HERE))
    assert _connection_address(rig.session.offer("phone")) == HERE
    rig.session.use_ip_version("phone", 4)
    assert _connection_address(rig.session.offer("phone")) == PUBLIC
    rig.session.use_ip_version("phone", 4, ("192.168.1.20", HERE))
    assert _connection_address(rig.session.offer("phone")) == HERE


async def test_private_address_is_not_offered_if_media_is_bound_to_another(rig):
    engine = MediaEngine(
        rig.network, rig.ports, ELSEWHERE, PUBLIC, counting(), asyncio.get_running_loop().time
    )
    session = RelaySession(engine)
    session.use_ip_version("phone", 4, ("192.168.1.20", HERE))
    assert _connection_address(session.offer("phone")) == PUBLIC
    session.close()


async def test_answer_naming_our_private_address_and_port_is_refused(rig):
    rig.session.use_ip_version("phone", 4, ("192.168.1.20", HERE))
    rig.session.offer("phone")
    ours = rig.session.address("phone")
    answer = b"v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n"
    with pytest.raises(MediaRefused, match="one of ours"):
        rig.session.answered("phone", answer % (HERE.encode(), ours[1]))
