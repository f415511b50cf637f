"""Calls from aiovoip, which breaks several rules of SIP (see docs/why-not-aiosip.md).

Its ACK and BYE ignore our Contact, its ACK reuses an old branch, and its CANCEL matches no transaction.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Self, TypeVar

import aiovoip  # type: ignore[import-untyped]
import pytest
from aiovoip.contact import Contact  # type: ignore[import-untyped]
from aiovoip.dialog import InviteDialog  # type: ignore[import-untyped]
from multidict import CIMultiDict

from tests.interop.peers import CALLERS_NUMBER, Peers
from tests.sipp.edge_process import DIALED, HOST
from tests.sipp.ports import free_port

pytestmark = pytest.mark.network

LIMIT_S = 20.0
LONGER_THAN_T1 = 50
"""In 20 ms packets: an unacknowledged 200 would be retransmitted within this time."""
SDP = (
    "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0\r\na=ptime:20\r\n"
)
Result = TypeVar("Result")


class Invitation(InviteDialog):  # type: ignore[misc]
    """aiovoip's dialog, shielded from the 100: that has no To tag (§8.2.6.2), and aiovoip needs one."""

    async def receive_message(self, msg: Any) -> None:
        if isinstance(msg, aiovoip.Request) or msg.status_code != 100:
            await super().receive_message(msg)

    ack_by: Any = None
    """A separate connection for ACKs; None: the dialog's own."""

    def ack(self, msg: Any, headers: Any = None, *args: Any, **kwargs: Any) -> None:
        if self.ack_by is None:
            super().ack(msg, headers, *args, **kwargs)
            return
        ack = self._prepare_request("ACK", cseq=msg.cseq, to_details=msg.to_details, headers=headers)
        self.ack_by.send_message(ack)

    def cancel(self, **fields: Any) -> None:
        """Send one CANCEL; aiovoip's `close` takes half a minute, as it recognises no response to it."""
        self.peer.send_message(self._prepare_request("CANCEL", **fields))

    def hang_up(self) -> None:
        """Send a BYE; aiovoip's `close` sends none after any of its requests was refused."""
        self.peer.send_message(self._prepare_request("BYE"))


