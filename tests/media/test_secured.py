"""SRTP legs through the relay: on one side or both, re-set_key, and with hostile packets."""

import asyncio
import wave
from itertools import product

import pytest

from proxy.media.g711 import planes
from proxy.media.interface import MediaRefused
from proxy.media.rtp import HEADER
from proxy.media.sdes import SUITES, SrtpPolicy, fresh, parse, usable
from proxy.media.sdp import parse_sdp
from proxy.media.srtp import receiver, sender
from proxy.media.tones import beep
from tests.media.peer import SPEECH, Peer, counting


class SecurePeer(Peer):
    """A peer whose packets go through SRTP."""

    def __init__(self, network, host, suite, key=77):
        super().__init__(network, host, ssrc=0xC0DE)
        self._endpoint.on_packet = self._receive
        self.suite, self.undecryptable = suite, 0
        self.set_key(key)

    def set_key(self, key):
        """Send under this key from now on."""
        self.ours = fresh(self.suite, lambda bits: key, 1)
        self._sender = sender(self.ours)
        self.receiver = None
        self._last = None

    def secure_sdp(self, protocol="RTP/SAVP", formats="0 8 101", tag=None):
        line = self.ours.line if tag is None else fresh(self.suite, lambda bits: 77, tag).line
        return self.sdp(formats, line).replace(b"RTP/AVP", protocol.encode())

    def take_key(self, sdp):
        """Take the other side's key from its SDP."""
        (value,) = parse_sdp(sdp).media[0].attributes("crypto")
        theirs = parse(value)
        if not theirs.same_key(self._last):
            self.receiver, self._last = receiver(theirs), theirs

    def send_raw(self, packet, *, rtcp=False):
        sealed = self._sender.protect_rtcp(packet) if rtcp else self._sender.protect(packet)
        super().send_raw(sealed, rtcp=rtcp)

    def send(self, sequence, timestamp, *, pt=0, payload=SPEECH, marker=False):
        self.send_raw(HEADER.pack(0x80, pt, sequence & 0xFFFF, timestamp, self.ssrc) + payload)

    def _receive(self, packet, source):
        clear = self.receiver.unprotect(bytes(packet))
        if clear is None:
            self.undecryptable += 1
        else:
            self._received(clear, source)


def _caller(rig, suite, **kwargs):
    """A caller whose SAVP offer we have answered."""
    peer = rig.peers["caller"] = SecurePeer(rig.network, "198.51.100.1", suite)
    peer.take_key(rig.session.accept("caller", peer.secure_sdp(**kwargs)))
    peer.remote = rig.session.address("caller")
    return peer


def _agent(rig, policy=SrtpPolicy.REQUIRE):
    """An agent that has accepted the first key of our offer."""
    rig.session.set_srtp_policy("agent", policy)
    values = parse_sdp(rig.session.offer("agent")).media[0].attributes("crypto")
    theirs = usable(values)[0][0]
    peer = rig.peers["agent"] = SecurePeer(rig.network, "198.51.100.2", theirs.suite, key=88)
    peer.receiver = receiver(theirs)
    rig.session.answered("agent", peer.secure_sdp(formats="0 101"))
    peer.remote = rig.session.address("agent")
    return peer


@pytest.mark.parametrize(("suite", "protocol"), [*product(SUITES.values(), ["RTP/SAVP", "RTP/AVP"])])
async def test_srtp_and_rtp_legs_are_bridged_in_each_suite(rig, suite, protocol):
    caller, agent = _caller(rig, suite, protocol=protocol), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await caller.send_speech(3)
    await agent.send_speech(3)
    assert [packet.payload for packet in agent.heard] == [SPEECH] * 3
    assert [packet.payload for packet in caller.heard] == [SPEECH] * 3
    assert caller.undecryptable == 0
    assert rig.session.srtp_suite("caller") == suite.name
    assert rig.session.srtp_suite("agent") is None


async def test_two_srtp_legs_are_bridged_with_separate_keys(rig):
    caller, agent = _caller(rig, SUITES["AES_256_CM_HMAC_SHA1_80"]), _agent(rig)
    rig.session.join("caller", "agent")
    await caller.send_speech(3)
    await agent.send_speech(3)
    assert (len(caller.heard), len(agent.heard)) == (3, 3)
    assert rig.session.srtp_suite("agent") == "AES_CM_128_HMAC_SHA1_80"
    assert rig.session.counts("caller").unauthentic == rig.session.counts("agent").unauthentic == 0


