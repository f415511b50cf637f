"""Policy decisions before anything rings, seen on the wire, with the real screener."""

from __future__ import annotations

import itertools
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from proxy.call.outcome import OnFailure, Result
from screening.callers.contacts import Contacts
from screening.callers.number_list import NumberList
from screening.callers.timetable import Timetable, parse_window
from screening.contract import Ring
from screening.decision import Action
from screening.policy import Policy
from screening.screener import Screener
from tests.kit.edge import Edge, NewEdge, a_number, leg_ends, summary

CALLER = "+13475550148"
KNOWN = Policy(country="US", contacts=[Contacts({CALLER: "Anna"})])
NEIGHBOURS = 'reject: block pattern: the number matches "+13475550100 - +13475550199"'
AT_NIGHT = replace(KNOWN, times=Timetable(ZoneInfo("Asia/Tokyo"), quiet=(parse_window("17:00-19:00"),)))
"""The stories begin at 18:00 in Tokyo."""


def judged_by(edge: Edge, policy: Policy) -> None:
    """Let a real screener without an agent plan calls with this policy."""
    counter = itertools.count(1)
    screener = Screener(
        [],
        wall_clock=edge._wall_clock,
        token_bytes=lambda size: next(counter).to_bytes(size, "big"),
        policies={edge.number.dialed: policy},
    )
    edge.screener.planned = Ring("planned by the policy")
    edge.screener.plan = screener.plan  # type: ignore[method-assign]


async def calls(edge: Edge) -> None:
    await edge.carrier.invites()


async def test_a_contact_rings_the_phone_without_screening(edge: Edge) -> None:
    judged_by(edge, KNOWN)
    await calls(edge)
    await edge.phone.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert edge.agent.calls == {}
    assert summary(record) == (Result.BRIDGED, None, "plan", "caller")
    assert record.plan == "ring: contacts: the number is in the contacts"
    assert record.steps[0] == "planned: ring: contacts: the number is in the contacts"
    await edge.assert_clean()


@pytest.mark.parametrize(
    ("block", "plan"),
    [
        ([CALLER], "reject: block: the number is on the block list"),
        (["+1347555*"], 'reject: block pattern: the number matches "+1347555*"'),
        (
            ["+13475550100..+13475550199"],
            'reject: block pattern: the number matches "+13475550100..+13475550199"',
        ),
    ],
)
async def test_a_blocked_caller_gets_603_and_neither_agent_nor_phone_rings(
    edge: Edge, block: list[str], plan: str
) -> None:
    judged_by(edge, Policy(country="US", block=[NumberList(block)]))
    with capture_logs() as logs:
        await calls(edge)
        await edge.carrier.receives(603)
        record = await edge.over()
    assert (edge.agent.calls, edge.phone.calls) == ({}, {})
    assert summary(record) == (Result.REFUSED, None, None, None)
    assert record.plan == plan
    assert f"reject: {record.outcome.reason}" == plan
    assert leg_ends(record)[0][0] == "caller"
    [planned] = [line for line in logs if line["event"] == "planned"]
    assert "3475550" not in planned["why"], "numbers are for the record alone"
    await edge.assert_clean()


async def test_a_number_with_thousands_of_digits_counts_as_anonymous(edge: Edge) -> None:
    """The caller writes it, and it may be longer than `int()` accepts."""
    block = [NumberList(["+13475550100..+13475550199"])]
    judged_by(edge, Policy(country="US", block=block, anonymous=Action.REJECT, international=Action.REJECT))
    await edge.carrier.invites(caller=f"<sip:+{5000 * '1'}@carrier.example.com>")
    await edge.carrier.receives(603)
    record = await edge.over()
    assert (record.caller, record.plan) == (None, "reject: anonymous: no number came with the call")
    await edge.assert_clean()


async def test_in_quiet_hours_a_contact_gets_voicemail(edge: Edge) -> None:
    judged_by(edge, AT_NIGHT)
    await calls(edge)
    await edge.carrier.receives(200)
    await edge.time_passes(6)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert (edge.agent.calls, edge.phone.calls) == ({}, {})
    assert summary(record) == (Result.VOICEMAIL, None, None, "caller")
    assert record.plan == "voicemail: hours: quiet hours 17:00-19:00"
    assert record.voicemail_s == pytest.approx(5.6, abs=0.2)
    await edge.assert_clean()


async def test_the_recording_announcement_also_comes_before_voicemail(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(record=True, announcement="This call is recorded.")) as edge:
        judged_by(edge, AT_NIGHT)
        await calls(edge)
        await edge.carrier.receives(200)
        await edge.time_passes(8)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.VOICEMAIL, None, None, "caller")
        assert record.answered <= record.announced < record.ended
        assert record.recording_s > record.voicemail_s > 0
        await edge.assert_clean()


async def test_a_second_call_within_five_minutes_rings_in_quiet_hours(edge: Edge) -> None:
    judged_by(edge, AT_NIGHT)
    await calls(edge)
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    await edge.over()
    await edge.time_passes(240)
    await calls(edge)
    await edge.phone.answers()
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    await edge.over(2)
    assert [record.plan for record in edge.records] == [
        "voicemail: hours: quiet hours 17:00-19:00",
        "ring: contacts: the number is in the contacts",
    ]
    assert edge.records[1].outcome.result is Result.BRIDGED
    await edge.assert_clean(calls=2)


async def test_a_contact_whom_no_phone_takes_fares_as_on_failure_says(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.REJECT)) as edge:
        judged_by(edge, replace(KNOWN, out_of_hours=Action.REJECT))
        await calls(edge)
        await edge.phone.rejects(486)
        record = await edge.over()
        assert summary(record)[0] is Result.UNANSWERED
        assert record.plan == "ring: contacts: the number is in the contacts"
        await edge.assert_clean()
