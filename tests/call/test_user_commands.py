"""User commands during a call, and the events that the user is sent meanwhile."""

from __future__ import annotations

import pytest

from proxy.call import user_commands
from proxy.call.call import Call
from proxy.call.outcome import Result
from proxy.call.user_commands import NotPossible, State
from screening.contract import Decline, Ring
from tests.kit.edge import Edge, NewEdge

WHO = "decided by the user (me)"


def going_on(edge: Edge) -> Call:
    [call] = edge.registry.going_on()
    return call


async def test_the_user_connects_the_caller(edge: Edge) -> None:
    await edge.connects()
    call = going_on(edge)
    assert user_commands.state_of(call) is State.SCREENED
    user_commands.connect(call, "me")
    await edge.phone.receives("INVITE")
    assert user_commands.state_of(call) is State.RINGING
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(1.0)
    assert user_commands.state_of(call) is State.BRIDGED
    with pytest.raises(NotPossible, match="talks to the phone"):
        user_commands.voicemail(call, "me")
    await edge.phone.hangs_up()
    record = await edge.over()
    assert (record.decision, record.why, record.trigger) == ("ALLOW", WHO, "verdict")
    assert "connect wished: me" in record.steps
    await edge.assert_clean()


async def test_the_user_rejects_the_caller(edge: Edge) -> None:
    await edge.connects()
    call = going_on(edge)
    user_commands.reject(call, "me")
    record = await edge.over()
    assert (record.outcome and record.outcome.result, record.why) == (Result.DECLINED, WHO)
    await edge.carrier.receives("BYE")
    await edge.assert_clean()


async def test_the_user_sends_the_caller_to_voicemail(edge: Edge) -> None:
    await edge.connects()
    call = going_on(edge)
    user_commands.voicemail(call, "me")
    await edge.time_passes(1.0)
    assert user_commands.state_of(call) is State.VOICEMAIL
    with pytest.raises(NotPossible, match="leaves a message"):
        user_commands.connect(call, "me")
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert (record.decision, record.why) == ("VOICEMAIL", WHO)
    await edge.assert_clean()


async def test_the_agent_is_given_the_users_question(edge: Edge) -> None:
    await edge.connects()
    user_commands.ask(going_on(edge), "me", "Which company?")
    assert edge.screening.asked == ["Which company?"]
    await edge.carrier.hangs_up()
    assert not any("company" in step for step in (await edge.over()).steps)
    await edge.assert_clean()


async def test_commands_are_refused_if_the_screening_has_decided_already(edge: Edge) -> None:
    await edge.connects()
    edge.screening.takes_wishes = False
    for wish in (user_commands.connect, user_commands.reject, user_commands.voicemail):
        with pytest.raises(NotPossible, match="decided already"):
            wish(going_on(edge), "me")
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_connect_is_refused_before_the_agent_has_answered(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.agent.receives("INVITE")
    assert user_commands.state_of(going_on(edge)) is State.ARRIVING
    with pytest.raises(NotPossible, match="no agent"):
        user_commands.connect(going_on(edge), "me")
    await edge.carrier.cancels()
    await edge.over()


async def test_hang_up_ends_the_call_during_screening(edge: Edge) -> None:
    await edge.connects()
    user_commands.hang_up(going_on(edge), "me")
    await edge.carrier.receives("BYE")
    await edge.agent.receives("BYE")
    record = await edge.over()
    assert record.outcome is not None
    assert (record.outcome.result, record.outcome.reason) == (Result.DECLINED, "the user ended the call")
    assert record.ended_by is None
    await edge.assert_clean()


async def test_hang_up_ends_the_call_with_603_while_the_phone_rings(edge: Edge) -> None:
    edge.screener.planned = Ring("everybody rings")
    await edge.carrier.invites()
    await edge.phone.receives("INVITE")
    with pytest.raises(NotPossible, match="the phone rings"):
        user_commands.reject(going_on(edge), "me")
    user_commands.hang_up(going_on(edge), "me")
    await edge.carrier.receives(603)
    assert (await edge.over()).outcome is not None
    await edge.assert_clean(faults=False)


async def test_the_feed_publishes_the_events_of_a_call(edge: Edge) -> None:
    with edge.feed.listening() as listener:
        await edge.connects()
        edge.screening.says("caller", "It is Anna.")
        await edge.carrier.hangs_up()
        record = await edge.over()
        events = []
        while not events or events[-1].name != "over":
            events.append(await listener.next())
    assert {event.call for event in events} == {record.call}
    assert events[0].name == "began"
    assert events[0].details == {"caller": record.caller, "dialed": record.dialed}
    told = [(event.name, event.details.get("leg"), event.details.get("state")) for event in events]
    assert ("leg", "agent", "answered") in told
    [line] = [event for event in events if event.name == "line"]
    assert line.details == {"speaker": "caller", "text": "It is Anna.", "at_s": 1.0}
    assert events[-1].details == {"result": "caller left", "ended_by": "caller"}
    await edge.assert_clean()


async def test_a_feed_listener_that_never_reads_does_not_disturb_the_call(new_edge: NewEdge) -> None:
    async with new_edge() as edge:
        with edge.feed.listening():
            await edge.connects()
            for n in range(2000):
                edge.screening.says("caller", f"word {n}")
            edge.screening.decides(Decline("no"))
            await edge.over()
        await edge.assert_clean()
