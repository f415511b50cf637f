"""What SDP settles besides formats: RTCP mux, packet time, and one codec for both legs."""

import asyncio
from itertools import product

import pytest

from proxy.media.interface import MediaRefused
from proxy.media.negotiation import read_offer
from tests.media.peer import SPEECH


def lines(sdp: bytes) -> list[str]:
    return sdp.decode().split("\r\n")


async def test_rtcp_mux_is_offered_and_accepted_only_if_offered_rfc5761_5_1_1(rig):
    assert "a=rtcp-mux" in lines(rig.session.offer("agent"))
    caller = rig.peer("caller")
    assert "a=rtcp-mux" not in lines(rig.session.accept("caller", caller.sdp()))
    other = rig.peer("phone")
    assert "a=rtcp-mux" in lines(rig.session.accept("phone", other.sdp("0 8 101", "a=rtcp-mux")))


async def test_refresh_repeats_rtcp_mux_rfc4028_7_4(rig):
    caller = rig.peer("caller")
    answer = rig.session.accept("caller", caller.sdp("0 8 101", "a=rtcp-mux"))
    assert rig.session.repeat_sdp("caller") == answer
    assert rig.session.accept("caller", caller.sdp("0 8 101", "a=rtcp-mux")) == answer


@pytest.mark.parametrize(
    ("ptime_lines", "ptime", "maxptime"),
    [
        ((), 20, None), (("a=ptime:30",), 30, None), (("a=ptime:60", "a=maxptime:120"), 60, None),
        (("a=ptime:0",), 20, None), (("a=ptime:9000",), 20, None), (("a=ptime:x",), 20, None),
    ],
)  # fmt: skip
async def test_answer_repeats_the_offered_ptime(rig, ptime_lines, ptime, maxptime):
    caller = rig.peer("caller")
    answer = lines(rig.session.accept("caller", caller.sdp("0 8 101", *ptime_lines)))
    assert f"a=ptime:{ptime}" in answer
    assert not [line for line in answer if line.startswith("a=maxptime")]


async def test_other_leg_is_offered_this_leg_s_ptime_and_maxptime_rfc8866_6_4(rig):
    rig.incoming("caller", "0 8 101", "a=ptime:30", "a=maxptime:40")
    offer = lines(rig.session.offer("agent"))
    assert "a=ptime:30" in offer
    assert "a=maxptime:40" in offer


async def test_packets_of_any_length_are_relayed_unchanged(rig):
    caller, agent = rig.incoming("caller", "0 8 101", "a=ptime:30"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    for n in range(5):
        caller.send(n, n * 240, payload=SPEECH + SPEECH[:80])
        await asyncio.sleep(0.03)
    assert [len(packet.payload) for packet in agent.heard] == [240] * 5
    assert [packet.timestamp - agent.heard[0].timestamp for packet in agent.heard] == [0, 240, 480, 720, 960]


@pytest.mark.parametrize(
    "line", ["a=rtcp:", "a=rtcp:0", "a=rtcp:70000", "a=rtcp:5 IN IP4 host.example", "a=rtcp:x y"]
)
async def test_invalid_rtcp_attribute_is_ignored_rfc3605(rig, line):
    caller = rig.peer("caller")
    agreement = read_offer(caller.sdp("0", line), ip_version=4, voice_key=None, anchor=None).agreement
    assert agreement.rtcp_destination == (caller.address[0], caller.address[1] + 1)


CODECS = {"0": "pcmu", "8": "pcma", "9": "g722", "107": "opus"}


@pytest.mark.parametrize(("first", "second"), list(product(CODECS, CODECS)))
async def test_legs_share_a_codec_or_both_use_g711_or_the_second_is_refused(rig, first, second):
    """Every pair of codecs, between caller and agent, and between caller and phone at the switch."""
    caller = rig.incoming("caller", f"{first} 101")
    g711 = {first, second} <= {"0", "8"}
    for leg in ("agent", "phone"):
        peer = rig.peer(leg)
        offer = rig.session.offer(leg)
        assert next(line for line in lines(offer) if line.startswith("m=")).split()[3] == first
        if first != second and not g711:
            with pytest.raises(MediaRefused, match="in common with the other leg"):
                rig.session.answered(leg, peer.sdp(f"{second} 101"))
            rig.session.release(leg)
            continue
        rig.session.answered(leg, peer.sdp(f"{second} 101"))
        peer.remote = rig.session.address(leg)
        rig.session.join("caller", leg)
        heard = len(caller.heard)
        await asyncio.gather(caller.send_speech(3, pt=int(first)), peer.send_speech(3, pt=int(second)))
        assert len(peer.heard) >= 3
        assert len(caller.heard) >= heard + 3
        assert {packet.pt for packet in peer.heard} == {int(second)}
        assert {packet.pt for packet in caller.heard[heard:]} == {int(first)}
        rig.session.release(leg)


async def test_reoffer_of_a_codec_the_other_leg_lacks_is_refused_without_effect_rfc3264_8(
    rig,
):
    caller, phone = rig.incoming("caller", "0 9 101"), rig.outgoing("phone", "0 101")
    rig.session.join("caller", "phone")
    with pytest.raises(MediaRefused, match="other leg"):
        rig.session.accept("caller", caller.sdp("9 101"))
    await caller.send_speech(2)
    assert len(phone.heard) == 2
    answer = rig.session.accept("caller", caller.sdp("8 9 101"))
    assert b"m=audio 20000 RTP/AVP 8 101\r\n" in answer
    await caller.send_speech(2, pt=8)
    assert len(phone.heard) == 4
    assert len({packet.pt for packet in phone.heard}) == 1


async def test_flood_is_dropped_and_counted_without_losing_speech(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await caller.send_speech(1)
    flood = rig.peer("flood")
    flood.remote = caller.remote
    for n in range(20_000):
        flood.send(n, n * 160)
    await caller.send_speech(10)
    assert len(agent.heard) == 11
    counts = rig.session.counts("caller")
    assert (counts.packets_in, counts.dropped, counts.lost) == (11, 20_000, 0)
    assert flood.heard == []