async def test_tones_are_encrypted(rig):
    caller = _caller(rig, SUITES["AEAD_AES_128_GCM"])
    await rig.session.play("caller", beep())
    assert len(caller.heard) >= 20
    assert caller.undecryptable == 0


async def test_packets_under_the_wrong_key_are_dropped_and_counted(rig):
    caller, agent = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"]), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    caller.set_key(78)
    await caller.send_speech(5)
    counts = rig.session.counts("caller")
    assert agent.heard == []
    assert (counts.packets_in, counts.dropped, counts.unauthentic) == (0, 5, 5)


async def test_replayed_packets_are_relayed_once_rfc3711_3_3_2(rig):
    caller, agent = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"]), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    sealed = caller._sender.protect(HEADER.pack(0x80, 0, 5, 800, caller.ssrc) + SPEECH)
    for _ in range(4):
        Peer.send_raw(caller, sealed)
    await caller.send_speech(1)
    counts = rig.session.counts("caller")
    assert len(agent.heard) == 2
    assert (counts.packets_in, counts.dropped, counts.unauthentic) == (2, 3, 0)


async def test_stranger_without_the_key_cannot_latch(rig):
    caller, agent = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"]), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    stranger = rig.peer("stranger")
    stranger.remote = caller.remote
    await stranger.send_speech(3)
    await agent.send_speech(1)
    assert stranger.heard == []
    await caller.send_speech(2)
    await agent.send_speech(1)
    assert len(agent.heard) == 2
    assert stranger.heard == []
    assert rig.session.counts("caller").unauthentic == 3


async def test_srtcp_is_accepted_and_plain_rtcp_dropped_rfc3711_3_4(rig):
    caller = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"])
    report = bytes.fromhex("80c800060000c0de") + bytes(20)
    caller.send_raw(report, rtcp=True)
    caller.send_raw(report, rtcp=True)
    Peer.send_raw(caller, report, rtcp=True)
    await caller.send_speech(1)
    counts = rig.session.counts("caller")
    assert (counts.rtcp_in, counts.dropped, counts.unauthentic) == (2, 1, 1)


async def test_reinvite_with_the_same_key_keeps_the_roll_over_counter_rfc3711_3_3_1(rig):
    caller, agent = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"]), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    caller.sequence = 65530
    await caller.send_speech(10)  # past the wrap of the sequence number
    caller.take_key(rig.session.accept("caller", caller.secure_sdp()))
    await caller.send_speech(5)
    await agent.send_speech(5)
    assert len(agent.heard) == 15
    assert len(caller.heard) == 5
    assert (caller.undecryptable, rig.session.counts("caller").unauthentic) == (0, 0)


async def test_reinvite_with_a_new_key_rekeys_both_directions_rfc4568_7_1_4(rig):
    caller, agent = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"]), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await caller.send_speech(2)
    await agent.send_speech(2)
    before = caller._last
    caller.set_key(79)
    caller.take_key(rig.session.accept("caller", caller.secure_sdp()))
    assert not caller._last.same_key(before)
    await caller.send_speech(2)
    await agent.send_speech(2)
    assert (len(agent.heard), len(caller.heard), caller.undecryptable) == (4, 4, 0)
    assert {packet.ssrc for packet in caller.heard} == {caller.heard[0].ssrc}
    assert [packet.sequence - caller.heard[0].sequence for packet in caller.heard] == [0, 1, 2, 3]


async def test_unauthentic_count_survives_rekeying_and_release(rig):
    caller = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"])
    Peer.send_raw(caller, HEADER.pack(0x80, 0, 1, 1, 1) + SPEECH)
    await caller.send_speech(1)
    caller.set_key(79)
    caller.take_key(rig.session.accept("caller", caller.secure_sdp()))
    assert rig.session.counts("caller").unauthentic == 1
    rig.session.release("caller")
    assert rig.session.counts("caller").unauthentic == 1


