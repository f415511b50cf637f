"""The record of one call: written as it goes, read by whoever asks what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from proxy.call.outcome import Outcome
from proxy.media.quality import Quality
from screening.contract import Message, Said, Spent, Verification

WallClock = Callable[[], datetime]


def clock_from(began: datetime, clock: Callable[[], float]) -> WallClock:
    """Tells the time of one call by the seconds since it began: its times are as far apart as they were,
    though the wall clock be set meanwhile.
    """
    at = clock()
    return lambda: began + timedelta(0, clock() - at)


@dataclass(slots=True)
class LegRecord:
    """One leg: whom we talked to, and how it ended."""

    name: str
    peer: str
    """The URI called, or the caller's."""
    began: datetime
    call_ids: Sequence[str] = ()
    """Its Call-ID (RFC 3261 §8.1.1.4), for whoever looks for it at the other end, once it is over; more than
    one where it was called again as somebody else.
    """
    answered: datetime | None = None
    ended: datetime | None = None
    end: str | None = None
    """Why it ended: the text of its EndReason, or the status of a refusal."""
    peer_reason: str | None = None
    """What the Reason header of the peer's BYE, CANCEL or refusal says (RFC 3326), as ``Q.850;cause=16``."""
    silent: str | None = None
    """The likely cause, where it should have spoken and was not heard."""
    quality: Quality | None = None
    """How well it was heard, and heard us; None where no audio went either way."""

    def as_dict(self) -> dict[str, object]:
        """Plain values, as those of the call."""
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
    """What the caller showed as his name, or told the agent; untrusted text."""
    answered: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome | None = None
    plan: str | None = None
    """What was to be done before anything rang, and which rule said so; None where nothing was planned."""
    verification: Verification | None = None
    """What STIR/SHAKEN says of the caller's number; None where nobody says anything."""
    challenge_passed: bool | None = None
    """Whether the caller has pressed the key that he was told; None where he was told none."""
    decision: str | None = None
    """ALLOW, REJECT or VOICEMAIL; None if there was none."""
    trigger: str | None = None
    """What rang the phone last: ``refer``, ``verdict``, ``failure`` or ``plan``; None if nothing did."""
    why: str | None = None
    """The reason that the agent gave for its decision; None where it gave none, as a bare REFER."""
    ended_by: str | None = None
    """The leg whose peer ended the call; None if we did."""
    voicemail: str | None = None
    voicemail_s: float | None = None
    voicemail_transcript: str | None = None
    """What was said in it; None where it was not transcribed, or not yet."""
    message: Message | None = None
    """What the agent wrote down for the one called; None where it took no message."""
    recording: str | None = None
    """The file that holds both sides of the call; None where it was not recorded."""
    recording_s: float | None = None
    announced: datetime | None = None
    """When the caller had been told that he is recorded."""
    informed: datetime | None = None
    """When the caller had heard from the agent what is kept of the call; None where he was not told by it."""
    cost: Spent | None = None
    """What the agent cost; None where none came into the call."""
    legs: list[LegRecord] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    """The story in order, one line a step, without numbers or words said."""
    transcript: Sequence[Said] = ()

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


def _plain(entry: Said | Message | Verification) -> dict[str, object]:
    return {name: getattr(entry, name) for name in entry.__slots__}


def _iso_8601(time: datetime) -> str:
    """In milliseconds; as `isoformat`, in a quarter of its time: a call has ten of them."""
    if time.tzinfo is not UTC:
        return time.isoformat(timespec="milliseconds")
    second = _second(time.year, time.month, time.day, time.hour, time.minute, time.second)
    return second + _MILLISECONDS[time.microsecond // 1000]


_MILLISECONDS = [f".{ms:03d}+00:00" for ms in range(1000)]


@lru_cache(64)
def _second(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
