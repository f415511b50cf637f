"""Calls interrupted at arbitrary steps of the event loop (RFC 5407 and more).

Each test runs one scripted call to its end and injects an interruption at a chosen step: somebody hangs up,
the server shuts down, a connection breaks, a peer sends a request. Whatever it is, the call must end in time,
leave nothing behind and log no error. `RuleChecker` checks the messages that were sent.
"""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.call import user_commands
from proxy.call.call import Call
from proxy.call.outcome import Result
from proxy.call.routing import Confirmation
from proxy.call.user_commands import NotPossible
from proxy.lab.expect import Unexpected
from proxy.lab.peer_call import PeerCall
from proxy.lab.peer_sdp import directed, revised
from proxy.sip.errors import SipError
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from screening.contract import Connect, Decline, Ring, TakeMessage, Undecided
from tests.kit.edge import CARRIER, OPENAI, PHONE_NUMBER, TRUNK, Edge, an_edge
from tests.kit.races import LEGS, SDP, ForkBranch, peer, race_edge
from tests.kit.virtual_loop import VirtualLoop

MOMENTS = 2
"""At how many steps each interruption hits each kind of call; no two interruptions share a step.

With 20 the tests take some minutes and miss few steps.
"""
SEEDS, STORIES = 4, 20
SOON = (0, 0, 1, 2, 3, 5, 8, 13, 30, 60)
"""Steps between the first interruption and the second."""
OVER_S = 150.0
"""Time limit for a call to be over once every peer has hung up; each end may take 64*T1."""

Interruption = Callable[[Edge], Coroutine[Any, Any, object]]


