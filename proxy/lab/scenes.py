"""The scenes of the demo: the plain call, and every way it can go wrong, with the ending each must have."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from proxy.call.outcome import Result
from proxy.lab.audio import BEEP_HZ, CALLER_HZ
from proxy.lab.openai_conversation import Conversation
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_sip import AgentCall
from proxy.lab.stage import Provider, Scenery, Stage

Script = Callable[[Stage], Awaitable[None]]

RINGS_S = 0.8
TALK_S = 2.5
STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class Scene:
    """One call: what plays, and how it must end."""

    name: str
    about: str
    result: Result = Result.BRIDGED
    trigger: str | None = "refer"
    """What must have rung the phone: ``refer``, ``verdict``, ``failure``, or None where nobody was rung."""
    scenery: Scenery = field(default_factory=Scenery)
    caller: Script | None = None
    phone: Script | None = None

    async def play(self, stage: Stage) -> None:
        """Play caller and phone until the call is over."""
        phone = asyncio.ensure_future((self.phone or answers)(stage))
        try:
            await (self.caller or talks)(stage)
            await asyncio.wait_for(asyncio.shield(stage.record), 20)
        finally:
            phone.cancel()
            await asyncio.gather(phone, return_exceptions=True)


# What the caller does.


async def talks(stage: Stage) -> None:
    """Call, talk with whoever there is, leave a message if asked to, and hang up."""
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
    """Talk, put the other end on hold, come back, and hang up."""
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
    """Hear which key to press, press it, and talk with whoever answers."""
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
    """The key that the caller was told last."""
    found = re.search(r"to be put through, press (\d)", stage.app.voices.latest, re.IGNORECASE)
    return found[1] if found else None


async def presses_1(stage: Stage) -> None:
    """Press the key that is never the right one, as a machine might, until that is enough."""
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


# What the phone does.


async def answers(stage: Stage) -> None:
    await stage.phone.rings()
    await asyncio.sleep(RINGS_S)
    await stage.phone.answers()


async def blocks(stage: Stage) -> None:
    """Pick up, hear who it is, and press 3."""
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


# What the agent does, where it is not the API that says.


def refuses(status: int, stage: Stage, call: AgentCall) -> None:
    stage.spawn(call.reject(status))


def hangs_up_in_talk(stage: Stage, call: AgentCall) -> None:
    stage.announces(call)
    stage.spawn(_later(1.5, call.hangup))


def hangs_up_after_refer(stage: Stage, call: AgentCall) -> None:
    stage.announces(call, RefersAndLeaves(stage, call))


class RefersAndLeaves:
    """An agent that sends BYE as soon as its REFER is taken; a `SipSide`."""

    def __init__(self, stage: Stage, call: AgentCall) -> None:
        self._stage, self._call = stage, call
        self.answer, self.reject, self.hangup = call.answer, call.reject, call.hangup

    async def refer(self, target_uri: str) -> None:
        await self._call.refer(target_uri)
        self._stage.spawn(_later(0.1, self._call.hangup))


async def _later(delay_s: float, act: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(delay_s)
    await act()


# The scenes.


NAMED = (
    '{ name = "office", to = "sip:+14155559870@trunk:carrier", about = "orders" }, '
    '{ name = "workshop", to = "sip:+14155559876@trunk:carrier", about = "repairs" }'
)


def _plain(decision: str) -> Scene:
    match decision:
        case "reject":
            talk = Conversation(decision="REJECT", reason="An unwanted sales call.", caller_name=None)
            return Scene("reject", "an unwanted caller", Result.DECLINED, None, Scenery(conversation=talk))
        case "voicemail":
            talk = Conversation(decision="VOICEMAIL", reason="Nothing urgent; a message will do.")
            return Scene(
                "voicemail", "a message is enough", Result.VOICEMAIL, None, Scenery(conversation=talk)
            )
        case "message":
            given = {
                "message": "The cake is ready on Saturday at ten.",
                "caller_name": "Grace",
                "urgent": False,
            }
            talk = Conversation(decision="VOICEMAIL", tool="take_message", given=given)
            scenery = Scenery(conversation=_parting(talk), of_number='tools = ["take_message"]')
            return Scene("message", "the agent takes the message itself", Result.VOICEMAIL, None, scenery)
        case "connect-to":
            given = {"destination": "workshop", "reason": "A broken oven.", "caller_name": "Grace"}
            talk = Conversation(tool="request_connect", given=given)
            scenery = Scenery(conversation=talk, destinations=NAMED, of_number='name = "Acme"')
            return Scene("connect-to", "one of several destinations, by its name", scenery=scenery)
        case "end-call":
            given = {"reason": "A wrong number."}
            talk = Conversation(decision="REJECT", tool="end_call", given=given)
            scenery = Scenery(conversation=talk)
            return Scene("end-call", "nothing is left to do", Result.DECLINED, None, scenery)
        case "challenge":
            gated = Scenery(of_number='screen = "trusted"\nuntrusted = "challenge"')
            about = "no AI: who presses the key that he is told is put through"
            return Scene("challenge", about, Result.BRIDGED, "plan", gated, caller=presses_the_key)
        case "refuse":
            listed = Scenery(of_number='block = ["+13475550148"]\nblock_with = 607')
            caller = partial(is_refused, 607)
            return Scene(
                "refuse", "a caller on the block list: 607", Result.REFUSED, None, listed, caller=caller
            )
        case _:
            return Scene("allow", "a wanted caller, bridged by the agent's REFER")


def _parting(talk: Conversation) -> Conversation:
    """With a goodbye that fits a message taken."""
    return replace(talk, goodbyes={**talk.goodbyes, "VOICEMAIL": "I will pass that on. Goodbye."})


DECISIONS = ("allow", "reject", "voicemail", "message", "connect-to", "end-call")
WITHOUT_AI = ("challenge", "refuse")
PLAIN = {decision: _plain(decision) for decision in (*DECISIONS, *WITHOUT_AI)}


def by(scene: Scene, provider: Provider) -> Scene:
    """The same scene with another vendor's voice AI."""
    return replace(scene, scenery=replace(scene.scenery, provider=provider))


