"""RTCP during a call: reports and BYE, their address, and statistics (RFC 3550 §6, RFC 5761)."""

import asyncio

import pytest

from proxy.media.engine import MediaEngine
from proxy.media.periodic_timer import PeriodicTimer
from proxy.media.rtcp import Block, Report, Sent, compound, read
from proxy.media.rtp import is_rtcp
from proxy.media.session import RelaySession
from tests.media.peer import PUBLIC, counting


class RtcpPeer:
    """An RTCP receiver on the port above a peer's RTP port, or on any other."""

    def __init__(self, rig, host: str, port: int) -> None:
        self.heard: list[tuple[float, Report]] = []
        self._endpoint = rig.network.bind(host, port, self._received)
        self.address = self._endpoint.address

    def _received(self, packet, source):
        report = read(packet)
        assert report is not None
        self.heard.append((asyncio.get_running_loop().time() - 5000, report))

    def send(self, packet: bytes, to) -> None:
        self._endpoint.send(packet, to)

    def close(self) -> None:
        self._endpoint.close()


@pytest.fixture
async def call(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rtcp_peer = RtcpPeer(rig, caller.address[0], caller.address[1] + 1)
    yield caller, agent, rtcp_peer
    rtcp_peer.close()


async def speak_both(caller, agent, packets: int) -> None:
    await asyncio.gather(caller.send_speech(packets), agent.send_speech(packets))


async def test_reports_are_sent_every_five_seconds_while_packets_flow_rfc3550_6_2(rig, call):
    caller, agent, rtcp_peer = call
    await speak_both(caller, agent, 600)
    assert [round(at, 1) for at, _ in rtcp_peer.heard] == [2.5, 7.5]
    report = rtcp_peer.heard[1][1]
    assert report.ssrc == caller.heard[0].ssrc
    assert report.sent is not None
    (block,) = report.blocks
    assert (block.ssrc, block.lost, block.fraction_lost, block.jitter) == (caller.ssrc, 0, 0.0, 0)
    assert caller.sequence - 600 + 374 <= block.highest <= caller.sequence - 600 + 376


async def test_no_report_is_sent_without_packets(rig, call):
    _, _, rtcp_peer = call
    await asyncio.sleep(60)
    rig.session.close()
    assert rtcp_peer.heard == []


async def test_peer_we_send_nothing_to_gets_a_receiver_report(rig, call):
    caller, _, rtcp_peer = call
    await caller.send_speech(300)
    assert [report.sent for _, report in rtcp_peer.heard] == [None]
    assert rtcp_peer.heard[0][1].blocks[0].ssrc == caller.ssrc


async def test_released_leg_is_sent_a_bye_rfc3550_6_6(rig, call):
    caller, agent, rtcp_peer = call
    await speak_both(caller, agent, 50)
    rig.session.release("caller")
    await asyncio.sleep(0.01)
    assert [report.leaves for _, report in rtcp_peer.heard] == [True]


async def test_fraction_lost_covers_only_the_last_interval_rfc3550_6_4_1(rig, call):
    caller, _, rtcp_peer = call
    for n in range(400):
        if n < 100 and n % 4 == 1:
            caller.sequence, caller.timestamp = caller.sequence + 1, caller.timestamp + 160
            await asyncio.sleep(0.02)
        else:
            await caller.send_speech(1)
    fractions = [report.blocks[0].fraction_lost for _, report in rtcp_peer.heard]
    assert [report.blocks[0].lost for _, report in rtcp_peer.heard] == [25, 25]
    assert fractions[0] > 0.18
    assert fractions[1] == 0


async def test_peer_s_report_gives_round_trip_time_and_loss_rfc3550_6_4_1(rig, call):
    caller, agent, rtcp_peer = call
    await speak_both(caller, agent, 200)
    at, report = rtcp_peer.heard[0]
    assert report.sent is not None
    since_s = asyncio.get_running_loop().time() - 5000 - at
    block = Block(report.ssrc, 0.1, 20, 0, 80, report.sent, since_s - 0.12)
    rtcp_peer.send(compound(caller.ssrc, None, (block,), "them", leaves=False), rtcp_address(caller))
    await asyncio.sleep(0.01)
    quality = rig.session.quality("caller")
    assert quality.round_trip_ms == pytest.approx(120, abs=1)
    assert (quality.sent.lost, quality.sent.jitter_ms, quality.rtcp_in) == (20, 10.0, 1)
    assert quality.sent.mos is not None
    assert quality.heard.mos is not None
    assert quality.sent.mos < quality.heard.mos


def rtcp_address(peer):
    """Our address for the peer's RTCP."""
    return peer.remote[0], peer.remote[1] + 1


@pytest.mark.parametrize("delay", [0xFFFFFFFF / 65536, 4000.0])
async def test_impossible_delay_in_a_report_gives_no_round_trip_time(rig, call, delay):
    caller, agent, rtcp_peer = call
    await speak_both(caller, agent, 200)
    sent = rtcp_peer.heard[0][1].sent
    assert sent is not None
    block = Block(rtcp_peer.heard[0][1].ssrc, 0, 0, 0, 0, sent, delay)
    rtcp_peer.send(compound(caller.ssrc, None, (block,), "them", leaves=False), rtcp_address(caller))
    await asyncio.sleep(0.01)
    assert rig.session.quality("caller").round_trip_ms is None


async def test_reports_from_a_stranger_are_dropped_and_counted(rig, call):
    caller, agent, _ = call
    await speak_both(caller, agent, 10)
    thief = RtcpPeer(rig, "192.0.2.66", 6001)
    packet = compound(caller.ssrc, Sent(1.0, 1, 1, 1), (), "thief", leaves=True)
    thief.send(packet, rtcp_address(caller))
    thief.send(packet, caller.remote)
    await speak_both(caller, agent, 300)
    counts = rig.session.counts("caller")
    assert (counts.rtcp_in, counts.dropped) == (0, 2)
    assert thief.heard == []
    thief.close()


async def test_peer_behind_nat_gets_reports_only_at_its_own_rtcp_source(rig):
    inside, outside = rig.peer("inside"), rig.peer("nat")
    agent = rig.outgoing("agent")
    rig.session.accept("caller", inside.sdp())
    outside.remote = rig.session.address("caller")
    rig.session.join("caller", "agent")
    beside = RtcpPeer(rig, outside.address[0], outside.address[1] + 1)
    mapped = RtcpPeer(rig, outside.address[0], 9999)
    await speak_both(outside, agent, 400)
    assert (beside.heard, mapped.heard) == ([], [])
    mapped.send(compound(outside.ssrc, None, (), "them", leaves=False), rtcp_address(outside))
    await speak_both(outside, agent, 300)
    assert (len(beside.heard), len(mapped.heard)) == (0, 1)
    beside.close()
    mapped.close()


async def test_peer_with_rtcp_mux_gets_reports_on_its_rtp_port_from_ours_rfc5761_5_1_1(rig):
    caller = rig.incoming("caller", "0 8 101", "a=rtcp-mux")
    agent = rig.outgoing("agent")
    rig.session.join("caller", "agent")
    packets: list[tuple[bytes, tuple[str, int]]] = []
    caller.rtcp = lambda packet, source: packets.append((packet, source))
    await speak_both(caller, agent, 200)
    assert [source for _, source in packets] == [caller.remote]
    caller.send_raw(compound(caller.ssrc, None, (), "them", leaves=False))
    await asyncio.sleep(0.01)
    counts = rig.session.counts("caller")
    assert (counts.rtcp_in, counts.dropped, counts.lost) == (1, 0, 0)
    assert is_rtcp(packets[0][0])


@pytest.mark.parametrize(("line", "port"), [("a=rtcp:7001", 7001), ("a=rtcp:7003 IN IP4 198.51.100.1", 7003)])
async def test_reports_go_to_the_port_in_a_rtcp_rfc3605_2_1(rig, line, port):
    caller = rig.incoming("caller", "0 8 101", line)
    agent = rig.outgoing("agent")
    rig.session.join("caller", "agent")
    elsewhere = RtcpPeer(rig, caller.address[0], port)
    await speak_both(caller, agent, 200)
    assert len(elsewhere.heard) == 1
    elsewhere.close()


async def test_peer_allowing_no_rtcp_bandwidth_gets_no_reports_rfc3556_2(rig):
    caller = rig.incoming("caller", "0 8 101", "b=RS:0", "b=RR:0")
    agent = rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rtcp_peer = RtcpPeer(rig, caller.address[0], caller.address[1] + 1)
    await speak_both(caller, agent, 300)
    assert rtcp_peer.heard == []
    rtcp_peer.close()


async def test_sessions_join_the_shared_timer_at_their_first_packet_and_leave_when_closed(rig):
    timer, clock = PeriodicTimer(), asyncio.get_running_loop().time
    engine = MediaEngine(rig.network, rig.ports, "0.0.0.0", PUBLIC, counting(), clock, rtcp_timer=timer)
    sessions = [RelaySession(engine) for _ in "12"]
    for n, session in enumerate(sessions):
        peer = rig.peer(f"peer {n}")
        session.accept("caller", peer.sdp())
        peer.remote = session.address("caller")
        assert len(timer) == n
        await peer.send_speech(1)
        assert len(timer) == n + 1
    for session in sessions:
        session.close()
    assert len(timer) == 0
