"""Requests of one dialog overtake each other (RFC 3261 §12.2.2)."""

from __future__ import annotations

from tests.kit.edge import NewEdge
from tests.kit.races import a_race, again, established_call, heard, hears, rough_network, settled


async def test_a_request_with_a_lower_cseq_is_500_and_the_call_goes_on(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with a_race(new_edge, seed) as edge:
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
        await settled(edge)


async def test_a_gap_in_the_cseq_numbers_is_no_fault(new_edge: NewEdge, leg: str, seed: int) -> None:
    async with a_race(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        call.cseq += 1000
        assert (await call.requests("UPDATE")).status == 200
        assert (await call.reinvites(call.sdp)).status == 200
        await settled(edge)


async def test_an_old_request_that_comes_again_gets_its_old_answer_rfc3261_17_2_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with a_race(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        old = await call.sends("UPDATE")
        await hears(call, 200, cseq=old.headers.get("CSeq"))
        assert (await call.requests("OPTIONS")).status == 200
        again(call, old)
        await edge.passes(1)
        assert not heard(call, 500)
        assert len(heard(call, 200, cseq=old.headers.get("CSeq"))) >= (1 if seed else 2)
        await settled(edge)
