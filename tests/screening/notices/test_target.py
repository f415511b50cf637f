"""Which targets get which notices."""

from __future__ import annotations

from typing import Any

from screening.notices.channel import Delivered, Outcome
from screening.notices.delivery import Delivery
from screening.notices.notice import Event
from screening.notices.target import Target, deliveries_for_budget, deliveries_for_call
from tests.screening.notices.records import DIALED, record
from tests.screening.notices.test_notice import Warned

NOW = 1_800_000_000.0


class Nowhere:
    concurrency = 1

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Delivered("not at all")

    async def close(self) -> None: ...


def delivered_events(told: dict[str, Any], **rules: Any) -> list[str]:
    target = Target("t", Nowhere(), **rules)
    return [delivery.event for delivery in deliveries_for_call([target], told, NOW)]


MESSAGE = record("voicemail", voicemail="v.wav")


def test_a_webhook_gets_every_event_and_a_person_only_the_most_important() -> None:
    assert delivered_events(MESSAGE) == ["call.screened", "voicemail.new"]
    assert delivered_events(MESSAGE, one_per_call=True) == ["voicemail.new"]
    assert delivered_events(record("unanswered"), one_per_call=True) == ["call.missed"]


def test_targets_are_filtered_by_events_and_numbers() -> None:
    assert delivered_events(MESSAGE, events=frozenset((Event.SCREENED,))) == ["call.screened"]
    assert delivered_events(MESSAGE, events=frozenset((Event.SCREENED,)), one_per_call=True) == [
        "call.screened"
    ]
    assert delivered_events(MESSAGE, numbers=frozenset((DIALED,))) == ["call.screened", "voicemail.new"]
    assert delivered_events(MESSAGE, numbers=frozenset(("+14155550199",))) == []


def test_a_common_budget_warning_goes_to_all_targets_that_of_a_number_to_its_own() -> None:
    here, there = (Target(n, Nowhere(), numbers=frozenset((n,))) for n in (DIALED, "+14155550199"))
    of_all = deliveries_for_budget([here, there], Warned(dialed=None), NOW)
    assert [delivery.target for delivery in of_all] == [DIALED, "+14155550199"]
    assert [delivery.target for delivery in deliveries_for_budget([here, there], Warned(), NOW)] == [DIALED]


def test_delivery_ids_are_stable_and_unique_per_target() -> None:
    targets = [Target("a", Nowhere()), Target("b", Nowhere())]
    ids = [delivery.id for delivery in deliveries_for_call(targets, record(), NOW)]
    assert ids == [delivery.id for delivery in deliveries_for_call(targets, record(), NOW + 60)]
    assert len(set(ids)) == 2
    assert all(len(each) <= 64 and "." not in each for each in ids)


def test_the_link_contains_the_call_id() -> None:
    target = Target("t", Nowhere(), link="https://x.example/calls/{call}")
    [delivery] = deliveries_for_call([target], record(), NOW)
    assert delivery.payload["data"]["link"] == "https://x.example/calls/9c3adbea6361"


def test_only_targets_with_transcript_get_it() -> None:
    targets = [Target("a", Nowhere(), transcript=True), Target("b", Nowhere())]
    with_words, without = deliveries_for_call(targets, record(), NOW)
    assert "transcript" in with_words.payload["data"]
    assert "transcript" not in without.payload["data"]
