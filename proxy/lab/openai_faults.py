"""Faults of the simulated OpenAI: every knob of its HTTP side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Faults:
    """Misbehaviour of a simulated OpenAI; with the defaults it behaves well."""

    webhook_delay_s: float = 0.0
    """Delay between the INVITE and the webhook."""
    webhook_lost: bool = False
    """The webhook is never sent."""
    webhook_twice: bool = False
    """The webhook is delivered twice with the same ``webhook-id``."""
    webhook_forged: Literal["signature", "token"] | None = None
    """A forged webhook precedes the true one: signed with another key, or correctly signed but for a call
    whose token nobody issued (a stranger who knows the project id). With ``webhook_lost`` it comes alone."""
    webhook_age_s: float = 0.0
    """``created_at`` is this far in the past: a late retry, with a fresh timestamp and signature."""
    live_twin: bool = False
    """The same INVITE also triggers the event of the other API, first (Live: if SRTP is offered)."""
    accept_404_times: int = 0
    """This many accepts of a call get 404 (the webhook outran the registration); the next succeeds."""
    attach_404_times: int = 0
    """This many WebSocket upgrades of an accepted call are refused with 404; the next succeeds."""
    refer_status: Literal[500, 504] | None = None
    """The status of ``/refer``; no REFER is sent."""
    refer_delay_s: float = 0.0
    """Delay of ``/refer`` (a real 504 takes 10 s, a 500 0.37 s)."""
    refer_silent: bool = False
    """``/refer`` answers 200, but no REFER is sent."""
    refer_twice: bool = False
    """One ``/refer`` sends two REFERs, one after the other."""
    ws_drop_after: str | None = None
    """Abort the WebSocket without a close frame right after the first event of this type, once per call."""
    no_decision: bool = False
    """The model keeps talking and never calls its tool."""
