"""The key-press challenge, answered by baresip with RTP telephone-events (RFC 4733)."""

from __future__ import annotations

import re
import time

import pytest

from proxy.call.challenge import TOO_SOON_S
from tests.interop.baresip_agent import both_hear
from tests.interop.peers import Peers
from tests.sipp.process import until

pytestmark = pytest.mark.network

NUMBER = """
screen = "trusted"
untrusted = "challenge"
challenge_tries = 2
challenge_failed = "reject"
"""
LEVEL = "debug"
"""The log level at which the edge logs the expected key."""
LISTENS_S = 2 * TOO_SOON_S


def key(peers: Peers, tries: int = 1) -> str:
    """The key the caller has to press; returns once it is no longer too soon to press it."""

    def told() -> list[str]:
        return re.findall(r"challenged +.*key=(\d)", peers.log)

    until(lambda: len(told()) >= tries, "the caller is challenged")
    began = time.monotonic()
    until(lambda: time.monotonic() > began + LISTENS_S, "the caller listens")
    return told()[tries - 1]


def test_a_caller_who_presses_the_announced_key_is_bridged_rfc4733(peers: Peers) -> None:
    phone = peers.phone(auto_answer=True)
    caller = peers.caller()
    caller.wait_for("call_established")
    caller.command("send_dtmf", key(peers))
    phone.wait_for("call_established")
    both_hear(caller, phone)
    caller.command("hangup")
    phone.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["trigger"]) == ("bridged", "plan")


def test_a_caller_who_presses_a_wrong_key_twice_is_declined(peers: Peers) -> None:
    caller = peers.caller()
    caller.wait_for("call_established")
    for tries in (1, 2):
        key(peers, tries)
        caller.command("send_dtmf", "1")
    caller.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("declined", None)
    assert record["steps"].count("challenge: a wrong key") == 2
