"""The order of destinations; redirections and Retry-After (RFC 3261 §8.1.3.4, §20.33, §21.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.call.destinations import Backoff, DestinationQueue, contacts
from proxy.call.routing import Agent, Destination, Number, Trunk
from proxy.sip.errors import SipError
from proxy.transport.flow import TransportFailed
from proxy.ua.errors import Rejected
from tests.kit import messages

ONE, TWO = Trunk("one", "sip:one.example"), Trunk("two", "sip:two.example")
DESK = Destination("sip:+14155550001@one.example", "+14155550001", ONE)
CELL = Destination("sip:+14155550002@two.example", "+14155550002", TWO)
HOME = Destination("sip:home@192.0.2.40:5070")
EVERYWHERE = (DESK, CELL, HOME)
NUMBER = Number("+14155551234", EVERYWHERE, Agent("a", "sip:a@192.0.2.9"))


def places(
    *wanted: Destination, down: tuple[str, ...] = (), backoff: Backoff | None = None
) -> DestinationQueue:
    return DestinationQueue(
        NUMBER,
        wanted or EVERYWHERE,
        down=lambda name: name in down,
        backoff=backoff or Backoff(),
        clock=lambda: 100.0,
    )


def answer(status: int, *contacts: str, retry_after: str | None = None) -> Rejected:
    headers = [("Contact", contact) for contact in contacts]
    headers += [("Retry-After", retry_after)] if retry_after else []
    return Rejected(messages.response(messages.invite(), status, headers=headers))


def test_destinations_are_rung_in_the_configured_order() -> None:
    assert list(places()) == [DESK, CELL, HOME]


def test_next_group_returns_simultaneous_destinations_together_and_each_only_once() -> None:
    queue = places()
    assert [queue.next_group(), queue.next_group()] == [[DESK], [CELL]]
    queue.refused(CELL, answer(302, "<sip:home@192.0.2.40:5070>"))
    assert [queue.next_group(), queue.next_group(), queue.next_group()] == [[HOME], [], []]
    number = replace(NUMBER, at_once=True)
    queue = DestinationQueue(
        number, EVERYWHERE, down=lambda name: False, backoff=Backoff(), clock=lambda: 0.0
    )
    assert [queue.next_group(), queue.next_group()] == [[DESK, CELL, HOME], []]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_phone_configured_under_two_names_is_rung_once(at_once: bool) -> None:
    """Otherwise it would ring on two lines at once, or once more right after it was declined."""
    sales, support = replace(CELL, name="sales"), replace(CELL, name="support")
    number = replace(NUMBER, destinations=(sales, support, HOME), at_once=at_once)
    queue = DestinationQueue(
        number, number.destinations, down=lambda name: False, backoff=Backoff(), clock=lambda: 0.0
    )
    groups = [group for _ in range(3) if (group := queue.next_group())]
    assert groups == ([[sales, HOME]] if at_once else [[sales], [HOME]])


def test_a_destination_behind_a_trunk_that_is_down_is_skipped_unless_all_are_down() -> None:
    assert list(places(down=("trunk:one",))) == [CELL, HOME]
    assert list(places(DESK, CELL, down=("trunk:one", "trunk:two"))) == [DESK, CELL]
    assert list(places(DESK, down=("trunk:one", "agent:a"))) == [DESK]


def test_a_redirection_is_followed_to_a_configured_destination_rfc3261_8_1_3_4() -> None:
    queue = places(DESK)
    rung = iter(queue)
    assert next(rung) is DESK
    note = queue.refused(DESK, answer(302, "<tel:+1-415-555-0002>"))
    assert note == ("redirected", "by 302 to another destination of this number")
    assert list(rung) == [CELL]


@pytest.mark.parametrize(
    ("contact", "place"),
    [
        ("<sip:+14155550002@anything.example;user=phone>", CELL),
        ("tel:+14155550002", CELL),
        ("<sip:home@192.0.2.40:5070>", HOME),
        ("<sip:home@192.0.2.41:5070>", None),
        ("<sip:+19005550000@one.example>", None),
        ("<mailto:home@192.0.2.40>", None),
        ("<sip:[broken>", None),
    ],
)
def test_a_redirection_contact_is_rung_only_if_it_is_a_configured_destination(
    contact: str, place: Destination | None
) -> None:
    queue = places(DESK)
    next(rung := iter(queue))
    note = queue.refused(DESK, answer(300, contact))
    assert list(rung) == ([place] if place else [])
    assert note is not None
    assert (note[0] == "redirected") is (place is not None)


def test_redirection_contacts_are_rung_by_q_value_before_the_remaining_destinations_rfc3261_20_10() -> None:
    queue = places(DESK, CELL)
    next(rung := iter(queue))
    queue.refused(DESK, answer(300, "<tel:+14155550002>;q=0.1", "<sip:home@192.0.2.40:5070>;q=0.7"))
    assert list(rung) == [HOME, CELL]


def test_contacts_without_a_valid_q_come_first_and_equal_q_keeps_their_order() -> None:
    values = ["<sip:a@x>;q=0.5", "<sip:b@x>", "<sip:c@x>;q=0.5, <sip:d@x>;q=nonsense", "<sip:e@x>;q=7"]
    found = contacts(answer(300, *values).response)
    assert [contact.uri.user for contact in found] == ["b", "d", "e", "a", "c"]


def test_redirections_back_to_destinations_already_rung_are_not_followed_rfc3261_8_1_3_4() -> None:
    queue = places(DESK)
    next(rung := iter(queue))
    queue.refused(DESK, answer(302, "<tel:+14155550002>"))
    assert next(rung) is CELL
    note = queue.refused(CELL, answer(302, "<tel:+14155550001>", "<tel:+14155550002>"))
    assert note == ("redirection not followed", "it leads back to where the call has been")
    assert list(rung) == []


def test_at_most_five_redirections_are_followed() -> None:
    many = tuple(Destination(f"sip:{n}@192.0.2.40", None) for n in range(8))
    number = Number("*", many, None)
    queue = DestinationQueue(number, many[:1], down=lambda name: False, backoff=Backoff(), clock=lambda: 0.0)
    rung = []
    for place in queue:
        rung.append(place)
        note = queue.refused(place, answer(302, f"<sip:{len(rung)}@192.0.2.40>"))
    assert len(rung) == 6
    assert note == ("redirection not followed", "5 were followed before")


@pytest.mark.parametrize("status", [305, 380])
def test_305_use_proxy_and_380_alternative_service_are_not_followed_rfc3261_21_3_4_21_3_5(
    status: int,
) -> None:
    queue = places(DESK)
    next(rung := iter(queue))
    note = queue.refused(DESK, answer(status, "<tel:+14155550002>"))
    assert note == ("redirection not followed", f"{status} is never followed")
    assert list(rung) == []


@pytest.mark.parametrize("status", [480, 486, 500, 600, 603])
def test_a_destination_is_rung_last_until_its_retry_after_has_passed_rfc3261_20_33(status: int) -> None:
    backoff = Backoff()
    backoff.note(DESK, answer(status, retry_after="60"), 50.0)
    assert list(places(backoff=backoff)) == [CELL, HOME, DESK]
    backoff.note(DESK, answer(status, retry_after="50"), 50.0)
    assert list(places(backoff=backoff)) == [DESK, CELL, HOME]


@pytest.mark.parametrize(
    "failure",
    [answer(486), answer(404, retry_after="600"), TransportFailed("gone"), answer(486, retry_after="x")],
)
def test_failures_without_an_applicable_retry_after_do_not_defer_a_destination(failure: SipError) -> None:
    queue, backoff = places(), Backoff()
    assert queue.refused(DESK, failure) is None
    backoff.note(DESK, failure, 99.0)
    assert not backoff.defers(DESK, 99.1)


def test_retry_after_is_capped_at_an_hour_and_a_bounded_number_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.call.destinations.MAX_REMEMBERED", 2)
    backoff = Backoff()
    for place in EVERYWHERE:
        backoff.note(place, answer(486, retry_after="999999"), 0.0)
    assert [backoff.defers(place, 3599.0) for place in EVERYWHERE] == [False, False, True]
    assert not backoff.defers(HOME, 3600.0)
