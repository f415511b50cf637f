"""Writes what happens to a call to its record, to the log (one INFO line per step) and to the event feed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path

import structlog

from proxy.call.feed import Feed
from proxy.call.outcome import Outcome, Result, outcome
from proxy.call.record import CallRecord, LegRecord, WallClock
from proxy.media.quality import NO_AUDIO, Quality
from proxy.sip.errors import SipError
from proxy.sip.reason import reasons
from proxy.ua.errors import LegEnded, Rejected
from proxy.ua.reason import EndReason
from screening.contract import (
    Ask,
    Caller,
    Challenge,
    Connect,
    Decline,
    Message,
    Plan,
    Refuse,
    Ring,
    Screening,
    TakeMessage,
    TranscriptLine,
    Undecided,
    Verdict,
)

Log = structlog.typing.FilteringBoundLogger
LOG: Log = structlog.get_logger("screendoor")

HUNDREDTH = timedelta(milliseconds=10)
"""Of a second. Durations are cut to it by integer division, which takes a third of the time of `round`."""
REFUSED_REASONS = (EndReason.MEDIA_REFUSED, EndReason.INTERVAL_TOO_SMALL, EndReason.REJECTED)
"""End reasons of a caller's leg whose INVITE we refused for what it asks."""
ENDED_BY_US = (
    EndReason.DRAINING,
    EndReason.MEDIA_INACTIVE,
    EndReason.TOO_LONG,
    EndReason.BY_USER,
    *REFUSED_REASONS,
)
"""End reasons by which we end a leg in the middle of its call."""

_PLANNED = {
    Ask: "ask", Ring: "ring", Refuse: "reject", Challenge: "challenge", Undecided: "unscreened",
}  # fmt: skip
_without_numbers = lru_cache(256)(partial(re.compile(r"\d{5,}").sub, "…"))
"""Cached, since most calls are planned in one of a few ways."""


@lru_cache(maxsize=256)  # calls with the same step share one text
def _step_text(event: str, why: str) -> str:
    return f"{event}: {why}"


@lru_cache(maxsize=256)
def _answered(leg: str) -> str:
    return f"{leg} answered"


