"""Requests of one dialog overtake each other (RFC 3261 §12.2.2)."""

from __future__ import annotations

from tests.kit.edge import NewEdge
from tests.kit.races import (
    end_and_assert_clean,
    established_call,
    messages_received,
    race_edge,
    resend,
    rough_network,
    wait_to_receive,
)


async def test_a_request_with_a_lower_cseq_gets_500_and_the_call_goes_on(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        call.cseq += 5
        assert (await call.requests("OPTIONS")).status == 200
        call.cseq -= 4
        assert (await call.requests("OPTIONS")).status == 500
        assert (await call.requests("INVITE", body=call.sdp)).status == 500
        assert (await call.requests("BYE")).status == 500
        call.cseq += 4
        assert (await call.reinvites(call.sdp)).status == 200
        assert not call.over
        await end_and_assert_clean(edge)


async def test_a_gap_in_the_cseq_numbers_is_accepted(new_edge: NewEdge, leg: str, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        call.cseq += 1000
        assert (await call.requests("UPDATE")).status == 200
        assert (await call.reinvites(call.sdp)).status == 200
        await end_and_assert_clean(edge)


async def test_a_retransmission_of_an_older_request_gets_its_200_again_rfc3261_17_2_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        old = await call.sends("UPDATE")
        await wait_to_receive(call, 200, cseq=old.headers.get("CSeq"))
        assert (await call.requests("OPTIONS")).status == 200
        resend(call, old)
        await edge.time_passes(1)
        assert not messages_received(call, 500)
        assert len(messages_received(call, 200, cseq=old.headers.get("CSeq"))) >= (1 if seed else 2)
        await end_and_assert_clean(edge)