class Stepped(VirtualLoop):
    """A virtual loop that runs given callbacks at given steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.cuts: list[tuple[int, Callable[[], object]]] = []
        """Callbacks to run, each with the step after which it runs; in order."""
        self.faults: list[dict[str, Any]] = []
        """Exceptions that nobody caught."""
        self.set_exception_handler(lambda loop, context: self.faults.append(context))

    def _run_once(self) -> None:
        self.steps += 1
        while self.cuts and self.steps > self.cuts[0][0]:
            self.call_soon(self.cuts.pop(0)[1])
        super()._run_once()  # type: ignore[misc]


# The peers' scripts for a call that is not interrupted.


async def as_agent(edge: Edge, kind: str) -> None:
    if kind == "fallback":
        await edge.agent.rejects(486)
        return
    call = await edge.agent.answers()
    await edge.time_passes(0.5)
    if kind == "refer" and not call.over:
        await call.sends("REFER", headers=[("Refer-To", f"<tel:{PHONE_NUMBER}>")])
    elif kind == "verdict":
        edge.screening.decides(Connect("a friend"))


async def as_phone(edge: Edge) -> None:
    while True:
        await edge.phone.rings()
        await edge.time_passes(0.5)
        await edge.phone.answers()


async def a_call(edge: Edge, kind: str) -> None:
    """A complete call: answered, held and resumed, and hung up by the caller."""
    doing = [asyncio.ensure_future(each) for each in (as_agent(edge, kind), as_phone(edge))]
    try:
        await as_caller(edge)
    finally:
        for each in doing:
            each.cancel()
        await asyncio.gather(*doing, return_exceptions=True)


async def as_caller(edge: Edge) -> None:
    caller = await edge.carrier.invites()
    await edge.time_passes(4)
    if not caller.over and caller.answered and not invites_already(caller):
        await caller.sends("INVITE", body=directed(revised(SDP, 2), "sendonly"))
        await edge.time_passes(1)
    phone = edge.phone.call
    if phone is not None and phone.answered and not phone.over:
        await phone.sends("UPDATE", body=revised(SDP, 3))
        await edge.time_passes(1)
    if not caller.over:
        caller.finish()
        await caller.sends("BYE" if caller.answered else "OPTIONS")
    await edge.time_passes(1)


KINDS = ("direct", "verdict", "refer", "fallback", "pressed")

# The interruptions.


async def user_ends(edge: Edge) -> None:
    for call in edge.registry.going_on():
        user_commands.hang_up(call, "a test")


async def user_wishes(edge: Edge, wish: Callable[..., None]) -> None:
    for call in edge.registry.going_on():
        with suppress(NotPossible):
            wish(call, "a test")


async def house_closes(edge: Edge, limit_s: float) -> None:
    await edge.registry.drain(limit_s)


async def hangs_up(edge: Edge, leg: str) -> None:
    call = peer(edge, leg).call
    if call is None or call.over:
        return
    if leg == "caller" and not call.answered:
        if any(each.direction == "<" for each in call.trace):
            await call.cancels()
    elif ";tag=" in call.remote:
        call.finish()
        await call.sends("BYE", headers=[("Reason", 'Q.850;cause=16;text="bye, bye"')])


async def cancels_too_late(edge: Edge) -> None:
    call = edge.carrier.call
    if call is not None and call.answered:
        await call.cancels()


async def asks(edge: Edge, leg: str, method: str, body: bytes) -> None:
    call = peer(edge, leg).call
    if call is None or call.over or ";tag=" not in call.remote:
        return
    if method == "INVITE" and (not call.answered or invites_already(call)):
        return
    headers = [("Refer-To", f"<tel:{PHONE_NUMBER}>")] if method == "REFER" else []
    if method == "INFO":
        headers, body = [("Content-Type", "application/dtmf-relay")], b"Signal=1\r\nDuration=100\r\n"
    await call.sends(method, body=body, headers=headers)


def invites_already(call: PeerCall) -> bool:
    """An INVITE of this peer is still open, so it must not send another (§14.1)."""
    return any(each.request.method == "INVITE" and not each.final.done() for each in call._asked.values())


async def connection_breaks(edge: Edge, leg: str) -> None:
    assert edge.rule_checker is not None
    edge.rule_checker.connection_cut = True
    address = {"caller": CARRIER, "agent": OPENAI, "phone": TRUNK}[leg]
    for flow in edge.wire.flows():
        if address in (flow.local[0], flow.remote[0]):
            edge.wire.cut(flow)


async def host_dies(edge: Edge, leg: str) -> None:
    assert edge.rule_checker is not None
    edge.rule_checker.connection_cut = True
    edge.wire.silence({"caller": CARRIER, "agent": OPENAI, "phone": TRUNK}[leg])


async def leg_is_lost(edge: Edge, leg: str, why: EndReason) -> None:
    for each in list(edge.core._dialogs.values()):
        if isinstance(each, Leg) and each.name == leg:
            each.lost(why)


async def refreshes(edge: Edge, leg: str) -> None:
    for each in list(edge.core._dialogs.values()):
        if isinstance(each, Leg) and each.name == leg and each.dialog is not None and each.dialog.confirmed:
            await each.refresh()


async def another_answers(edge: Edge, leg: str) -> None:
    call = peer(edge, leg).call
    if call is not None and call.invite is not None and not call.invite.to_tag:
        ForkBranch(call, "another").answers()


async def another_rings_and_declines(edge: Edge, leg: str) -> None:
    call = peer(edge, leg).call
    if call is not None and call.invite is not None and not call.invite.to_tag:
        branch = ForkBranch(call, "another")
        branch.rings()
        await edge.time_passes(0.01)
        branch.requests("BYE")


async def judged(edge: Edge, verdict: Connect | Decline | TakeMessage | Undecided) -> None:
    edge.screening.decides(verdict)


OFFER = revised(SDP, 7)
ON_A_LEG: dict[str, Callable[..., Coroutine[Any, Any, object]]] = {
    "hangs up": hangs_up,
    "offers": partial(asks, method="INVITE", body=OFFER),
    "asks for an offer": partial(asks, method="INVITE", body=b""),
    "updates": partial(asks, method="UPDATE", body=OFFER),
    "refreshes": partial(asks, method="UPDATE", body=b""),
    "tells a key": partial(asks, method="INFO", body=b""),
    "refers": partial(asks, method="REFER", body=b""),
    "asks for options": partial(asks, method="OPTIONS", body=b""),
    "loses its connection": connection_breaks,
    "dies": host_dies,
    "is silent": partial(leg_is_lost, why=EndReason.MEDIA_INACTIVE),
    "expires": partial(leg_is_lost, why=EndReason.SESSION_EXPIRED),
    "is refreshed": refreshes,
}
INTERRUPTIONS: dict[str, Interruption] = {
    "nothing": lambda edge: edge.time_passes(0),
    "the user ends it": user_ends,
    "the user connects it": partial(user_wishes, wish=user_commands.connect),
    "the user rejects it": partial(user_wishes, wish=user_commands.reject),
    "the user sends it to voicemail": partial(user_wishes, wish=user_commands.voicemail),
    "the house closes at once": partial(house_closes, limit_s=0.0),
    "the house closes in time": partial(house_closes, limit_s=3.0),
    "the caller cancels too late": cancels_too_late,
    "a verdict connects": partial(judged, verdict=Connect("yes")),
    "a verdict declines": partial(judged, verdict=Decline("no")),
    "a verdict takes a message": partial(judged, verdict=TakeMessage("later", "a note")),
    "no verdict can be had": partial(judged, verdict=Undecided("the vendor is down")),
    **{f"another {leg} answers": partial(another_answers, leg=leg) for leg in LEGS[1:]},
    **{f"another {leg} rings and declines": partial(another_rings_and_declines, leg=leg) for leg in LEGS[1:]},
    **{f"the {leg} {what}": partial(then, leg=leg) for what, then in ON_A_LEG.items() for leg in LEGS},
}
ORDINARY = {
    "nothing", "the user ends it", "the user rejects it", "the user connects it", "no verdict can be had",
    "the user sends it to voicemail", "a verdict connects", "a verdict declines", "a verdict takes a message",
    *(f"the {leg} hangs up" for leg in LEGS),
}  # fmt: skip
"""Everyday endings, which must leave nothing to the garbage collector; the others may."""


@dataclass(frozen=True, slots=True)
class Story:
    """One call and its interruptions."""

    kind: str
    mode: str
    """The media mode."""
    cuts: tuple[tuple[int, str], ...] = ()
    """The interruptions, in order: after how many steps of the loop, and which."""
    delay_s: float = 0.001
    """One-way delay of every message."""

    @property
    def ways(self) -> dict[str, Any]:
        """The transports of the legs: connections if an interruption is to break one."""
        breaks = any("connection" in what for _, what in self.cuts)
        return {"transport": "tls", "agent": "tls", "phone": "tcp"} if breaks else {}


def run(tmp: Path, story: Story) -> int:
    """Run one interrupted call; returns the number of event loop steps until its end."""
    gc.freeze()  # ignore the many objects that existed before
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=Stepped) as runner:
            return runner.run(told(tmp, story))
    except BaseException as error:
        error.add_note(str(story))
        raise
    finally:
        gc.enable()
        gc.unfreeze()


async def told(tmp: Path, story: Story) -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Stepped)
    confirm = Confirmation.PRESS_1 if story.kind == "pressed" else Confirmation.OFF
    new_edge = partial(an_edge, tmp, mode=story.mode)
    befallen: list[asyncio.Task[None]] = []
    with capture_logs() as logs:
        async with race_edge(new_edge, confirm=confirm, **story.ways) as edge:
            edge.wire.delay_s = story.delay_s
            edge.screener.planned = Ring("known") if story.kind in ("direct", "pressed") else None
            for each in edge.peers:
                each.auto |= {"INVITE", "UPDATE"}
            began = loop.steps
            loop.cuts = [(began + after, partial(begin, befallen, edge, what)) for after, what in story.cuts]
            with suppress(Unexpected, SipError):
                await a_call(edge, story.kind)
            steps = loop.steps - began
            await calms(edge, befallen)
    errors = [each for each in logs if each["log_level"] in ("error", "critical")]
    assert not errors, errors
    assert not loop.faults, loop.faults
    if ORDINARY.issuperset(what for _, what in story.cuts):
        assert not garbage(), "left to the garbage collector, which makes calls wait for it"
    return steps


def garbage() -> list[str]:
    """The calls and legs that were still alive when the call was over, and that only `gc` freed."""
    kinds = (Call, Leg)
    there = [(type(each).__name__, weakref.ref(each)) for each in gc.get_objects() if isinstance(each, kinds)]
    gc.collect()
    return [name for name, each in there if each() is None]


def begin(befallen: list[asyncio.Task[None]], edge: Edge, what: str) -> None:
    befallen.append(asyncio.get_running_loop().create_task(befalls(edge, what)))


async def befalls(edge: Edge, what: str) -> None:
    with suppress(Unexpected, SipError):  # the peers have no script here, so any message is unexpected
        await INTERRUPTIONS[what](edge)


async def calms(edge: Edge, befallen: list[asyncio.Task[None]]) -> None:
    """Let whoever is still in the call hang up, reachable again: it ends soon and leaves nothing."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Stepped)
    loop.cuts.clear()
    for address in (CARRIER, OPENAI, TRUNK):
        edge.wire.silence(address, False)
    caller = edge.carrier.call
    for _ in range(3):
        if len(edge.registry) and caller is not None and ";tag=" in caller.remote:
            await edge.time_passes(35)
            if len(edge.registry):
                await caller.sends("BYE")
    assert edge.rule_checker is not None
    if edge.rule_checker.connection_cut:  # no peer reconnects, so its BYE may not be heard
        await user_ends(edge)
    if calls := len(edge.registry) + len(edge.records):  # none if the server was already shut down
        async with asyncio.timeout(OVER_S):
            await edge.over(calls)
    for each in befallen:
        each.cancel()
    await asyncio.gather(*befallen, return_exceptions=True)
    if calls:
        await edge.assert_clean(calls=calls, faults=False)


