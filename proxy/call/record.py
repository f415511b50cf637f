"""The record of one call, written while it goes on, and kept afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from proxy.call.outcome import Outcome
from proxy.media.quality import Quality
from screening.contract import AgentCost, Message, TranscriptLine, Verification

WallClock = Callable[[], datetime]


def clock_from(began: datetime, clock: Callable[[], float]) -> WallClock:
    """A wall clock for one call that counts from its beginning by the monotonic `clock`.

    So durations in its record stay right even if the system's wall clock is set meanwhile.
    """
    at = clock()
    return lambda: began + timedelta(0, clock() - at)


@dataclass(slots=True)
class LegRecord:
    """One leg: its peer, and how it ended."""

    name: str
    peer: str
    """The URI that was called; for the caller's leg, the URI of its From."""
    began: datetime
    call_ids: Sequence[str] = ()
    """Its Call-IDs (RFC 3261 §8.1.1.4), to find it in the peer's logs; set when the leg is over.

    More than one if it was called again with another identity.
    """
    answered: datetime | None = None
    ended: datetime | None = None
    end: str | None = None
    """Why it ended: the text of its EndReason, or the status of a refusal."""
    peer_reason: str | None = None
    """The Reason header of the peer's BYE, CANCEL or refusal (RFC 3326), such as ``Q.850;cause=16``."""
    silent: str | None = None
    """The likely cause, if the leg should have sent audio and did not."""
    quality: Quality | None = None
    """Audio quality in both directions; None if there was no audio either way."""

    def as_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        return {
            "name": self.name,
            "peer": self.peer,
            "began": _iso_8601(self.began),
            "call_ids": list(self.call_ids),
            "answered": self.answered and _iso_8601(self.answered),
            "ended": self.ended and _iso_8601(self.ended),
            "end": self.end,
            "peer_reason": self.peer_reason,
            "silent": self.silent,
            "quality": self.quality and self.quality.as_dict(),
        }


@dataclass(slots=True)
class CallRecord:
    """What happened to one call."""

    call: str
    caller: str | None
    dialed: str
    began: datetime
    caller_name: str | None = None
    """The caller's display name, or the name given to the agent; untrusted text."""
    answered: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome | None = None
    plan: str | None = None
    """The plan made before anything rang, and the rule behind it; None if none was made."""
    verification: Verification | None = None
    """The STIR/SHAKEN result for the caller's number; None if there is none."""
    challenge_passed: bool | None = None
    """Whether the caller passed the key challenge; None if there was none."""
    decision: str | None = None
    """The agent's decision: ALLOW, REJECT or VOICEMAIL; None if there was none."""
    trigger: str | None = None
    """What rang the phone last: ``refer``, ``verdict``, ``failure`` or ``plan``; None if nothing did."""
    why: str | None = None
    """The reason that the agent gave for its decision; None if it gave none, as with a bare REFER."""
    ended_by: str | None = None
    """The leg whose peer ended the call; None if we did."""
    voicemail: str | None = None
    voicemail_s: float | None = None
    voicemail_transcript: str | None = None
    """The voicemail as text; None if it is not transcribed, or not yet."""
    message: Message | None = None
    """The message that the agent took down; None if it took none."""
    recording: str | None = None
    """The file with both sides of the call; None if it was not recorded."""
    recording_s: float | None = None
    announced: datetime | None = None
    """When the caller had been told of the recording."""
    informed: datetime | None = None
    """When the agent had told the caller what is kept of the call; None if it did not."""
    cost: AgentCost | None = None
    """What the agent cost; None if no agent was called."""
    legs: list[LegRecord] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    """The steps of the call in order, one line each, without telephone numbers or anything that was said."""
    transcript: Sequence[TranscriptLine] = ()

    def as_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON: the fields in their order, times in ISO 8601."""
        return {
            "call": self.call,
            "caller": self.caller,
            "dialed": self.dialed,
            "began": _iso_8601(self.began),
            "caller_name": self.caller_name,
            "answered": self.answered and _iso_8601(self.answered),
            "ended": self.ended and _iso_8601(self.ended),
            "outcome": self.outcome and {"result": self.outcome.result.text, "reason": self.outcome.reason},
            "plan": self.plan,
            "verification": self.verification and _plain(self.verification),
            "challenge_passed": self.challenge_passed,
            "decision": self.decision,
            "trigger": self.trigger,
            "why": self.why,
            "ended_by": self.ended_by,
            "voicemail": self.voicemail,
            "voicemail_s": self.voicemail_s,
            "voicemail_transcript": self.voicemail_transcript,
            "message": self.message and _plain(self.message),
            "recording": self.recording,
            "recording_s": self.recording_s,
            "announced": self.announced and _iso_8601(self.announced),
            "informed": self.informed and _iso_8601(self.informed),
            "cost": self.cost and self.cost.as_dict(),
            "legs": [leg.as_dict() for leg in self.legs],
            "steps": self.steps,
            "transcript": [_plain(line) for line in self.transcript],
        }


def _plain(entry: TranscriptLine | Message | Verification) -> dict[str, object]:
    return {name: getattr(entry, name) for name in entry.__slots__}


def _iso_8601(time: datetime) -> str:
    """As `isoformat` with milliseconds, in a quarter of its time: a call has ten timestamps."""
    if time.tzinfo is not UTC:
        return time.isoformat(timespec="milliseconds")
    second = _second(time.year, time.month, time.day, time.hour, time.minute, time.second)
    return second + _MILLISECONDS[time.microsecond // 1000]


_MILLISECONDS = [f".{ms:03d}+00:00" for ms in range(1000)]


@lru_cache(64)
def _second(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
