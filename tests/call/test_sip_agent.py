"""`provider = "sip"`: a voice agent reached by SIP alone, which decides by REFER or BYE."""

from __future__ import annotations

import pytest

from proxy.call.outcome import Result
from proxy.call.routing import Agent
from screening.contract import Ask
from screening.settings import ScreeningSettings
from screening.sip_agent import SipScreening
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, summary


def sip_agent(transport: str) -> Agent:
    return Agent("local", f"sip:bot@sip.api.openai.com:5061;transport={transport}")


def asks(edge: Edge, talk_limit_s: float = 90.0) -> None:
    """Configure the edge for such an agent: no token is sent, and no webhook awaited."""
    edge.screener.planned = Ask(SipScreening(ScreeningSettings(talk_limit_s=talk_limit_s)))


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_sip_agent_connects_the_caller_by_refer(new_edge: NewEdge, transport: str) -> None:
    async with new_edge(number=a_number(agent=sip_agent(transport))) as edge:
        asks(edge)
        await edge.bridges()
        await edge.carrier.hangs_up()
        await edge.phone.receives("BYE")
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        invite = edge.agent.current.invite
        assert invite is not None
        assert "X-Screendoor-Token" not in invite.headers
        await edge.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_bye_of_a_sip_agent_declines_the_caller(new_edge: NewEdge, transport: str) -> None:
    async with new_edge(number=a_number(agent=sip_agent(transport))) as edge:
        asks(edge)
        await edge.connects()
        await edge.agent.hangs_up()
        await edge.carrier.receives("BYE")
        assert summary(await edge.over()) == (Result.DECLINED, "REJECT", None, None)
        await edge.assert_clean()


async def test_a_sip_agent_gets_notify_486_for_a_busy_phone_and_may_then_hang_up(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(agent=sip_agent("tcp"))) as edge:
        asks(edge)
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rejects(486)
        await edge.agent.receives("NOTIFY", sipfrag=486)
        await edge.time_passes(3.0)
        await edge.agent.hangs_up()
        await edge.carrier.receives("BYE")
        assert summary(await edge.over()) == (Result.DECLINED, "REJECT", "refer", None)
        await edge.assert_clean()


async def test_voicemail_answers_for_a_busy_phone_if_the_sip_agent_hung_up_after_its_refer(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=a_number(agent=sip_agent("tcp"))) as edge:
        asks(edge)
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.agent.hangs_up()
        await edge.phone.rejects(486)
        await edge.time_passes(3.0)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.VOICEMAIL, "ALLOW", "refer", "caller")
        await edge.assert_clean()


async def test_the_phone_rings_when_a_sip_agent_reaches_the_talk_limit(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(agent=sip_agent("udp"))) as edge:
        asks(edge, talk_limit_s=10.0)
        await edge.connects()
        began = edge.now
        await edge.phone.rings()
        assert edge.now - began == pytest.approx(9.0, abs=0.1)  # one second of talk has passed
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        await edge.assert_clean()
