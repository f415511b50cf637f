"""Emergency calls are never screened: they are refused, so that the trunk takes its next route."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.kit.edge import CARRIER, HOST, Edge, NewEdge, a_number


@pytest.mark.parametrize("dialed", ["911", "112", "+1911", "933", "9-1-1", "%39%31%31"])
async def test_an_emergency_number_gets_404_unscreened_even_with_a_wildcard_number(
    new_edge: NewEdge, dialed: str
) -> None:
    async with new_edge(number=a_number(dialed="*")) as edge:
        with capture_logs() as logs:
            await edge.carrier.invites(dialed=dialed)
            answer = await edge.carrier.receives(404)
        await refused_in_words(edge, answer.headers.get("Warning"), logs)


async def test_a_service_urn_gets_404_unscreened_rfc5031_4_2(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(dialed="*")) as edge:
        original = edge.carrier._invite

        def for_help(*args):
            invite = original(*args)
            invite.uri = "urn:service:sos.ambulance"
            return invite

        edge.carrier._invite = for_help
        with capture_logs() as logs:
            await edge.carrier.invites()
            answer = await edge.carrier.receives(404)
        await refused_in_words(edge, answer.headers.get("Warning"), logs)


async def refused_in_words(edge: Edge, warning: str | None, logs: list) -> None:
    assert warning == f'399 {HOST} "emergency calls are not taken here, use another line"'
    assert [line["source"] for line in logs if line["event"] == "emergency call refused"] == [CARRIER]
    await edge.time_passes(40)
    assert (len(edge.agent.calls), edge.records) == (0, [])
    assert not any(edge.core.left_over().values())
