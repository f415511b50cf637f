"""What can be made to go wrong with the simulated OpenAI: every knob of its HTTP side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Faults:
    """Misbehaviour of one simulated OpenAI; the plain value is a well-behaved one."""

    webhook_delay_s: float = 0.0
    """Wait this long between the INVITE and the webhook."""
    webhook_lost: bool = False
    """The webhook is never sent."""
    webhook_twice: bool = False
    """The webhook is delivered twice under one ``webhook-id``."""
    webhook_forged: Literal["signature", "token"] | None = None
    """Before the true webhook comes a false one: signed with another key, or well signed but for a call
    whose token nobody issued (a stranger who knows the project id). With ``webhook_lost`` it comes alone."""
    webhook_age_s: float = 0.0
    """``created_at`` lies this far in the past: a late retry, with a fresh timestamp and signature."""
    live_twin: bool = False
    """The same INVITE also fires the event of the other API, first (Live: if SRTP is offered)."""
    accept_404_times: int = 0
    """So many accepts of a call get 404 (the webhook beat the registration); the next is taken."""
    attach_404_times: int = 0
    """So many WebSocket upgrades of an accepted call are refused with 404; the next is taken."""
    refer_status: Literal[500, 504] | None = None
    """``/refer`` answers so, and no REFER is sent."""
    refer_delay_s: float = 0.0
    """Wait this long in ``/refer`` (a true 504 takes 10 s, a 500 0.37 s)."""
    refer_silent: bool = False
    """``/refer`` answers 200, and no REFER is sent."""
    refer_twice: bool = False
    """One ``/refer`` sends two REFERs, one after the other."""
    ws_drop_after: str | None = None
    """Drop the WebSocket without a close frame right after the first event of this type, once a call."""
    no_decision: bool = False
    """The model talks on and never calls its tool."""
