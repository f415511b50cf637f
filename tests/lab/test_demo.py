"""`screendoor demo` as a user runs it: the plain call, every fault, and an unknown fault name."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from proxy.call.record import CallRecord
from proxy.lab import demo
from proxy.lab.report import Report
from proxy.lab.scenes import DECISIONS, FAULTS, PLAIN, WITHOUT_AI, Scene
from proxy.lab.stage import PROVIDERS, Provider, Stage

pytestmark = pytest.mark.network

ENDINGS = {
    *("refer-500", "refer-504", "refer-silent", "refer-new-connection", "refer-twice"),
    *("phone-busy", "phone-no-answer", "phone-declines", "phone-503"),
    *("agent-bye-after-refer", "agent-bye-mid-talk", "agent-503", "agent-tls-refused"),
    *(
        "webhook-lost",
        "webhook-twice",
        "webhook-of-both-apis",
        "webhook-forged",
        "accept-404-then-ok",
        "ws-drop",
        "no-decision",
    ),
    *("caller-cancels", "caller-bye-in-talk", "caller-bye-while-phone-rings", "caller-bye-as-phone-answers"),
    *("reinvite-hold", "decision-reject", "decision-voicemail"),
    *("agent-503-challenge", "agent-503-voicemail", "agent-503-reject", "challenge-failed", "phone-blocks"),
}


PLAYS = [(decision, provider) for decision in DECISIONS for provider in PROVIDERS]


@pytest.mark.parametrize(
    ("decision", "provider"), [*PLAYS, *((decision, PROVIDERS[0]) for decision in WITHOUT_AI)]
)
def test_the_demo_plays_a_call_of_each_decision_to_its_end(
    decision: str, provider: Provider, capfd: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(False, decision, None, provider) == 0
    told = capfd.readouterr().out
    assert "left over: nothing" in told
    assert "problem" not in told
    if decision == "message":
        assert "Message    The cake is ready on Saturday at ten." in told
    if decision in ("allow", "connect-to", "challenge"):
        assert "bridged: yes · tone caller→phone: yes · tone phone→caller: yes" in told


def test_only_the_destination_the_agent_named_rings() -> None:
    async def played() -> CallRecord:
        scene = PLAIN["connect-to"]
        async with Stage(scene.scenery) as stage:
            await scene.play(stage)
        return stage.record.result()

    record = asyncio.run(played())
    assert (record.decision, record.trigger, record.why) == ("ALLOW", "refer", "A broken oven.")
    phones = [leg.peer for leg in record.legs if leg.name.startswith("phone")]
    assert [peer.partition("@")[0] for peer in phones] == ["sip:+14155559876"]
    assert record.informed is not None


def test_the_demo_has_a_fault_for_every_ending() -> None:
    assert set(FAULTS) == ENDINGS


@pytest.mark.timeout(240)
@pytest.mark.parametrize("provider", ["realtime", "live"])
def test_every_fault_of_the_demo_ends_as_expected(
    provider: Provider, capfd: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(False, "allow", "all", provider) == 0, capfd.readouterr().out


@pytest.mark.parametrize(
    ("problems", "plays", "code"),
    [((), 1, 0), (("late", "later"), 2, 0), (("late",), 2, 0), (("late", "wrong"), 1, 1), (("wrong",), 1, 1)],
)
def test_a_fault_whose_only_problem_is_lateness_is_played_once_more(
    problems: tuple[str, ...], plays: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = FAULTS["refer-500"]
    late = tuple(each for each in problems if each.startswith("late"))
    reports = [Report(scene, None, 1.0, problems, late=late), Report(scene, None, 1.0, ())]
    played = iter(reports)

    async def play(scene: Scene) -> tuple[Report, list[str]]:
        return next(played), []

    monkeypatch.setattr(demo, "FAULTS", {scene.name: scene})
    monkeypatch.setattr(demo, "_played", play)
    assert demo.main(False, "allow", "all") == code
    assert len(list(played)) == 2 - plays


def test_a_demo_that_waits_for_calls_runs_until_interrupted(capfd: pytest.CaptureFixture[str]) -> None:
    interrupt = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    assert demo.main(True, "allow", None) == 0
    assert "Call sip:+14155551234@127.0.0.1:" in capfd.readouterr().out


def test_an_unknown_fault_name_prints_the_known_ones_and_exits_2(capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.main(False, "allow", "nonsense") == 2
    assert "refer-silent" in capfd.readouterr().out