@pytest.mark.parametrize("mode", ["relay", "direct"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_interrupted_at_any_moment_leaves_nothing_behind(tmp_path: Path, kind: str, mode: str) -> None:
    steps = run(tmp_path, Story(kind, mode))
    apart = steps / MOMENTS
    for number, what in enumerate(INTERRUPTIONS):
        for moment in range(MOMENTS):
            after = int(apart * (moment + number / len(INTERRUPTIONS)))
            run(tmp_path, Story(kind, mode, ((after, what),)))


@pytest.mark.parametrize(
    ("kind", "what", "quarter"),
    [
        ("fallback", "the user ends it", 0),  # while the agent's answer is on its way
        ("refer", "the agent hangs up", 0),  # the REFER is read only after the BYE
        ("fallback", "the caller hangs up", 2),  # while a re-INVITE of ours is open
    ],
)
def test_a_call_ended_at_any_step_is_freed_without_the_garbage_collector(
    tmp_path: Path, kind: str, what: str, quarter: int
) -> None:
    steps = run(tmp_path, Story(kind, "direct"))
    for after in range(steps * quarter // 4, steps * (quarter + 1) // 4):
        run(tmp_path, Story(kind, "direct", ((after, what),)))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_call_with_several_interruptions_in_quick_succession_leaves_nothing_behind(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    kind, mode = dice.choice(KINDS), dice.choice(["relay", "direct"])
    steps = run(tmp_path, Story(kind, mode))
    for _ in range(STORIES):
        after = dice.randrange(steps)
        afters = sorted(after + dice.choice(SOON) for _ in range(dice.choice([2, 2, 2, 3])))
        cuts = tuple((each, dice.choice([*INTERRUPTIONS])) for each in afters)
        run(tmp_path, Story(kind, mode, cuts, dice.choice([0.001, 0.02, 0.1, 0.3])))


def test_an_uninterrupted_call_is_bridged(tmp_path: Path) -> None:
    """Guards the other tests: without interruptions the call is bridged, so there is something to cut."""

    async def outcome(kind: str) -> Result:
        async with race_edge(partial(an_edge, tmp_path)) as edge:
            edge.screener.planned = Ring("known") if kind == "direct" else None
            for each in edge.peers:
                each.auto |= {"INVITE", "UPDATE"}
            await a_call(edge, kind)
            await edge.assert_clean()
            assert edge.record.outcome is not None
            return edge.record.outcome.result

    for kind in ("direct", "verdict", "refer", "fallback"):
        with asyncio.Runner(loop_factory=Stepped) as runner:
            assert runner.run(outcome(kind)) is Result.BRIDGED