async def test_reinvite_without_keys_is_refused_if_srtp_is_required(rig):
    rig.session.set_srtp_policy("caller", SrtpPolicy.REQUIRE)
    caller, agent = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"]), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    with pytest.raises(MediaRefused, match="SRTP is required"):
        rig.session.accept("caller", caller.sdp())
    await agent.send_speech(1)
    assert len(caller.heard) == 1
    assert rig.session.srtp_suite("caller") == "AES_CM_128_HMAC_SHA1_80"


async def test_reinvite_without_keys_switches_to_plain_rtp(rig):
    caller = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"])
    agent = rig.outgoing("agent")
    rig.session.join("caller", "agent")
    assert b"RTP/AVP 0" in rig.session.accept("caller", caller.sdp())
    assert rig.session.srtp_suite("caller") is None
    Peer.send_raw(caller, HEADER.pack(0x80, 0, 1, 1, 1) + SPEECH)
    await agent.send_speech(1)
    assert len(agent.heard) == 1


async def test_our_reoffer_repeats_the_key_and_srtp_continues_rfc4568_7_1_4(rig):
    agent, caller = _agent(rig), rig.incoming("caller")
    rig.session.join("caller", "agent")
    first = rig.session.repeat_sdp("agent")
    await agent.send_speech(2)
    await caller.send_speech(2)
    second = rig.session.offer("agent")
    (line,) = parse_sdp(second).media[0].attributes("crypto")
    assert f"a=crypto:{line}\r\n".encode() in first
    rig.session.answered("agent", agent.secure_sdp(formats="0 101"))
    await agent.send_speech(2)
    await caller.send_speech(2)
    assert (len(agent.heard), len(caller.heard), agent.undecryptable) == (4, 4, 0)


async def test_repeated_srtp_offer_is_identical_rfc4028_7_4(rig):
    rig.session.set_srtp_policy("agent", SrtpPolicy.OFFER)
    offer = rig.session.offer("agent")
    assert rig.session.repeat_sdp("agent") == offer
    assert b"RTP/SAVP 0" in offer


async def test_refused_srtp_offer_falls_back_to_plain_rtp_only_if_the_policy_allows(rig):
    for policy, conceded in zip(SrtpPolicy, (False, False, True, False), strict=True):
        leg = f"agent {policy.value}"
        rig.session.set_srtp_policy(leg, policy)
        first = rig.session.offer(leg)
        assert rig.session.fall_back(leg) is conceded
        assert rig.session.fall_back(leg) is False
        second = rig.session.offer(leg)
        assert (b"RTP/SAVP" in second) is (b"RTP/SAVP" in first and not conceded)
        assert (b"a=crypto" in second) is (b"RTP/SAVP" in second)


async def test_no_fall_back_after_a_leg_has_agreed(rig):
    _agent(rig, SrtpPolicy.OFFER)
    assert rig.session.fall_back("agent") is False
    assert rig.session.fall_back("nobody") is False


def test_keys_come_from_the_given_id_source():
    assert fresh(SUITES["AEAD_AES_128_GCM"], counting()).master == bytes(27) + b"\1"


async def test_packets_under_the_old_key_are_accepted_until_the_peer_uses_the_new_one(rig):
    caller, agent = _caller(rig, SUITES["AES_CM_128_HMAC_SHA1_80"]), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await caller.send_speech(2)
    old = caller._sender
    caller.set_key(79)
    new, caller._sender = caller._sender, old
    caller.take_key(rig.session.accept("caller", caller.secure_sdp()))
    await caller.send_speech(3)  # our answer has not arrived yet
    caller._sender = new
    await caller.send_speech(3)
    assert len(agent.heard) == 8
    assert rig.session.counts("caller").unauthentic == 0


async def test_srtp_leg_is_recorded_decrypted_in_both_directions(rig, tmp_path):
    caller, agent = _caller(rig, next(iter(SUITES.values()))), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    recording = rig.session.record_both("caller", tmp_path / "1.wav")
    await asyncio.gather(caller.send_speech(20), agent.send_speech(20))
    assert recording.close() == pytest.approx(0.4, abs=0.03)
    with wave.open(str(recording.path)) as file:
        frames = file.readframes(file.getnframes())
    low, _ = planes("pcmu/8000", SPEECH)
    assert frames[: 4 * 160 : 4] == frames[2 : 4 * 160 : 4] == low