class Caller:
    """A caller with aiovoip, and a socket that receives its audio."""

    def __init__(self, peers: Peers, protocol: type = aiovoip.UDP) -> None:
        self._edge, self._protocol = peers.edge.port, protocol
        self._app = aiovoip.Application()
        self._ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    async def __aenter__(self) -> Self:
        self._ear.setblocking(False)
        self._ear.bind((HOST, 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ear.close()
        await self._app.close(timeout=0)

    async def invite(self, *, subject: str = "door") -> Invitation:
        """Send an INVITE without waiting for a response."""
        port = free_port()
        peer = await self._app.connect((HOST, self._edge), self._protocol, local_addr=(HOST, port))
        dialog: Invitation = await peer.invite(
            from_details=Contact.from_header(f"<sip:{CALLERS_NUMBER}@{HOST}:{port}>"),
            to_details=Contact.from_header(f"<sip:{DIALED}@{HOST}:{self._edge}>"),
            headers=CIMultiDict({"Content-Type": "application/sdp", "Subject": subject}),
            payload=SDP.format(host=HOST, port=self._ear.getsockname()[1]),
            dialog_factory=Invitation,
        )
        return dialog

    async def elsewhere(self) -> Any:
        """Another connection to the edge, from another port."""
        return await self._app.connect((HOST, self._edge), self._protocol, local_addr=(HOST, free_port()))

    async def wait_to_hear(self, packets: int) -> None:
        for _ in range(packets):
            await asyncio.get_running_loop().sock_recv(self._ear, 2048)


async def answer(dialog: Invitation, method: str) -> int:
    """The status of the next final response to a request of this method."""
    while True:
        msg = await dialog.recv()
        if msg.method == method and msg.status_code >= 200:
            return int(msg.status_code)


async def in_thread(act: Callable[..., Result], *words: str) -> Result:
    """Run a blocking wait for another process in a thread, so that the event loop goes on."""
    return await asyncio.to_thread(act, *words)


@pytest.mark.parametrize("protocol", [aiovoip.UDP, aiovoip.TCP])
async def test_an_ack_with_an_old_branch_and_uri_stops_our_200_retransmissions_rfc3261_13_3_1_4(
    peers: Peers, protocol: type
) -> None:
    agent = await in_thread(peers.agent)
    async with Caller(peers, protocol) as caller, asyncio.timeout(LIMIT_S):
        dialog = await caller.invite()
        await in_thread(agent.wait_for, "call_incoming")
        agent.command("answer")
        assert await answer(dialog, "INVITE") == 200
        await caller.wait_to_hear(LONGER_THAN_T1)
        assert dialog._queue.empty(), "the ACK was not taken for one"
        assert peers.edge.calls == 1
        await dialog.close(timeout=LIMIT_S)
        await in_thread(agent.wait_for, "call_closed")
    record = await in_thread(peers.record)
    assert (record["outcome"]["result"], record["ended_by"]) == ("caller left", "caller")


@pytest.mark.parametrize("protocol", [aiovoip.UDP, aiovoip.TCP])
async def test_a_cancel_with_another_branch_and_cseq_gets_481_rfc3261_9_2(
    peers: Peers, protocol: type
) -> None:
    agent = await in_thread(peers.agent)
    async with Caller(peers, protocol) as caller, asyncio.timeout(LIMIT_S):
        dialog = await caller.invite()
        await in_thread(agent.wait_for, "call_incoming")
        dialog.cancel()  # a branch and a CSeq number of its own
        assert await answer(dialog, "CANCEL") == 481
        assert peers.edge.calls == 1, "that CANCEL was nobody's"
        invite = dialog.original_msg
        dialog.cancel(cseq=invite.cseq, headers={"Via": invite.headers["Via"]})
        assert await answer(dialog, "CANCEL") == 200
        assert await answer(dialog, "INVITE") == 487
        await in_thread(agent.wait_for, "call_closed")
    record = await in_thread(peers.record)
    assert (record["outcome"]["result"], record["answered"]) == ("caller left", None)


@pytest.mark.parametrize("protocol", [aiovoip.UDP, aiovoip.TCP])
async def test_after_cancels_that_get_481_the_call_is_answered_and_ended_by_bye_rfc3261_9_2(
    peers: Peers, protocol: type
) -> None:
    agent = await in_thread(peers.agent)
    async with Caller(peers, protocol) as caller, asyncio.timeout(LIMIT_S):
        dialog = await caller.invite()
        await in_thread(agent.wait_for, "call_incoming")
        dialog.cancel()
        assert await answer(dialog, "CANCEL") == 481
        agent.command("answer")
        assert await answer(dialog, "INVITE") == 200
        dialog.cancel()  # too late, and again with the wrong branch
        assert await answer(dialog, "CANCEL") == 481
        await caller.wait_to_hear(LONGER_THAN_T1)
        assert peers.edge.calls == 1
        dialog.hang_up()
        assert await answer(dialog, "BYE") == 200
        await in_thread(agent.wait_for, "call_closed")
    record = await in_thread(peers.record)
    assert (record["outcome"]["result"], record["ended_by"]) == ("caller left", "caller")


@pytest.mark.parametrize("protocol", [aiovoip.UDP, aiovoip.TCP])
async def test_an_ack_from_another_source_address_is_accepted_rfc3261_13_3_1_4(
    peers: Peers, protocol: type
) -> None:
    agent = await in_thread(peers.agent)
    async with Caller(peers, protocol) as caller, asyncio.timeout(LIMIT_S):
        dialog = await caller.invite()
        dialog.ack_by = await caller.elsewhere()
        await in_thread(agent.wait_for, "call_incoming")
        agent.command("answer")
        assert await answer(dialog, "INVITE") == 200
        await caller.wait_to_hear(LONGER_THAN_T1)
        assert dialog._queue.empty(), "the ACK was not taken for one"
        await dialog.close(timeout=LIMIT_S)
        await in_thread(agent.wait_for, "call_closed")
    assert (await in_thread(peers.record))["ended_by"] == "caller"


async def test_an_invite_with_a_bare_cr_in_a_header_gets_400_rfc3261_21_4_1(peers: Peers) -> None:
    async with Caller(peers) as caller, asyncio.timeout(LIMIT_S):
        dialog = await caller.invite(subject="door\rVia: SIP/2.0/UDP 192.0.2.1")
        assert await answer(dialog, "INVITE") == 400
    assert peers.records(0) == []
