"""Effect of the REST verbs on a call at the simulated OpenAI, in virtual time and without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from proxy.lab.openai_call import Accepted, Call, Rejected, TimedOut
from proxy.lab.openai_errors import ApiError
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_tasks import Tasks
from tests.kit.virtual_loop import run_virtual
from tests.lab.openai_kit import ACCEPT, SipNotes, make_call

Story = Callable[[Call, SipNotes], Awaitable[None]]


def tell(story: Story, faults: Faults | None = None, *, unreachable: bool = False) -> None:
    """Run a scenario for one call; fails if any of its tasks is left over."""

    async def whole() -> None:
        sip, tasks = SipNotes(unreachable=unreachable), Tasks()
        call = make_call(sip, tasks, faults)
        await story(call, sip)
        call.ended()
        await tasks.close()
        assert len(tasks) == 0

    run_virtual(whole())


async def refused(verb: Awaitable[object]) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        await verb
    return caught.value.status, caught.value.code


NOT_FOUND = (404, "call_id_not_found")


def test_accept_answers_the_invite_and_keeps_the_body() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        assert await call.decided() == Accepted(ACCEPT)
        assert call.accept_body == ACCEPT
        await asyncio.sleep(0)
        assert sip.told == ["answer"]

    tell(story)


def test_accept_returns_404_as_often_as_the_fault_says() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        assert await refused(call.accept(ACCEPT)) == NOT_FOUND
        assert await refused(call.accept(ACCEPT)) == NOT_FOUND
        await call.accept(ACCEPT)

    tell(story, Faults(accept_404_times=2))


@pytest.mark.parametrize("body", [{}, {**ACCEPT, "voice": "marin"}, {"type": "realtime"}])
def test_an_accept_with_an_invalid_body_succeeds_but_the_call_is_rejected_with_400(
    body: dict[str, object],
) -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(body)
        assert await call.decided() == Rejected(400)
        await asyncio.sleep(0)
        assert sip.told == ["reject 400"]
        with pytest.raises(ApiError):
            call.attach(lambda: None)

    tell(story)


def test_a_second_decision_about_a_call_gets_400() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        assert await refused(call.accept(ACCEPT)) == (400, "decision_already_made")
        assert await refused(call.reject(486)) == (400, "decision_already_made")

    tell(story)


def test_an_invite_that_nobody_accepts_times_out_with_400() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        assert await call.decided() == TimedOut()
        await asyncio.sleep(0)
        assert sip.told == ["reject 400"]
        assert await refused(call.accept(ACCEPT)) == NOT_FOUND

    tell(story)


def test_reject_sends_its_status_and_ends_the_call() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.reject(486)
        assert (await call.decided(), sip.told, call.over) == (Rejected(486), ["reject 486"], True)
        assert await refused(call.reject(486)) == NOT_FOUND

    tell(story)


def test_a_cancelled_call_can_still_be_accepted_and_lasts_until_hangup() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        call.cancelled()
        await call.accept(ACCEPT)
        call.attach(lambda: None)
        await asyncio.sleep(30)
        assert not call.over
        await call.hangup()
        assert (call.over, call.hung_up, sip.told) == (True, True, [])

    tell(story)


def test_hangup_sends_bye_and_later_requests_get_404() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        await asyncio.sleep(0)
        await call.hangup()
        assert sip.told == ["answer", "hangup"]
        assert await refused(call.hangup()) == NOT_FOUND
        assert await refused(call.refer("tel:+1")) == NOT_FOUND

    tell(story)


def test_hangup_of_a_ringing_call_sends_603() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.hangup()
        assert (await call.decided(), sip.told) == (Rejected(603), ["reject 603"])

    tell(story)


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (Faults(), ["refer tel:+1"]),
        (Faults(refer_silent=True), []),
        (Faults(refer_twice=True), ["refer tel:+1", "refer tel:+1"]),
    ],
)
def test_a_refer_is_sent_once_never_or_twice_as_the_fault_says(faults: Faults, told: list[str]) -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        await asyncio.sleep(0)
        await call.refer("tel:+1")
        await asyncio.sleep(0)
        assert sip.told == ["answer", *told]
        assert call.refer_targets == ["tel:+1"]

    tell(story, faults)


@pytest.mark.parametrize("faults", [Faults(refer_status=500), Faults(refer_status=504, refer_delay_s=10)])
def test_a_refer_that_fails_with_500_or_504_sends_no_refer(faults: Faults) -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        began = asyncio.get_running_loop().time()
        assert await refused(call.refer("tel:+1")) == (faults.refer_status, None)
        assert asyncio.get_running_loop().time() - began == pytest.approx(faults.refer_delay_s)
        assert not any(verb.startswith("refer") for verb in sip.told)

    tell(story, faults)


def test_a_refer_that_cannot_be_delivered_gets_500() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        assert await refused(call.refer("tel:+1")) == (500, None)

    tell(story, unreachable=True)


def test_a_491_to_the_duplicate_refer_does_not_fail_the_api_request() -> None:
    class Once(SipNotes):
        async def refer(self, target_uri: str) -> None:
            if any(verb.startswith("refer") for verb in self.told):
                raise RuntimeError("REFER was answered 491")
            await super().refer(target_uri)

    async def whole() -> None:
        sip, tasks = Once(), Tasks()
        call = make_call(sip, tasks, Faults(refer_twice=True))
        await call.accept(ACCEPT)
        await call.refer("tel:+1")
        await asyncio.sleep(0)
        call.ended()
        await tasks.close()
        assert sip.told == ["answer", "refer tel:+1"]

    run_virtual(whole())


def test_attach_fails_before_accept_and_as_often_as_the_fault_says() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        with pytest.raises(ApiError):
            call.attach(lambda: None)
        await call.accept(ACCEPT)
        with pytest.raises(ApiError):
            call.attach(lambda: None)
        queue = call.attach(lambda: None)
        assert queue.get_nowait()["type"] == "session.created"

    tell(story, Faults(attach_404_times=1))


def test_the_end_of_a_call_closes_its_websocket_once() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        cuts: list[str] = []
        call.attach(lambda: cuts.append("cut"))
        call.ended()
        call.ended()
        assert cuts == ["cut"]

    tell(story)


def test_a_dropped_websocket_reconnects_and_misses_the_events_sent_between() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        cuts: list[str] = []
        first = call.attach(lambda: cuts.append("first"))
        call.hear('{"type": "response.create"}')
        first.get_nowait()
        call.carried(first.get_nowait())
        assert cuts == ["first"]
        await asyncio.sleep(1)
        second = call.attach(lambda: cuts.append("second"))
        assert second.get_nowait()["type"] == "session.created"
        assert second.empty()
        assert len(call.sent) > 10
        call.carried(call.sent[1])
        assert cuts == ["first"]

    tell(story, Faults(ws_drop_after="response.created"))


def test_events_received_after_the_end_of_the_call_are_ignored() -> None:
    async def story(call: Call, sip: SipNotes) -> None:
        await call.accept(ACCEPT)
        call.ended()
        call.hear('{"type": "response.create"}')
        assert call.sent == []

    tell(story)


def test_an_error_in_a_task_is_raised_when_the_tasks_are_closed() -> None:
    async def fails() -> None:
        raise ValueError("a bug")

    async def story() -> None:
        tasks = Tasks()
        tasks.start(fails(), "fails")
        await asyncio.sleep(0)
        with pytest.raises(ExceptionGroup):
            await tasks.close()

    run_virtual(story())
