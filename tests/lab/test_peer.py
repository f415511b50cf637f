"""The lab's SIP peer: retransmission, awaiting messages, and ladders in failure messages."""

import asyncio

import pytest

from proxy.lab.carrier import Carrier
from proxy.lab.expect import Unexpected
from proxy.lab.peer import Peer
from proxy.lab.peer_call import PeerCall
from proxy.lab.phone import Phone
from proxy.sip.uri import Uri
from proxy.transport.devcert import write_certificates
from proxy.transport.network import SocketNetwork
from proxy.transport.tls import ClientTls, ServerTls
from tests.kit.ids import CountingIds
from tests.kit.network import Wire
from tests.kit.user_agents import CARRIER, OFFER, PHONE, carrier_and_edge, peer, plain

pytestmark = pytest.mark.virtual


async def test_messages_on_a_lossy_network_are_resent_and_handled_once():
    wire = Wire(seed=3)
    wire.impair(loss=0.3, duplication=0.2, reordering=0.2)
    carrier, edge = await carrier_and_edge("udp", wire)
    for _ in range(5):
        await carrier.invites()
        invite = await edge.receives("INVITE")
        edge.responds(invite, 180)
        edge.responds(invite, 200, sdp=OFFER)
        await carrier.receives(200)
        await edge.receives("ACK")
        assert (await carrier.hangs_up()).status == 200
        await edge.receives("BYE")
    await asyncio.sleep(40)
    assert wire.lost
    assert carrier.faults == edge.faults == []
    assert [call.resending for call in (*carrier.calls.values(), *edge.calls.values())] == [0] * 10
    await carrier.close()
    await edge.close()


async def test_with_two_reinvites_pending_each_200_is_acknowledged_with_its_own_cseq():
    """RFC 3261 §14.1 forbids overlapping offers, but some equipment sends them."""
    carrier, edge = await carrier_and_edge()
    await carrier.invites()
    edge.responds(await edge.receives("INVITE"), 200, sdp=OFFER)
    await carrier.receives(200)
    await edge.receives("ACK")
    for _ in range(2):
        await carrier.current.sends("INVITE", body=OFFER)
    for asked in [await edge.receives("INVITE") for _ in range(2)]:
        edge.responds(asked, 200, sdp=OFFER)
        assert (await edge.receives("ACK")).cseq.number == asked.cseq.number
    assert (await carrier.hangs_up()).status == 200
    await carrier.close()
    await edge.close()


async def test_an_unexpected_message_raises_an_error_with_the_call_ladder():
    carrier, edge = await carrier_and_edge()
    await carrier.invites()
    edge.responds(await edge.receives("INVITE"), 486)
    with pytest.raises(Unexpected) as caught:
        await carrier.receives(200)
    assert "carrier awaits 200, but SIP/2.0 486 Busy Here came" in str(caught.value)
    assert "> INVITE sip:+14155551234@sbc.example.com:5060;transport=UDP SIP/2.0" in str(caught.value)
    assert "< SIP/2.0 486 Busy Here (105354320 INVITE)" in str(caught.value)


async def test_a_wait_that_times_out_raises_an_error_with_the_call_ladder():
    carrier, edge = await carrier_and_edge()
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(Unexpected, match=r"edge waited 3 s for a call\n\(nothing was sent or received\)"):
        await edge.receives("INVITE", within_s=3)
    assert loop.time() - before == 3
    with pytest.raises(Unexpected, match="carrier has no call"):
        await carrier.receives(200)
    await carrier.invites()
    edge.responds(await edge.receives("INVITE"), 183)
    with pytest.raises(Unexpected, match=r"waited 2 s for 200 with \{'sdp': 'v=0'\}"):
        await carrier.receives(200, within_s=2, sdp="v=0")
    edge.auto.discard("OPTIONS")
    with pytest.raises(Unexpected, match="waited 1 s for the answer to OPTIONS"):
        await carrier.current.requests("OPTIONS", within_s=1)


async def test_receives_nothing_raises_if_a_message_arrives():
    carrier, edge = await carrier_and_edge()
    await edge.receives_nothing(for_s=5)
    await carrier.invites()
    with pytest.raises(Unexpected, match="but a call came"):
        await edge.receives_nothing(for_s=5)
    edge.responds(await edge.receives("INVITE"), 180)
    await carrier.receives_nothing(for_s=5)
    await edge.receives_nothing(for_s=5)
    edge.responds(edge.current.invite, 603)
    with pytest.raises(Unexpected, match=r"awaits nothing for 5 s, but SIP/2\.0 603 Decline came"):
        await carrier.receives_nothing(for_s=5)


async def test_options_outside_a_call_get_200_and_stray_messages_are_reported():
    wire = Wire()
    edge, phone = await plain(wire), await peer(wire, Phone, PHONE)
    flow = await edge.flow_to(Uri.parse(f"sip:{PHONE}"))
    stray = PeerCall(edge, "c1", flow, "<sip:e@x>;tag=1", "<sip:p@x>", "<sip:e@x>", target=f"sip:p@{PHONE}")
    edge.calls["c1"] = stray
    assert (await stray.requests("OPTIONS")).status == 200
    stray.remote += ";tag=unknown"
    assert (await stray.requests("BYE")).status == 481
    stray.flow.send(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
                    b"To: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n")  # fmt: skip
    stray.flow.send(b"nonsense\r\n\r\n")
    await asyncio.sleep(1)
    assert [fault.partition(":")[0] for fault in phone.faults] == [
        "a request of no call",
        "a response to nothing",
        "malformed",
    ]


async def test_a_peer_uses_the_given_ids_and_calls_the_given_watcher():
    seen = []
    wire = Wire()
    edge = await plain(wire, ids=CountingIds("e"))
    carrier = await peer(wire, Carrier, CARRIER, edge="sbc.example.com:5060", ids=CountingIds(),
                         watch=lambda who, traced: seen.append((who.name, traced.direction)))  # fmt: skip
    await carrier.invites()
    invite = await edge.receives("INVITE")
    assert (invite.call_id, invite.from_tag, invite.via.branch) == ("call1", "tag1", "z9hG4bK1")
    assert seen == [("carrier", ">")]


@pytest.mark.network
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_the_same_peers_run_on_real_sockets(transport, tmp_path):
    tls, trust = None, None
    if transport == "tls":
        write_certificates(tmp_path, ["127.0.0.1"])
        tls = ServerTls(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
        trust = ClientTls(tmp_path / "ca.pem")
    edge = Peer("edge", SocketNetwork(client_tls=trust), transport=transport, tls=tls)
    host, port = await edge.start()
    carrier = Carrier(SocketNetwork(client_tls=trust), edge=f"{host}:{port}", transport=transport, tls=tls)
    await carrier.start()
    await carrier.invites()
    invite = await edge.receives("INVITE", within_s=5)
    edge.responds(invite, 200, sdp=OFFER)
    await carrier.receives(200, within_s=5)
    assert (await carrier.hangs_up()).status == 200
    assert carrier.faults == edge.faults == []
    await carrier.close()
    await edge.close()
