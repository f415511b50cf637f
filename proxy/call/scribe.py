"""Writes down what happens to a call: one INFO line a step, and the record that stays."""

from __future__ import annotations

from pathlib import Path

import structlog

from proxy.call.outcome import Outcome, Result
from proxy.call.record import CallRecord, LegRecord, WallClock
from proxy.sip.errors import SipError
from proxy.ua.errors import LegEnded
from proxy.ua.reason import EndReason
from screening.contract import Connect, Decline, Screening, TakeMessage


class Scribe:
    """The one writer of a call's record and of its story in the log."""

    def __init__(self, record: CallRecord, wall_clock: WallClock) -> None:
        self._record, self._wall_clock = record, wall_clock
        self._log = structlog.get_logger("screendoor").bind(call=record.call)

    def step(self, event: str, why: str) -> None:
        self._record.steps.append(f"{event}: {why}")
        self._log.info(event, why=why)

    def began(self, name: str, peer: str) -> LegRecord:
        entry = LegRecord(name, peer, self._wall_clock())
        self._record.legs.append(entry)
        return entry

    def answered(self, leg: str) -> None:
        now = self._wall_clock()
        entry = next(entry for entry in reversed(self._record.legs) if entry.name == leg)
        entry.answered = now
        if leg == "caller":
            self._record.answered = now
        self._record.steps.append(f"{leg} answered")
        self._log.info("answered", leg=leg, after_s=round((now - entry.began).total_seconds(), 2))

    def not_taken(self, leg: str, failure: SipError) -> None:
        self._record.steps.append(f"{leg} did not answer: {failure}")
        self._log.info("not answered", leg=leg, why=str(failure))

    def leg_ended(self, entry: LegRecord, reason: EndReason) -> None:
        if entry.ended is None:
            entry.ended, entry.end = self._wall_clock(), reason.text
            self._log.info("ended", leg=entry.name, why=reason.text)

    def decided(self, decision: str, trigger: str, verdict: Connect | Decline | TakeMessage | None) -> None:
        """What the agent decided; the reason is a person's words, and stays out of the log at INFO."""
        self._record.decision = decision
        self._record.why = verdict.reason if verdict else self._record.why
        self.trigger(trigger)
        self._record.steps.append(f"decision {decision} by {trigger}")
        self._log.info("decided", decision=decision, by=trigger)

    def trigger(self, trigger: str) -> None:
        self._record.trigger = trigger

    def settle(self, result: Result, reason: str) -> None:
        """What became of the caller, once that is sure; a later hang-up does not change it."""
        self._record.outcome = Outcome(result, reason)
        self._record.steps.append(result.value)
        self._log.info("settled", result=result.value)

    def recorded(self, path: Path, seconds: float) -> None:
        self._record.voicemail, self._record.voicemail_s = str(path), round(seconds, 2)
        self._log.info("recorded", seconds=round(seconds, 2))

    def ended_by(self, end: LegEnded) -> None:
        """A peer ended the call, or we did as we shut down."""
        if end.reason is EndReason.DRAINING:
            self._record.outcome = self._record.outcome or Outcome(Result.CUT, end.reason.text)
            return
        self._record.ended_by = end.leg.name
        if self._record.outcome is None:
            gone = Result.CALLER_LEFT if end.leg.name == "caller" else Result.UNANSWERED
            self._record.outcome = Outcome(gone, end.reason.text)

    def close(self, screening: Screening | None) -> None:
        """The call is over: nothing more is written."""
        record = self._record
        record.ended = self._wall_clock()
        if record.outcome is None:
            record.outcome = Outcome(Result.CUT, "ended by us before the story was over")
        for entry in record.legs:
            if entry.ended is None:
                entry.ended, entry.end = record.ended, EndReason.COMPLETED.text
        if screening is not None:
            record.transcript = tuple(screening.transcript)
            screening.over(record.outcome.result.value)
        self._log.info("over", result=record.outcome.result.value, ended_by=record.ended_by or "us")