def _faulty(name: str, about: str, faults: Faults, trigger: str = "refer") -> Scene:
    """OpenAI's HTTP side misbehaves; the caller is bridged all the same."""
    return Scene(name, about, trigger=trigger, scenery=Scenery(openai=faults))


def _agent(name: str, about: str, trigger: str, scenery: Scenery) -> Scene:
    """OpenAI's SIP side misbehaves; the caller is bridged all the same."""
    return Scene(name, about, trigger=trigger, scenery=scenery)


def _unanswered(name: str, about: str, phone: Script, ring_limit_s: float = 20.0) -> Scene:
    """The phone does not take the call: the agent is told, and takes a message."""
    return Scene(name, about, Result.VOICEMAIL, "refer", Scenery(ring_limit_s=ring_limit_s), phone=phone)


def _without_agent(name: str, result: Result, trigger: str | None, then: str, caller: Script) -> Scene:
    """The agent answers 503, and `on_failure` says what becomes of the caller."""
    scenery = Scenery(agent=partial(refuses, 503), of_number=f'on_failure = "{then}"')
    return Scene(name, f'the same, with on_failure = "{then}"', result, trigger, scenery, caller=caller)


FAULTS = {
    scene.name: scene
    for scene in (
        _faulty(
            "refer-500", "POST /refer answers 500", Faults(refer_status=500, refer_delay_s=0.37), "verdict"
        ),
        _faulty(
            "refer-504",
            "POST /refer answers 504 after 10 s",
            Faults(refer_status=504, refer_delay_s=10.0),
            "verdict",
        ),
        _faulty(
            "refer-silent", "POST /refer answers 200, no REFER comes", Faults(refer_silent=True), "verdict"
        ),
        _agent(
            "refer-new-connection",
            "REFER on a fresh TLS connection",
            "refer",
            Scenery(refers_on_new_connection=True),
        ),
        _faulty("refer-twice", "the REFER comes twice", Faults(refer_twice=True)),
        _unanswered("phone-busy", "the phone is busy: 486", partial(rejects, 486)),
        _unanswered("phone-no-answer", "nobody answers in time", rings, 2.0),
        _unanswered("phone-declines", "the call is declined: 603", partial(rejects, 603)),
        _unanswered("phone-503", "the phone's trunk has no capacity: 503", partial(rejects, 503)),
        _agent(
            "agent-bye-after-refer", "BYE right after the REFER", "refer", Scenery(agent=hangs_up_after_refer)
        ),
        _agent(
            "agent-bye-mid-talk", "the agent hangs up in mid-talk", "failure", Scenery(agent=hangs_up_in_talk)
        ),
        _agent("agent-503", "the agent answers 503", "failure", Scenery(agent=partial(refuses, 503))),
        _without_agent("agent-503-challenge", Result.BRIDGED, "failure", "challenge", presses_the_key),
        _without_agent("agent-503-voicemail", Result.VOICEMAIL, None, "voicemail", talks),
        _without_agent("agent-503-reject", Result.REFUSED, None, "reject", partial(is_refused, 480)),
        Scene(
            "challenge-failed",
            "a machine presses no right key",
            Result.DECLINED,
            None,
            Scenery(of_number='gate = "challenge"\nchallenge_failed = "reject"'),
            caller=presses_1,
        ),
        Scene(
            "phone-blocks",
            "3 is pressed at the phone",
            Result.DECLINED,
            scenery=Scenery(of_number='whisper_keys = "on"'),
            caller=is_hung_up_on,
            phone=blocks,
        ),
        _agent(
            "agent-tls-refused",
            "the agent's certificate is not trusted",
            "failure",
            Scenery(agent_trusted=False),
        ),
        Scene(
            "webhook-lost",
            "OpenAI never sends its webhook",
            trigger="failure",
            scenery=Scenery(openai=Faults(webhook_lost=True), ready_limit_s=2.0),
        ),
        _faulty("webhook-twice", "the webhook comes twice", Faults(webhook_twice=True)),
        _faulty("webhook-of-both-apis", "OpenAI offers the call by both of its APIs", Faults(live_twin=True)),
        _faulty("webhook-forged", "a forged webhook comes first", Faults(webhook_forged="signature")),
        _faulty("accept-404-then-ok", "POST /accept answers 404 once", Faults(accept_404_times=1)),
        _faulty(
            "ws-drop", "the WebSocket drops in mid-talk", Faults(ws_drop_after="output_audio_buffer.started")
        ),
        Scene(
            "no-decision",
            "the model never decides",
            trigger="failure",
            scenery=Scenery(openai=Faults(no_decision=True), talk_limit_s=5.0),
        ),
        Scene("caller-cancels", "CANCEL before the answer", Result.CALLER_LEFT, None, caller=cancels),
        Scene(
            "caller-bye-in-talk", "BYE while the agent talks", Result.CALLER_LEFT, None, caller=leaves_in_talk
        ),
        Scene(
            "caller-bye-while-phone-rings",
            "BYE while the phone rings",
            Result.CALLER_LEFT,
            caller=leaves_while_it_rings,
            phone=rings,
        ),
        Scene(
            "caller-bye-as-phone-answers",
            "BYE crosses the phone's 200",
            Result.CALLER_LEFT,
            caller=leaves_as_it_is_answered,
            phone=rings,
        ),
        Scene("reinvite-hold", "hold and resume by re-INVITE", caller=holds),
        replace(PLAIN["reject"], name="decision-reject"),
        replace(PLAIN["voicemail"], name="decision-voicemail"),
    )
}