class Journal:
    """The only writer of a call's record, of its log lines and of its events."""

    __slots__ = ("_feed", "_record", "_wall_clock", "log")

    def __init__(
        self, record: CallRecord, wall_clock: WallClock, feed: Feed | None = None, log: Log = LOG
    ) -> None:
        """`feed`: where every step is published as it happens."""
        self._record, self._wall_clock, self._feed = record, wall_clock, feed
        if self._feed is not None:
            self._publish("began", caller=record.caller, dialed=record.dialed)
        self.log: Log = log.bind(call=record.call)

    def _publish(self, name: str, /, **details: object) -> None:
        """Publish an event; callers on every call's path check `_feed` first, to save the call."""
        if self._feed is not None:
            self._feed.publish(self._record.call, name, **details)

    def follow(self, screening: Screening) -> None:
        """Publish every line of the transcript as it comes, if there is a feed."""
        if self._feed is not None:
            screening.follow(self._publish_line)

    def _publish_line(self, said: TranscriptLine) -> None:
        self._publish("line", speaker=said.speaker, text=said.text, at_s=said.at_s)

    def step(self, event: str, why: str) -> None:
        self._record.steps.append(_step_text(event, why))
        if self._feed is not None:
            self._publish("step", step=event, why=why)
        self.log.info(event, why=why)

    def planned(self, plan: Plan, caller: Caller | None = None) -> None:
        """Write down the plan for the caller; telephone numbers in its reason go to the record only.

        A verification made here takes precedence over one by the caller's trunk.
        """
        verification = plan.verification or (caller.verification if caller else None)
        if verification is not None and verification != self._record.verification:
            self._record.verification = verification
            self.log.info(
                "verified",
                result=verification.result,
                attest=verification.attest or "-",
                by=verification.source,
                **({"why": verification.why} if verification.why else {}),
            )
        done = _PLANNED.get(type(plan), "voicemail")
        if plan.reason:
            done = _step_text(done, plan.reason)
            self.step("planned", _without_numbers(done))
        self._record.plan = done

    def began(self, name: str, peer: str) -> LegRecord:
        legs = self._record.legs
        entry = LegRecord(name, peer, self._wall_clock() if legs else self._record.began)
        legs.append(entry)
        if self._feed is not None:
            self._publish("leg", leg=name, state="began")
        return entry

    def answered(self, leg: str) -> None:
        entry = self._latest(leg)
        entry.answered = now = self._wall_clock()
        if leg == "caller":
            self._record.answered = now
        self._record.steps.append(_answered(leg))
        if self._feed is not None:
            self._publish("leg", leg=leg, state="answered")
        self.log.info("answered", leg=leg, after_s=(now - entry.began) // HUNDREDTH / 100)

    def leg_failed(self, leg: str, failure: SipError) -> None:
        entry = self._latest(leg)
        entry.ended, entry.end = self._wall_clock(), str(failure)
        if isinstance(failure, Rejected):
            entry.peer_reason = reasons(failure.response)
        self._record.steps.append(f"{leg} did not answer: {failure}")
        self._publish("leg", leg=leg, state="not answered", why=str(failure))
        self.log.info("not answered", leg=leg, why=str(failure))

    def leg_ended(self, entry: LegRecord, reason: EndReason, peer_reason: str | None) -> None:
        if entry.ended is None:
            entry.ended, entry.end, entry.peer_reason = self._wall_clock(), reason.text, peer_reason
            if self._feed is not None:
                self._publish("leg", leg=entry.name, state="ended", why=reason.text)
            if peer_reason:
                self.log.info("ended", leg=entry.name, why=reason.text, peer_reason=peer_reason)
            elif reason is EndReason.CALLER_LEFT:  # the line of the caller's own leg says so
                self.log.debug("ended", leg=entry.name, why=reason.text)
            else:
                self.log.info("ended", leg=entry.name, why=reason.text)

    def leg_quality(self, entry: LegRecord, quality: Quality) -> None:
        """Write down the audio quality of a leg that is over; nothing if no audio went either way."""
        if quality == NO_AUDIO:
            return
        entry.quality = quality
        heard, sent = quality.heard, quality.sent
        optional = {"mos": heard.mos, "mos_sent": sent.mos, "round_trip_ms": quality.round_trip_ms}
        self.log.info(
            "heard",
            leg=entry.name,
            packets=heard.packets,
            lost=heard.lost,
            jitter_ms=heard.jitter_ms,
            longest_gap_ms=heard.longest_gap_ms,
            sent=sent.packets,
            dropped=quality.dropped,
            **{name: value for name, value in optional.items() if value is not None},
        )
        if entry.answered is not None and quality.silent is not None:
            self.leg_silent(entry, quality.silent)

    def leg_silent(self, entry: LegRecord, why: str) -> None:
        """Warn, once, that no audio comes from a leg that should send some."""
        if entry.silent is None:
            entry.silent = why
            self._record.steps.append(f"{entry.name} is silent")
            self._publish("step", step="silent", why=f"{entry.name}: {why}")
            self.log.warning("silent", leg=entry.name, likely=why)

    def now(self) -> datetime:
        """The present time, by the record's clock."""
        return self._wall_clock()

    def call_ids(self) -> list[tuple[str, Sequence[str]]]:
        """The name of each leg, and its Call-IDs if it is over."""
        return [(leg.name, leg.call_ids) for leg in self._record.legs]

    def answered_legs(self) -> list[LegRecord]:
        """The entries of the legs that are answered and not over."""
        return [each for each in self._record.legs if each.answered is not None and each.ended is None]

    def failed(self, event: str, error: Exception) -> None:
        """Write down an error of our own, after which the call goes on as well as it can."""
        self._record.steps.append(f"{event}: {error}")
        self._publish("step", step=event, why=str(error))
        self.log.error(event, problem=str(error))

    def decided(self, decision: str, by: str, verdict: Verdict | None) -> None:
        """Write down what the agent decided; `by`: ``refer`` or ``verdict``.

        `verdict` is what its tool call said, if there was one: a REFER may come without. Its reason is a
        person's words, and stays out of the log at INFO.
        """
        self._record.decision = decision
        self._record.why = verdict.reason if verdict else None
        if isinstance(verdict, Connect | Decline | TakeMessage) and verdict.caller_name:
            self._record.caller_name = verdict.caller_name
        self._record.steps.append(f"decision {decision} by {by}")
        self._publish("decision", decision=decision, by=by, why=self._record.why)
        self.log.info("decided", decision=decision, by=by)

    def challenged(self, why: str) -> None:
        """The caller is about to be challenged."""
        self._record.challenge_passed = bool(self._record.challenge_passed)  # True stays True
        self.step("challenged", why)

    def challenge_passed(self, after_s: float) -> None:
        """The caller has pressed the right key."""
        self._record.challenge_passed = True
        self.step("challenge passed", f"the right key after {after_s:.1f} s")

    def rung_by(self, trigger: str) -> None:
        self._record.trigger = trigger

    def settle(self, result: Result, reason: str) -> None:
        """Write down the outcome once it is certain; a later hang-up does not change it."""
        self._record.outcome, text = outcome(result, reason), result.text
        self._record.steps.append(text)
        if self._feed is not None:
            self._publish("settled", result=text)
        self.log.info("settled", result=text)

    def voicemail_recorded(self, path: Path, seconds: float) -> None:
        self._record.voicemail, self._record.voicemail_s = str(path), round(seconds, 2)
        self.log.info("recorded", seconds=round(seconds, 2))

    def message_taken(self, message: Message) -> None:
        """The agent has taken a message itself, and said goodbye; its text stays out of the log."""
        self._record.message = message
        self.log.info("message taken", characters=len(message.text))
        self.settle(Result.VOICEMAIL, "the agent took a message")

    def call_recorded(self, path: Path, seconds: float) -> None:
        self._record.recording, self._record.recording_s = str(path), round(seconds, 2)
        self.log.info("call recorded", seconds=round(seconds, 2))

    def recording_announced(self) -> None:
        self._record.announced = self._wall_clock()
        self.log.info("recording announced")

    def ended_by(self, end: LegEnded) -> None:
        """The end of a leg ended the call: its peer hung up or was lost, or we ended it."""
        if end.reason not in ENDED_BY_US:
            self._record.ended_by = end.leg.name
        if self._record.outcome is None:
            self._record.outcome = Outcome(self._result_of(end), end.reason.text)

    @staticmethod
    def _result_of(end: LegEnded) -> Result:
        """The outcome of a call that ended before one was settled."""
        if end.reason is EndReason.BY_USER:
            return Result.DECLINED
        if end.reason is EndReason.DRAINING:
            return Result.CUT
        if end.reason in REFUSED_REASONS:
            return Result.REFUSED
        return Result.CALLER_LEFT if end.leg.name == "caller" else Result.UNANSWERED

    def close(self, screening: Screening | None) -> None:
        """Complete the record: the call is over."""
        record = self._record
        record.ended = self._wall_clock()
        if record.outcome is None:
            record.outcome = Outcome(Result.CUT, "ended by us before the story was over")
        result = record.outcome.result.text
        if screening is not None:
            record.transcript = tuple(screening.transcript)
            if screening.informed_s is not None:
                record.informed = record.began + timedelta(seconds=screening.informed_s)
            screening.over(result)
            record.cost = screening.spent
        if self._feed is not None:
            self._publish("over", result=result, ended_by=record.ended_by)
        self.log.info("over", result=result, ended_by=record.ended_by or "us")

    def _latest(self, leg: str) -> LegRecord:
        for entry in reversed(self._record.legs):
            if entry.name == leg:
                return entry
        raise KeyError(leg)
