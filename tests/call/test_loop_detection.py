"""A phone forwards our call to one of our own numbers: it is recognised and answered with 486."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.call.loop_detection import same_number
from proxy.call.outcome import Result
from screening.contract import News, Ring
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, summary

ANN, OURS = "+13475550148", "+14155550100"
BY_PHONE = ("Diversion", f"<sip:{PHONE_NUMBER}@carrier.example>;reason=no-answer;counter=1")


def shown(number: str) -> str:
    return f"<sip:{number}@sip.signalwire.com>"


async def rings(edge: Edge) -> None:
    """The agent decides ALLOW, and the phone rings."""
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rings()
    await edge.time_passes(1)


@pytest.mark.parametrize(
    ("caller", "header"),
    [
        (OURS, BY_PHONE),
        (ANN, ("Diversion", "<sip:4155559876@carrier.example>, <sip:+14155551234@carrier.example>")),
        (
            OURS,
            (
                "History-Info",
                f"<sip:{PHONE_NUMBER}@carrier.example>;index=1, <sip:+14155551234@carrier.example>;index=1.1",
            ),
        ),
        ("+14155551234", ("X-Nothing", "of where it has been")),
    ],
)
async def test_a_call_forwarded_back_by_the_ringing_phone_gets_486(
    edge: Edge, caller: str, header: tuple[str, str]
) -> None:
    await rings(edge)
    first = edge.carrier.current
    await edge.carrier.invites(caller=shown(caller), headers=[header])
    refusal = await edge.carrier.receives(486)
    assert refusal.headers.get_all("Reason") == ['Q.850;cause=17;text="the phone is busy"']
    assert len(edge.agent.calls) == len(edge.phone.calls) == len(edge.registry) == 1
    await edge.phone.rejects(486)  # what the carrier makes of our 486
    await edge.agent.receives("NOTIFY", sipfrag=486)
    assert edge.screening.news[-1] is News.PHONE_BUSY
    await first.hangs_up()
    assert summary(await edge.over())[0] is Result.CALLER_LEFT
    await edge.assert_clean()


async def test_a_call_forwarded_back_by_a_directly_called_pbx_gets_486(new_edge: NewEdge) -> None:
    place = replace(a_number().destinations[0], trunk=None)
    async with new_edge(number=a_number(destinations=(place,))) as edge:
        edge.phone.challenges = False
        edge.screener.planned = Ring("on the list")
        await edge.carrier.invites()
        await edge.phone.rings()
        first = edge.carrier.current
        await edge.carrier.invites(headers=[BY_PHONE])
        await edge.carrier.receives(486)
        await first.cancels()
        await edge.assert_clean()


async def test_another_callers_call_forwarded_by_the_ringing_phone_is_screened(edge: Edge) -> None:
    """Somebody else calls the same phone meanwhile, is forwarded because it is busy, and is screened."""
    await rings(edge)
    first = edge.carrier.current
    await edge.carrier.invites(caller=shown("+13475550199"), headers=[BY_PHONE])
    await edge.agent.answers()
    await edge.carrier.receives(200)
    for call in (edge.carrier.current, first):
        await call.hangs_up()
    await edge.over(2)


async def test_a_call_forwarded_by_the_phone_while_it_does_not_ring_is_screened(edge: Edge) -> None:
    await edge.carrier.invites(headers=[BY_PHONE])
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_a_call_forwarded_by_the_phone_after_it_answered_is_screened(edge: Edge) -> None:
    await edge.bridges()
    first = edge.carrier.current
    await edge.carrier.invites(caller=shown(ANN), headers=[BY_PHONE])
    await edge.agent.answers()
    await edge.carrier.receives(200)
    for call in (edge.carrier.current, first):
        await call.hangs_up()
    await edge.over(2)


async def test_a_phone_that_forwards_every_call_back_is_rung_only_once(edge: Edge) -> None:
    """Every caller is put through at once under their own number: up to the hourly limit of calls."""
    edge.screener.planned = Ring("on the list")
    await edge.carrier.invites()
    await edge.phone.rings()
    first = edge.carrier.current
    await edge.carrier.invites(headers=[BY_PHONE])
    await edge.carrier.receives(486)
    assert len(edge.phone.calls) == 1
    await first.cancels()
    await edge.assert_clean()


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [
        ("+14155559876", "4155559876", True),
        ("+4915112345678", "015112345678", True),
        ("+14155559876", "+14155559877", False),
        ("+14155559876", "9876", False),
        ("", "", False),
        (None, "+14155559876", False),
    ],
)
def test_two_numbers_are_the_same_if_their_last_digits_match(
    one: str | None, other: str | None, are: bool
) -> None:
    assert same_number(one, other) is same_number(other, one) is are
