"""The scenes of the demo: the plain call, and every way it can go wrong, with the expected outcome."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial

from proxy.call.outcome import Result
from proxy.lab.openai_conversation import Conversation
from proxy.lab.openai_faults import Faults
from proxy.lab.scripts import (
    Script,
    answers,
    blocks,
    cancels,
    hangs_up_after_refer,
    hangs_up_in_talk,
    holds,
    is_hung_up_on,
    is_refused,
    leaves_as_it_is_answered,
    leaves_in_talk,
    leaves_while_it_rings,
    presses_1,
    presses_the_key,
    refuses,
    rejects,
    rings,
    talks,
)
from proxy.lab.stage import Provider, Scenery, Stage


@dataclass(frozen=True, slots=True)
class Scene:
    """A call: its scripts, and the expected outcome."""

    name: str
    about: str
    result: Result = Result.BRIDGED
    trigger: str | None = "refer"
    """What must have rung the phone: ``refer``, ``verdict``, ``failure``, or None if nobody was rung."""
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


NAMED = (
    '{ name = "office", to = "sip:+14155559870@trunk:carrier", about = "orders" }, '
    '{ name = "workshop", to = "sip:+14155559876@trunk:carrier", about = "repairs" }'
)


def _parting(talk: Conversation) -> Conversation:
    """Adapt the goodbye to a message that the agent took."""
    return replace(talk, goodbyes={**talk.goodbyes, "VOICEMAIL": "I will pass that on. Goodbye."})


def _agents(name: str, about: str, result: Result, talk: Conversation, of_number: str = "") -> Scene:
    """A scene in which the agent does not put the caller through."""
    return Scene(name, about, result, None, Scenery(conversation=talk, of_number=of_number))


DECIDED = (
    Scene("allow", "a wanted caller, bridged by the agent's REFER"),
    _agents(
        "reject",
        "an unwanted caller",
        Result.DECLINED,
        Conversation(decision="REJECT", reason="An unwanted sales call.", caller_name=None),
    ),
    _agents(
        "voicemail",
        "a message is enough",
        Result.VOICEMAIL,
        Conversation(decision="VOICEMAIL", reason="Nothing urgent; a message will do."),
    ),
    _agents(
        "message",
        "the agent takes the message itself",
        Result.VOICEMAIL,
        _parting(
            Conversation(
                decision="VOICEMAIL",
                tool="take_message",
                given={
                    "message": "The cake is ready on Saturday at ten.",
                    "caller_name": "Grace",
                    "urgent": False,
                },
            )
        ),
        'tools = ["take_message"]',
    ),
    Scene(
        "connect-to",
        "one of several destinations, by its name",
        scenery=Scenery(
            conversation=Conversation(
                tool="request_connect",
                given={"destination": "workshop", "reason": "A broken oven.", "caller_name": "Grace"},
            ),
            destinations=NAMED,
            of_number='name = "Acme"',
        ),
    ),
    _agents(
        "end-call",
        "nothing is left to do",
        Result.DECLINED,
        Conversation(decision="REJECT", tool="end_call", given={"reason": "A wrong number."}),
    ),
)
"""The decisions an agent may make."""
GATED = (
    Scene(
        "challenge",
        "no AI: whoever presses the right key is put through",
        Result.BRIDGED,
        "plan",
        Scenery(of_number='screen = "trusted"\nuntrusted = "challenge"'),
        caller=presses_the_key,
    ),
    Scene(
        "refuse",
        "a caller on the block list: 607",
        Result.REFUSED,
        None,
        Scenery(of_number='block = ["+13475550148"]\nblock_with = 607'),
        caller=partial(is_refused, 607),
    ),
)
"""Scenes without an agent."""
DECISIONS = tuple(scene.name for scene in DECIDED)
WITHOUT_AI = tuple(scene.name for scene in GATED)
PLAIN = {scene.name: scene for scene in (*DECIDED, *GATED)}


def by(scene: Scene, provider: Provider) -> Scene:
    """Return the scene with another vendor's voice AI."""
    return replace(scene, scenery=replace(scene.scenery, provider=provider))


def _faulty(name: str, about: str, faults: Faults, trigger: str = "refer") -> Scene:
    """OpenAI's HTTP side misbehaves; the caller is bridged all the same."""
    return Scene(name, about, trigger=trigger, scenery=Scenery(openai=faults))


def _agent(name: str, about: str, trigger: str, scenery: Scenery) -> Scene:
    """OpenAI's SIP side misbehaves; the caller is bridged all the same."""
    return Scene(name, about, trigger=trigger, scenery=scenery)


def _unanswered(name: str, about: str, phone: Script, ring_limit_s: float = 20.0) -> Scene:
    """The phone does not take the call: the agent learns of it, and takes a message."""
    return Scene(name, about, Result.VOICEMAIL, "refer", Scenery(ring_limit_s=ring_limit_s), phone=phone)


def _without_agent(name: str, result: Result, trigger: str | None, then: str, caller: Script) -> Scene:
    """The agent answers 503, and `on_failure` decides."""
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
