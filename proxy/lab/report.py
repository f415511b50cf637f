"""Checks a scene that has been played: the right outcome, audio both ways, and nothing left over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.call.outcome import Result
from proxy.call.record import CallRecord
from proxy.lab.audio import CALLER_HZ, PHONE_HZ
from proxy.lab.phone import LISTENS_S
from proxy.lab.scenes import Scene
from proxy.lab.stage import Stage
from proxy.sip.message import Response

SETTLE_S = 5.0
"""How long the last responses may take to arrive."""
SWITCH_S = 1.0
"""The caller's audio is checked this long after the switch, and half as long before."""
GAP_LIMIT_MS = 500.0
"""A gap that a caller would take for a lost call; a good one is far below."""
UNTOLD_LIMIT_MS = 1000.0
"""The same for whoever picks up, while the whisper plays."""


@dataclass(frozen=True, slots=True)
class Report:
    """The checked result of one scene."""

    scene: Scene
    record: CallRecord | None
    seconds: float
    problems: tuple[str, ...]
    bridged: bool = False
    to_phone: bool = False
    """The phone heard the caller's tone."""
    to_caller: bool = False
    """The caller heard the phone's tone."""
    gap_ms: float | None = None
    """The longest time without a packet at the caller around the switch from agent to phone."""
    usual_gap_ms: float | None = None
    """The same over as long a time before, while the agent spoke: packets every 20 ms, a few of them late."""
    late: tuple[str, ...] = ()
    """The problems among them that a busy machine may cause as well: unexpected silence."""

    @property
    def good(self) -> bool:
        return not self.problems

    @property
    def only_late(self) -> bool:
        """Whether the only problems are those that a busy machine may cause."""
        return bool(self.late) and self.problems == self.late


async def judge(scene: Scene, stage: Stage, seconds: float, failure: Exception | None) -> Report:
    """Compare what happened with what the scene expects."""
    problems = [f"the script stopped: {_first_line(failure)}"] if failure else []
    record = stage.record.result() if stage.record.done() else None
    problems += _of_record(scene, record) if record else ["the call was never over"]
    left = await _settled(stage)
    problems += [f"left over: {', '.join(left)}"] if left else []
    problems += [f"{peer.name}: {fault}" for peer in stage.peers for fault in peer.faults]
    if stage.caller_audio.line_breaks:
        problems.append(f"the caller's stream is broken: {stage.caller_audio.line_breaks}")
    problems += _of_agent(stage, record)
    answered = _phone_answered_at(stage)
    bridged = record is not None and record.outcome is not None and record.outcome.result is Result.BRIDGED
    if not bridged or answered is None:
        return Report(scene, record, seconds, tuple(problems + _of_voicemail(scene, record)))
    to_phone = stage.phone_audio.hears(CALLER_HZ, since=answered)
    to_caller = stage.caller_audio.hears(PHONE_HZ, since=answered)
    switched = answered + LISTENS_S  # when it presses 1
    gap_ms = stage.caller_audio.longest_gap_ms(switched - SWITCH_S / 2, switched + SWITCH_S)
    usual_ms = stage.caller_audio.longest_gap_ms(switched - 2 * SWITCH_S, switched - SWITCH_S / 2)
    untold_ms = stage.phone_audio.longest_gap_ms(answered, answered + LISTENS_S)
    problems += [] if to_phone else ["the phone does not hear the caller"]
    problems += [] if to_caller else ["the caller does not hear the phone"]
    late = ["the phone is not told who calls"] if untold_ms > UNTOLD_LIMIT_MS else []
    if stage.carrier.call is not None and _was_answered(record) and gap_ms > GAP_LIMIT_MS:
        late.append(f"{gap_ms:.0f} ms of silence at the switch")
    return Report(
        scene,
        record,
        seconds,
        (*problems, *late),
        bridged,
        to_phone,
        to_caller,
        gap_ms,
        usual_ms,
        tuple(late),
    )


def _of_record(scene: Scene, record: CallRecord) -> list[str]:
    outcome = record.outcome.result if record.outcome else None
    problems = []
    if outcome is not scene.result:
        problems.append(f"ended {outcome.value if outcome else 'nowhere'}, not {scene.result.value}")
    if record.trigger != scene.trigger:
        problems.append(f"the phone was rung by {record.trigger}, not {scene.trigger}")
    return problems


def _of_voicemail(scene: Scene, record: CallRecord | None) -> list[str]:
    if scene.result is not Result.VOICEMAIL or record is None:
        return []
    if record.message is not None:
        return []
    return [] if (record.voicemail_s or 0.0) > 1.0 else [f"the message is {record.voicemail_s} s long"]


def _of_agent(stage: Stage, record: CallRecord | None) -> list[str]:
    """SRTP is offered by default, and OpenAI accepts it."""
    if not _was_answered(record) or stage.agent_audio.suite is not None:
        return []
    return ["the agent's audio is plain RTP"]


async def _settled(stage: Stage) -> list[str]:
    """Wait until nothing is left, or `SETTLE_S`; returns what is left."""
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    while (left := stage.left_over()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
    return left


def _phone_answered_at(stage: Stage) -> float | None:
    """Loop time of the phone's 200."""
    for traced in stage.phone.trace:
        message = traced.message
        answer = isinstance(message, Response) and message.status == 200 and message.cseq.method == "INVITE"
        if answer and traced.direction == ">":
            return traced.at
    return None


def _was_answered(record: CallRecord | None) -> bool:
    """Whether the agent answered the caller before the phone did, so that audio switched."""
    return record is not None and any(leg.name == "agent" and leg.answered for leg in record.legs)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
