"""The behaviour of caller, phone and agent in the scenes of the demo, one coroutine each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from proxy.lab.audio import BEEP_HZ, CALLER_HZ
from proxy.lab.openai_sip import AgentCall
from proxy.lab.stage import Stage

Script = Callable[[Stage], Awaitable[None]]

RINGS_S = 0.8
TALK_S = 2.5
STEP_S = 0.05


# The caller.


async def talks(stage: Stage) -> None:
    """Call, talk with whoever answers, leave a message if asked to, and hang up."""
    call = await stage.carrier.invites()
    await stage.carrier.receives(200)
    while not call.over:
        if stage.phone_audio.hears(CALLER_HZ):
            await asyncio.sleep(TALK_S)
            break
        if stage.caller_audio.hears(BEEP_HZ):
            await asyncio.sleep(TALK_S)
            break
        await asyncio.sleep(STEP_S)
    if not call.over:
        await stage.carrier.hangs_up()


async def cancels(stage: Stage) -> None:
    await stage.carrier.invites()
    await stage.carrier.receives(180)
    await stage.carrier.cancels()
    await stage.carrier.receives(487)


async def leaves_in_talk(stage: Stage) -> None:
    await stage.carrier.invites()
    await stage.carrier.receives(200)
    await asyncio.sleep(1.0)
    await stage.carrier.hangs_up()


async def leaves_while_it_rings(stage: Stage) -> None:
    await stage.carrier.invites()
    await stage.carrier.receives(200)
    await _until(lambda: stage.phone.call is not None)
    await asyncio.sleep(RINGS_S / 2)
    await stage.carrier.hangs_up()


async def leaves_as_it_is_answered(stage: Stage) -> None:
    await stage.carrier.invites()
    await stage.carrier.receives(200)
    await _until(lambda: stage.phone.call is not None)
    await asyncio.gather(stage.carrier.hangs_up(), stage.phone.answers())


async def holds(stage: Stage) -> None:
    """Talk, put the other end on hold, resume, and hang up."""
    await stage.carrier.invites()
    await stage.carrier.receives(200)
    await _until(lambda: stage.phone_audio.hears(CALLER_HZ))
    await asyncio.sleep(1.0)
    await stage.carrier.reinvites(hold=True)
    await asyncio.sleep(1.0)
    await stage.carrier.reinvites(hold=False)
    await asyncio.sleep(1.0)
    await stage.carrier.hangs_up()


async def presses_the_key(stage: Stage) -> None:
    """Listen for the key to press, press it, and talk with whoever answers."""
    call = await stage.carrier.invites()
    await stage.carrier.receives(200)
    await _until(lambda: _key(stage) is not None)
    await asyncio.sleep(TALK_S)
    stage.carrier.presses(_key(stage) or "")
    await _until(lambda: bool(stage.phone_audio.hears(CALLER_HZ)) or call.over)
    await asyncio.sleep(TALK_S)
    if not call.over:
        await stage.carrier.hangs_up()


def _key(stage: Stage) -> str | None:
    """The key that the caller was last told to press."""
    found = re.search(r"to be put through, press (\d)", stage.app.voices.latest, re.IGNORECASE)
    return found[1] if found else None


async def presses_1(stage: Stage) -> None:
    """Keep pressing the key that is never the right one, as a machine might, until the call is ended."""
    call = await stage.carrier.invites()
    await stage.carrier.receives(200)
    while not call.over:
        await asyncio.sleep(1.0)
        stage.carrier.presses("1")


async def is_refused(status: int, stage: Stage) -> None:
    await stage.carrier.invites()
    await stage.carrier.receives(status)


async def is_hung_up_on(stage: Stage) -> None:
    call = await stage.carrier.invites()
    await stage.carrier.receives(200)
    await _until(lambda: call.over)


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not fact():
            await asyncio.sleep(STEP_S)


# The phone.


async def answers(stage: Stage) -> None:
    await stage.phone.rings()
    await asyncio.sleep(RINGS_S)
    await stage.phone.answers()


async def blocks(stage: Stage) -> None:
    """Pick up, hear who is calling, and press 3."""
    stage.phone.takes_calls = False
    await answers(stage)
    await asyncio.sleep(RINGS_S)
    stage.phone.presses("3")


async def rings(stage: Stage) -> None:
    while True:
        await stage.phone.invited()
        await stage.phone.rings()


async def rejects(status: int, stage: Stage) -> None:
    while True:
        await stage.phone.invited()
        await stage.phone.rings()
        await asyncio.sleep(RINGS_S / 2)
        await stage.phone.rejects(status)


# The agent, where the API does not control it.


def refuses(status: int, stage: Stage, call: AgentCall) -> None:
    stage.spawn(call.reject(status))


def hangs_up_in_talk(stage: Stage, call: AgentCall) -> None:
    stage.announces(call)
    stage.spawn(_later(1.5, call.hangup))


def hangs_up_after_refer(stage: Stage, call: AgentCall) -> None:
    stage.announces(call, RefersThenHangsUp(stage, call))


class RefersThenHangsUp:
    """A `SipSide` that sends BYE as soon as its REFER is accepted."""

    def __init__(self, stage: Stage, call: AgentCall) -> None:
        self._stage, self._call = stage, call
        self.answer, self.reject, self.hangup = call.answer, call.reject, call.hangup

    async def refer(self, target_uri: str) -> None:
        await self._call.refer(target_uri)
        self._stage.spawn(_later(0.1, self._call.hangup))


async def _later(delay_s: float, act: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(delay_s)
    await act()
