"""Failover of a call to a domain name, with a real DNS server and real loopback sockets (RFC 3263)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.sip.message import Request, parse_message
from proxy.sip.uri import Uri
from proxy.transport.network import SocketNetwork
from proxy.transport.resolver import Resolver
from proxy.ua.advertised import Advertised
from proxy.ua.core import UserAgentCore
from proxy.ua.errors import Rejected
from proxy.ua.leg import Leg
from proxy.ua.outgoing_invite import Outgoing
from tests.kit.ids import CountingIds
from tests.kit.messages import SDP
from tests.transport.name_server import a_name_server
from tests.ua.user_agent import Media, UserAgent

pytestmark = pytest.mark.network


async def test_a_call_resolved_by_naptr_and_srv_fails_over_from_a_refused_connection_rfc3263_4_3() -> None:
    heard: asyncio.Queue[Request] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        invite = parse_message(head + await reader.readexactly(len(SDP)))
        assert isinstance(invite, Request)
        heard.put_nowait(invite)
        writer.write(invite.reply(486, to_tag="b").encode())
        await reader.read()  # the ACK, and whatever follows until the connection closes
        writer.close()  # since Python 3.12 a server's wait_closed() waits for its connections

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening
        alive = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = alive.sockets[0].getsockname()[1]
        zone = {
            ("pbx.example.", "NAPTR"): ['10 10 "s" "SIP+D2T" "" _sip._tcp.pbx.example.'],
            ("_sip._tcp.pbx.example.", "SRV"): [
                f"10 0 {closed.getsockname()[1]} a.pbx.example.",
                f"20 0 {port} a.pbx.example.",
            ],
            ("a.pbx.example.", "A"): ["127.0.0.1"],
        }
        async with a_name_server(zone) as server:
            network = SocketNetwork(Resolver(server.lookup()))
            ua = UserAgent()  # its gate admits everybody
            core = UserAgentCore(
                network,
                ids=CountingIds(),
                advertised=Advertised("127.0.0.1"),
                gate=ua,
                invited=ua.invitations.put_nowait,
            )
            network.start(core)
            leg = Leg("phone", core, Media())
            with pytest.raises(Rejected, match="486"):
                await asyncio.wait_for(leg.invite(Outgoing("sip:bob@pbx.example", "<sip:us@127.0.0.1>")), 10)
            assert (await heard.get()).uri == "sip:bob@pbx.example"
            targets = await network.resolve(Uri.parse("sip:bob@pbx.example"))
            now = asyncio.get_running_loop().time()
            assert [core.target_health.is_healthy(target, now) for target in targets] == [False, True]
            await core.close()
            await network.close()
        alive.close()
        await alive.wait_closed()
