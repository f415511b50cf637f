"""Our INVITE is forked downstream: several ring, several answer (RFC 3261 §13.2.2.4, RFC 5407 App. E)."""

from __future__ import annotations

import pytest

from proxy.call.outcome import Result
from tests.kit.edge import NewEdge, leg_ends, summary
from tests.kit.races import (
    SDP,
    ForkBranch,
    end_and_assert_clean,
    messages_received,
    phone_rings,
    race_edge,
    rough_network,
    wait_to_receive,
)


async def test_early_dialogs_of_other_forks_end_after_one_answers_rfc5407_appendix_e(
    new_edge: NewEdge, seed: int
) -> None:
    """The other early dialogs are kept for 64*T1 after the 2xx, then dropped."""
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        rough_network(edge, seed)
        others = [ForkBranch(phone, f"fork{number}") for number in range(3)]
        for branch in others:
            branch.rings()
            branch.rings(183)
        await edge.time_passes(1)
        await edge.phone.answers()
        await wait_to_receive(phone, "ACK")
        await edge.time_passes(1)
        if not seed:
            assert edge.core.left_over()["dialogs"] == 2 + 3
            await edge.time_passes(32)
            assert edge.core.left_over()["dialogs"] == 2
        await end_and_assert_clean(edge)
        assert summary(edge.records[0])[0] is Result.BRIDGED


async def test_a_fork_that_rang_second_may_win_the_call(new_edge: NewEdge, seed: int) -> None:
    """The first to answer wins, not the first to ring; the other's early dialog is dropped."""
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        rough_network(edge, seed)
        winner = ForkBranch(phone, "winner")
        winner.rings()
        await edge.time_passes(1)
        winner.answers()
        await edge.time_passes(5)
        assert winner.messages_received("ACK")
        assert not phone.over
        await end_and_assert_clean(edge)
        assert winner.messages_received("BYE")
        assert summary(edge.records[0])[0] is Result.BRIDGED


async def test_the_second_fork_to_answer_gets_ack_and_bye_rfc3261_13_2_2_4(
    new_edge: NewEdge, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        rough_network(edge, seed)
        first, second = ForkBranch(phone, "one"), ForkBranch(phone, "two")
        for branch in (first, second):
            branch.rings()
        for branch in (first, second):
            branch.answers()
        await edge.time_passes(8)
        assert first.messages_received("ACK")
        assert second.messages_received("ACK")
        hung_up = [bool(branch.messages_received("BYE")) for branch in (first, second)]
        assert sorted(hung_up) == [False, True]
        if not seed:
            assert hung_up == [False, True]
        await edge.time_passes(40)
        await end_and_assert_clean(edge)
        assert leg_ends(edge.records[0])[2] == ("phone", "the caller hung up")


async def test_each_retransmitted_2xx_of_each_fork_gets_an_ack_rfc3261_13_2_2_4(new_edge: NewEdge) -> None:
    async with race_edge(new_edge) as edge:
        phone = await phone_rings(edge)
        first, second = ForkBranch(phone, "one"), ForkBranch(phone, "two")
        says = [branch._says(200, SDP) for branch in (first, second)]
        await edge.time_passes(1)
        for response in says * 3:
            phone._put(phone.flow, response)
        await edge.time_passes(1)
        assert [len(branch.messages_received("ACK")) for branch in (first, second)] == [4, 4]
        assert [len(branch.messages_received("BYE")) for branch in (first, second)] == [0, 1]
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE"])
async def test_a_request_of_a_losing_fork_that_crosses_our_bye_is_answered(
    new_edge: NewEdge, seed: int, method: str
) -> None:
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        first, second = ForkBranch(phone, "one"), ForkBranch(phone, "two")
        first.answers()
        await edge.time_passes(0.2)
        rough_network(edge, seed)
        second.answers()
        await edge.time_passes(0.5 * edge.wire.delay_s)
        asked = second.requests(method)
        await edge.time_passes(3)
        if not seed:
            owed = 200 if method == "BYE" else 481
            assert {each.status for each in messages_received(phone, owed, cseq=f"1 {method}")} == {owed}
        phone.peer.faults.clear()  # the responses to the requests built by hand
        if method == "INVITE":
            ack = phone._build("ACK", asked.cseq.number, asked.headers.split("Via")[:1])
            ack.headers.set("From", asked.headers.get("From") or "")
            for _ in range(5 if seed else 1):
                phone._put(phone.flow, ack)
        await end_and_assert_clean(edge, faults=False)


async def test_our_cancel_crosses_the_200s_of_two_forks_rfc5407_3_1_2(new_edge: NewEdge, seed: int) -> None:
    """The caller has left: each 2xx gets its ACK and a BYE."""
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        first, second = ForkBranch(phone, "one"), ForkBranch(phone, "two")
        first.rings()
        rough_network(edge, seed)
        await edge.carrier.current.sends("BYE")
        edge.carrier.current.finish()
        await edge.time_passes(1.5 * edge.wire.delay_s)
        first.answers()
        second.answers()
        phone.answered = True
        await edge.time_passes(10)
        for branch in (first, second):
            assert branch.messages_received("ACK") or seed
            assert branch.messages_received("BYE") or seed
        await end_and_assert_clean(edge)


async def test_a_final_rejection_ends_all_early_dialogs_rfc3261_12_3(new_edge: NewEdge, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        fork = ForkBranch(phone, "fork")
        rough_network(edge, seed)
        fork.rings()
        await edge.time_passes(1)
        await edge.phone.rejects(486)
        await wait_to_receive(edge.agent.current, "NOTIFY", sipfrag=486)
        late = fork.requests("UPDATE")
        await edge.time_passes(1)
        assert messages_received(phone, 481, cseq=late.headers.get("CSeq")) or seed
        edge.phone.faults.clear()
        await end_and_assert_clean(edge, faults=False)


async def test_a_second_200_from_a_fork_of_the_agent_gets_ack_and_bye(new_edge: NewEdge, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        await edge.carrier.invites()
        agent = await edge.agent.invited()
        fork = ForkBranch(agent, "fork")
        rough_network(edge, seed)
        fork.rings()
        await edge.agent.answers()
        await wait_to_receive(agent, "ACK")
        fork.answers()
        await edge.time_passes(5)
        assert fork.messages_received("ACK")
        assert fork.messages_received("BYE")
        agent.over = False
        assert len([bye for bye in messages_received(agent, "BYE") if bye.to_tag == agent.local_tag]) == 0
        await end_and_assert_clean(edge)
