"""The phone does not take the call: the agent is told, keeps the caller, and may decide again."""

from __future__ import annotations

import pytest

from proxy.call.outcome import Result
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ
from screening.contract import Connect, Decline, News, TakeMessage
from tests.kit.edge import PHONE_NUMBER, TRUNK, Edge, NewEdge, a_number, leg_ends, summary


async def test_phone_busy_then_a_second_refer_connects(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rejects(486)
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=486)
    assert edge.screening.news[-1] is News.PHONE_BUSY
    back = edge.now
    await edge.time_passes(2)
    assert edge.caller_audio.hears(AGENT_HZ, since=back + 1)
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.answers()
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=200)
    await edge.agent.receives("BYE")
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ)
    assert edge.phone_audio.hears(CALLER_HZ)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    assert leg_ends(record) == [
        ("caller", "the peer hung up"),
        ("agent", "the caller is with the phone"),
        ("phone", "486 Busy Here"),
        ("phone", "the caller hung up"),
    ]
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_phone_busy_then_the_agent_takes_a_message(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rejects(486)
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=486)
    edge.screening.decides(TakeMessage("the phone is busy"))
    await edge.agent.receives("BYE")
    await edge.time_passes(5)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", "refer", "caller")
    assert record.voicemail_s == pytest.approx(4.6, abs=0.2)
    await edge.assert_clean()


async def test_a_busy_phone_after_a_verdict_gives_news_and_no_notify(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(Connect("a friend"))
    await edge.phone.rejects(486)
    await edge.time_passes(1)
    assert edge.screening.news == [News.AGENT_ANSWERED, News.PHONE_BUSY]
    assert edge.notify_statuses() == []
    edge.screening.decides(Decline("said goodbye"))
    await edge.agent.receives("BYE")
    await edge.carrier.receives("BYE")
    assert summary(await edge.over()) == (Result.DECLINED, "REJECT", "verdict", None)
    await edge.assert_clean()


@pytest.mark.parametrize(
    ("status", "news"),
    [
        (600, News.PHONE_BUSY),
        (480, News.PHONE_NO_ANSWER),
        (603, News.PHONE_DECLINED),
        (503, News.PHONE_UNREACHABLE),
        (404, News.PHONE_UNREACHABLE),
        (302, News.PHONE_UNREACHABLE),
    ],
)
async def test_the_agent_gets_the_phones_status_by_notify_and_as_news(
    edge: Edge, status: int, news: News
) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rings()
    await edge.phone.rejects(status)
    await edge.time_passes(1)
    assert edge.notify_statuses() == [100, status]
    assert edge.screening.news[-1] is news
    edge.screening.decides(Decline("said goodbye"))
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=status)
    await edge.agent.receives("BYE")
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.DECLINED, "REJECT", "refer", None)
    assert leg_ends(record)[2][1].startswith(f"{status} ")
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_phone_no_answer_is_cancelled_at_the_ring_limit(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    rang = edge.now
    await edge.phone.rings()
    await edge.phone.receives("CANCEL")
    assert edge.now - rang == pytest.approx(25, abs=0.1)
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=408)
    assert edge.screening.news[-1] is News.PHONE_NO_ANSWER
    edge.screening.decides(Decline("said goodbye"))
    await edge.agent.receives("BYE")
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert leg_ends(record)[2] == ("phone", "no answer in time")
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_200_of_the_phone_that_crosses_our_cancel_gets_a_bye_rfc5407_3_1_2(edge: Edge) -> None:
    edge.wire.delay_s = 0.2
    await edge.connects()
    edge.screening.decides(Connect("a friend"))
    await edge.phone.rings()
    invited = edge.phone.trace[0].at - edge.wire.delay_s
    await edge.time_passes(
        invited + 24.9 - edge.now
    )  # the answer is on its way when the ring limit is reached
    await edge.phone.answers()
    await edge.phone.receives("CANCEL")
    await edge.phone.receives("BYE")
    assert edge.screening.news[-1] is News.PHONE_NO_ANSWER
    edge.screening.decides(Decline("said goodbye"))
    await edge.carrier.receives("BYE")
    assert summary(await edge.over()) == (Result.DECLINED, "REJECT", "verdict", None)
    await edge.assert_clean()


async def test_a_phone_that_sends_no_response_counts_as_no_answer(edge: Edge) -> None:
    edge.wire.silence(TRUNK)
    await edge.connects()
    edge.screening.decides(Connect("a friend"))
    await edge.time_passes(26)
    assert edge.screening.news[-1] is News.PHONE_NO_ANSWER
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.CALLER_LEFT, "ALLOW", "verdict", "caller")
    await edge.assert_clean()


async def test_a_destination_without_an_address_is_unreachable(new_edge: NewEdge) -> None:
    place = a_number().destinations[0]
    nowhere = type(place)("sip:alice@nowhere.invalid")
    async with new_edge(number=a_number(destinations=(nowhere,))) as edge:
        await edge.connects()
        edge.screening.decides(Connect("a friend"))
        await edge.time_passes(1)
        assert edge.screening.news[-1] is News.PHONE_UNREACHABLE
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_a_phone_with_an_unusable_sdp_answer_counts_as_unreachable(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(Connect("a friend"))
    call = await edge.phone.rings()
    edge.phone.responds(call.invite, 200, sdp=b"v=0\r\no=- 1 1 IN IP4 192.0.2.77\r\ns=-\r\nt=0 0\r\n",
                        headers=[("Record-Route", route) for route in reversed(call.routes)])  # fmt: skip
    await edge.phone.receives("BYE")
    assert edge.screening.news[-1] is News.PHONE_UNREACHABLE
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_a_phone_that_answers_and_hangs_up_at_once_ends_the_call(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.answers()
    await edge.phone.hangs_up()
    await edge.carrier.receives("BYE")
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "phone")
    await edge.assert_clean()
