"""A connection breaks after any message of a complete call (RFC 3261 §17.1.4, §18.4; RFC 5626 §4.4)."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from proxy.call.outcome import Outcome, Result
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow
from proxy.ua.reason import EndReason
from screening.contract import Ring
from tests.kit.edge import CARRIER, OPENAI, PHONE_NUMBER, TRUNK, Edge, NewEdge
from tests.kit.races import LEGS, end_and_assert_clean, messages_received, race_edge

ADDRESS = {"caller": CARRIER, "agent": OPENAI, "phone": TRUNK}
TRANSPORT = {"caller": "transport", "agent": "agent", "phone": "phone"}
MESSAGES = {"caller": 7, "agent": 12, "phone": 9}
"""How many messages the call exchanges on each leg."""

PLACES = [(leg, number) for leg in LEGS for number in range(MESSAGES[leg])]


class Cutting:
    """Breaks all connections with an address once a number of messages has passed there."""

    def __init__(self, edge: Edge, address: str, after: int) -> None:
        self._edge, self._address, self._left = edge, address, after
        self.done = False
        edge.core.traces.append(self._note)
        edge.rule_checker.connection_cut = True

    def _note(self, direction: str, flow: Flow, message: Request | Response) -> None:
        if flow.remote[0] == self._address and not self.done:
            self._left -= 1
            if self._left < 0:
                self.done = True
                asyncio.get_running_loop().call_soon(self._cut)

    def _cut(self) -> None:
        for flow in self._edge.wire.flows():
            if self._address in (flow.local[0], flow.remote[0]):
                self._edge.wire.cut(flow)


async def whole_call(edge: Edge) -> None:
    """Every peer plays its part in a complete call, as far as its connection lasts."""
    caller = await edge.carrier.invites()
    agent = asyncio.ensure_future(as_agent(edge))
    phone = asyncio.ensure_future(as_phone(edge))
    await edge.time_passes(12)
    if not caller.over:
        await caller.sends("BYE")
        caller.finish()
    await edge.time_passes(50)
    for task in (agent, phone):
        task.cancel()
    await asyncio.gather(agent, phone, return_exceptions=True)


async def as_agent(edge: Edge) -> None:
    call = await edge.agent.answers()
    await edge.time_passes(1)
    if not call.over:
        await call.sends("REFER", headers=[("Refer-To", f"<tel:{PHONE_NUMBER}>")])


async def as_phone(edge: Edge) -> None:
    while True:
        await edge.phone.rings()
        await edge.time_passes(1)
        await edge.phone.answers()


@pytest.mark.parametrize(("leg", "number"), PLACES)
async def test_a_connection_lost_after_any_message_leaves_nothing_behind(
    new_edge: NewEdge, leg: str, number: int
) -> None:
    async with race_edge(new_edge, **{TRANSPORT[leg]: "tls" if leg != "phone" else "tcp"}) as edge:
        cutting = Cutting(edge, ADDRESS[leg], number)
        await whole_call(edge)
        assert cutting.done
        await edge.assert_clean(faults=False)


async def test_an_uninterrupted_call_exchanges_the_expected_number_of_messages(
    new_edge: NewEdge, leg: str
) -> None:
    """Guards the numbers above: they must reach the end of the call."""
    async with race_edge(new_edge, **{TRANSPORT[leg]: "tls" if leg != "phone" else "tcp"}) as edge:
        seen = []
        edge.core.traces.append(lambda direction, flow, message: seen.append(flow.remote[0]))
        await whole_call(edge)
        assert seen.count(ADDRESS[leg]) == MESSAGES[leg]
        await end_and_assert_clean(edge)
        assert edge.records[0].outcome is not None
        assert edge.records[0].outcome.result is Result.BRIDGED


@pytest.mark.parametrize("leg", ["caller", "phone"])
async def test_a_bridged_call_survives_the_loss_of_all_connections(new_edge: NewEdge, leg: str) -> None:
    """The dialog survives; our BYE opens a new connection, and so does the peer's next request."""
    async with race_edge(new_edge, transport="tls", phone="tcp", agent="tls") as edge:
        await edge.bridges()
        edge.rule_checker.connection_cut = True
        for flow in edge.wire.flows():
            edge.wire.cut(flow)
        await edge.time_passes(5)
        call = edge.carrier.current if leg == "caller" else edge.phone.current
        assert (await call.reinvites(call.sdp)).status == 200
        await call.sends("BYE")
        call.finish()
        other = edge.phone.current if leg == "caller" else edge.carrier.current
        await edge.time_passes(10)
        assert messages_received(other, "BYE")
        await end_and_assert_clean(edge)


async def test_a_phone_connection_lost_as_the_user_ends_the_call_logs_no_error(
    new_edge: NewEdge,
) -> None:
    with capture_logs() as logs:
        async with race_edge(new_edge, phone="tcp") as edge:
            edge.screener.planned = Ring("known")
            await edge.carrier.invites()
            await edge.phone.rings()
            edge.rule_checker.connection_cut = True
            for flow in edge.wire.flows():
                edge.wire.cut(flow)
            for call in edge.registry.going_on():
                call.end(EndReason.BY_USER)
            await edge.time_passes(1)
            assert edge.record.outcome == Outcome(Result.DECLINED, EndReason.BY_USER.text)
            await edge.assert_clean()
    assert not [each for each in logs if each["log_level"] == "error"]
