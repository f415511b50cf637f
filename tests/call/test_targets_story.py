"""Calls while a trunk or the agent is down, and phones that redirect the call."""

from __future__ import annotations

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.call.routing import Destination, Trunk
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, leg_ends, summary

SECOND = "+14155559877"
TRUNK = Trunk("trunk", "sip:trunk.example.com", "screendoor", "secret", "+14155550100")
TWO = (
    Destination(f"sip:{PHONE_NUMBER}@trunk.example.com", PHONE_NUMBER, TRUNK),
    Destination(f"sip:{SECOND}@trunk.example.com", SECOND, TRUNK),
)


async def test_a_call_rings_the_phone_unscreened_at_once_if_the_agent_is_down(edge: Edge) -> None:
    edge.down.add("agent:openai")
    began = edge.now
    await edge.carrier.invites()
    await edge.phone.rings()
    assert edge.now - began < 0.1
    await edge.phone.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
    assert "unscreened: the agent is down: it fails its probes" in record.steps
    assert edge.agent.calls == {}
    await edge.assert_clean()


async def test_a_302_to_another_configured_destination_is_followed_rfc3261_8_1_3_4(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(destinations=TWO)) as edge:
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rejects(302, headers=(("Contact", f"<sip:{SECOND}@pbx.example.com>;q=0.5"),))
        call = await edge.phone.answers()
        assert call.invite.uri == f"sip:{SECOND}@trunk.example.com"
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert "redirected: by 302 to another destination of this number" in record.steps
        assert summary(record)[0] is Result.BRIDGED
        await edge.assert_clean()


@pytest.mark.parametrize("contact", ["<sip:+19005550000@premium.example.com>", f"<tel:{PHONE_NUMBER}>"])
async def test_a_302_to_an_unconfigured_or_already_tried_destination_is_a_refusal(
    new_edge: NewEdge, contact: str
) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.REJECT)) as edge:
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rejects(302, headers=(("Contact", contact),))
        await edge.agent.receives("NOTIFY", sipfrag=302)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert any(step.startswith("redirection not followed") for step in record.steps)
        assert [name for name, _ in leg_ends(record)] == ["caller", "agent", "phone"]
        await edge.assert_clean()


async def test_a_destination_behind_a_trunk_that_is_down_is_skipped(new_edge: NewEdge) -> None:
    dead = Trunk("dead", "sip:192.0.2.254")
    places = (Destination(f"sip:{SECOND}@192.0.2.254", SECOND, dead), TWO[0])
    async with new_edge(number=a_number(destinations=places)) as edge:
        edge.down |= {"trunk:dead", "agent:openai"}
        await edge.carrier.invites()
        await edge.phone.answers()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert [leg.peer for leg in record.legs if leg.name == "phone"] == [TWO[0].uri]
        await edge.assert_clean()
