"""Who rings a phone is told that it has registered."""

from __future__ import annotations

from proxy.ua.new_contacts import Arrivals


def test_each_who_waits_for_a_phone_is_told_for_as_long_as_he_does() -> None:
    arrivals = Arrivals()
    heard: list[str] = []
    arrivals.tell("alice")
    with arrivals.told(["alice", "bob"], lambda name: heard.append(f"first: {name}")):
        with arrivals.told(["alice"], lambda name: heard.append(f"second: {name}")):
            arrivals.tell("alice")
        arrivals.tell("bob")
        arrivals.tell("alice")
        arrivals.tell("carol")
    arrivals.tell("alice")
    assert heard == ["first: alice", "second: alice", "first: bob", "first: alice"]
