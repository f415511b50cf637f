"""Notification of whoever rings a phone when that phone registers."""

from __future__ import annotations

from proxy.ua.new_contacts import NewContacts


def test_watchers_are_notified_of_their_phones_while_they_watch() -> None:
    new_contacts = NewContacts()
    heard: list[str] = []
    new_contacts.notify("alice")
    with new_contacts.watching(["alice", "bob"], lambda name: heard.append(f"first: {name}")):
        with new_contacts.watching(["alice"], lambda name: heard.append(f"second: {name}")):
            new_contacts.notify("alice")
        new_contacts.notify("bob")
        new_contacts.notify("alice")
        new_contacts.notify("carol")
    new_contacts.notify("alice")
    assert heard == ["first: alice", "second: alice", "first: bob", "first: alice"]
