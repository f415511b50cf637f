"""OPTIONS probes (RFC 3261 §11): which peers are up, which are down, and which never answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from proxy.call.probe import ProbedPeer, Probes
from proxy.sip.message import Request
from proxy.transport.flow import Flow, Target
from proxy.ua.reason import EndReason
from proxy.ua.uac import Outgoing
from tests.kit import messages
from tests.ua.user_agent import HOST, Peer, UserAgent, running_user_agent

NAME = "sip.trunk.example"


class Answering(Peer):
    """A peer that answers OPTIONS as long as the test lets it."""

    status: int | None = 200

    def received(self, flow: Flow, data: bytes) -> None:
        super().received(flow, data)
        message = self.heard[-1].message
        if self.status is not None and isinstance(message, Request) and message.method == "OPTIONS":
            self.answers(message, self.status)


@asynccontextmanager
async def probing(ua: UserAgent, uri: str = f"sip:{NAME}", every_s: float = 30.0) -> AsyncIterator[Probes]:
    probes = Probes(ua.core, [ProbedPeer("trunk:t", uri, every_s)], HOST)
    task = asyncio.ensure_future(probes.run())
    yield probes
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def peer(ua: UserAgent, end: int = 31, transport: str = "udp") -> Answering:
    far = Answering(ua.wire, f"192.0.2.{end}", transport, names=(NAME,))
    await far.start()
    return far


async def test_a_trunk_is_probed_by_options_every_30_s_rfc3261_11_1() -> None:
    async with running_user_agent() as ua:
        far = await peer(ua)
        async with probing(ua, f"sip:acme@{NAME}:5060;transport=udp") as probes:
            assert probes.peers() == {"trunk:t": "unknown"}
            await asyncio.sleep(65)
            assert far.times("OPTIONS") == pytest.approx([0, 30, 60], abs=0.05)
            assert probes.peers() == {"trunk:t": "up"}
            assert list(probes.targets()) == [("trunk:t", "udp:192.0.2.31:5060", True)]
            assert not probes.down("trunk:t")
        first, second = far.all("OPTIONS")[:2]
        assert first.uri == f"sip:acme@{NAME}:5060;transport=udp"
        assert first.headers.get("To") == f"<sip:acme@{NAME}>"
        assert first.headers.get("Accept") == "application/sdp"
        assert (first.max_forwards, first.to_tag, first.cseq.method) == (70, None, "OPTIONS")
        assert first.call_id != second.call_id
        await ua.assert_clean()


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405, 486, 500, 501])
async def test_any_response_to_options_but_408_and_503_marks_the_peer_up(status: int) -> None:
    async with running_user_agent() as ua:
        far = await peer(ua)
        far.status = status
        async with probing(ua) as probes:
            await asyncio.sleep(1)
            assert probes.peers() == {"trunk:t": "up"}


async def test_three_failed_probes_mark_a_peer_down_and_one_response_marks_it_up() -> None:
    async with running_user_agent() as ua:
        far = await peer(ua)
        target = Target("udp", (far.address, 5060), NAME)
        with capture_logs() as logs:
            async with probing(ua) as probes:
                await asyncio.sleep(1)
                far.status = None
                await asyncio.sleep(29 + 6 + 5 + 6 + 5 + 5)
                assert not probes.down("trunk:t")
                await asyncio.sleep(2)
                assert probes.down("trunk:t")
                assert not ua.core.target_health.is_healthy(target, ua.now)
                assert list(probes.targets()) == [("trunk:t", "udp:192.0.2.31:5060", False)]
                far.status = 200
                await asyncio.sleep(31)
                assert probes.peers() == {"trunk:t": "up"}
                assert ua.core.target_health.is_healthy(target, ua.now)
        told = [(line["log_level"], line["event"]) for line in logs if "target" in line]
        assert told == [("info", "target up"), ("warning", "target down"), ("info", "target up")]
        await ua.assert_clean()


@pytest.mark.parametrize("status", [408, 503])
async def test_a_peer_that_answers_408_or_503_is_marked_down(status: int) -> None:
    async with running_user_agent() as ua:
        far = await peer(ua)
        far.status = status
        async with probing(ua) as probes:
            await asyncio.sleep(11)
            assert probes.down("trunk:t")
            assert far.count("OPTIONS") == 3


async def test_a_refused_connection_marks_a_peer_down_that_has_never_answered() -> None:
    async with running_user_agent() as ua:
        ua.wire.host("192.0.2.31", names=[NAME])
        async with probing(ua, f"sip:{NAME};transport=tls") as probes:
            await asyncio.sleep(11)
            assert probes.down("trunk:t")


async def test_a_peer_whose_name_does_not_resolve_is_down_until_it_resolves() -> None:
    async with running_user_agent() as ua:
        with capture_logs() as logs:
            async with probing(ua) as probes:
                await asyncio.sleep(11)
                assert probes.down("trunk:t")
                await peer(ua)
                await asyncio.sleep(30)
                assert probes.peers() == {"trunk:t": "up"}
        told = [line["event"] for line in logs if "peer" in line]
        assert told == ["peer down", "peer found again", "target up"]


async def test_a_peer_that_has_never_answered_options_stays_unknown_with_one_warning() -> None:
    async with running_user_agent() as ua:
        far = await peer(ua)
        far.status = None
        with capture_logs() as logs:
            async with probing(ua) as probes:
                await asyncio.sleep(300)
                assert probes.peers() == {"trunk:t": "unknown"}
                assert list(probes.targets()) == []
        (line,) = [line for line in logs if "target" in line]
        assert line["event"].startswith("target has never answered OPTIONS")
        assert line["log_level"] == "warning"


async def test_a_peer_is_up_while_one_of_its_targets_is_up() -> None:
    async with running_user_agent() as ua:
        one, _ = await peer(ua, 31), await peer(ua, 32)
        async with probing(ua) as probes:
            await asyncio.sleep(1)
            one.status = None
            await asyncio.sleep(120)
            assert probes.peers() == {"trunk:t": "up"}
            assert [up for _, _, up in probes.targets()] == [False, True]
            assert not probes.down("trunk:other")


class Stuck(Answering):
    """A peer whose connection delivers nothing more to us, though TCP still acknowledges what we send."""

    stuck: Flow | None = None

    def answers(self, request: Request, status: int, **fields: object) -> None:
        if self.heard[-1].flow is not self.stuck:
            super().answers(request, status, **fields)


async def test_a_connection_without_any_incoming_message_is_replaced_after_failed_probes() -> None:
    async with running_user_agent() as ua:
        far = Stuck(ua.wire, "192.0.2.31", "tcp", names=(NAME,))
        await far.start()
        async with probing(ua, f"sip:{NAME};transport=tcp") as probes:
            await asyncio.sleep(1)
            far.stuck = far.heard[-1].flow
            await asyncio.sleep(29 + 6 + 5 + 6 + 5 + 5)
            assert not far.stuck.closed
            await asyncio.sleep(2)
            assert far.stuck.closed
            assert probes.down("trunk:t")
            await asyncio.sleep(30)
            assert probes.peers() == {"trunk:t": "up"}
        await ua.assert_clean()


async def test_a_connection_with_other_incoming_messages_is_kept_when_probes_fail() -> None:
    async with running_user_agent() as ua:
        far = await peer(ua, transport="tcp")
        async with probing(ua, f"sip:{NAME};transport=tcp") as probes:
            await asyncio.sleep(1)
            far.status, flow = None, far.heard[-1].flow
            await asyncio.sleep(35)
            await far.says(messages.request("OPTIONS"), flow=flow)
            await asyncio.sleep(40)
            assert probes.down("trunk:t")
            assert not flow.closed


async def test_a_ringing_call_survives_failed_probes_of_its_peer() -> None:
    """It may take calls all the same, and sends nothing while a phone rings there."""
    async with running_user_agent() as ua:
        far = await peer(ua, transport="tcp")
        async with probing(ua, f"sip:{NAME};transport=tcp") as probes:
            await asyncio.sleep(1)
            far.status = None
            await asyncio.sleep(100)
            assert probes.down("trunk:t")
            leg = ua.leg("phone")
            outgoing = Outgoing(f"sip:1@{NAME};transport=tcp", f"<sip:us@{HOST}>")
            task = asyncio.ensure_future(leg.invite(outgoing))
            invite = await far.hears("INVITE")
            far.answers(invite, 180)
            await asyncio.sleep(50)
            far.answers(invite, 200)
            await task
            leg.end(EndReason.COMPLETED)
            far.answers(await far.hears("BYE"), 200)
        await ua.assert_clean()


async def test_a_replaced_connection_with_any_incoming_message_is_kept_when_probes_fail() -> None:
    """Otherwise a trunk that answers no OPTIONS would lose its registration with every probe."""
    async with running_user_agent() as ua:
        far = await peer(ua, transport="tcp")
        async with probing(ua, f"sip:{NAME};transport=tcp") as probes:
            await asyncio.sleep(1)
            far.status, old = None, far.heard[-1].flow
            await asyncio.sleep(89)
            assert old.closed
            flow = far.heard[-1].flow
            await far.says(messages.request("OPTIONS"), flow=flow)
            await asyncio.sleep(300)
            assert probes.down("trunk:t")
            assert not flow.closed


async def test_a_response_after_the_probe_timed_out_is_ignored() -> None:
    async with running_user_agent() as ua:
        far = await peer(ua)
        far.status = None
        async with probing(ua) as probes:
            await asyncio.sleep(7)
            far.answers(far.all("OPTIONS")[0], 200)
            await asyncio.sleep(1)
            assert probes.peers() == {"trunk:t": "unknown"}
        await ua.assert_clean()
