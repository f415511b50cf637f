"""The interface between the edge and the screening: values and two Protocols, nothing else.

The edge (``proxy``) never sees a prompt; the screening (``screening``) never sees a SIP message.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

Attest = Literal["A", "B", "C"]
"""SHAKEN attestation (RFC 8588 §4): A, the caller may use the number; B, the customer is known;
C, neither.
"""


@dataclass(frozen=True, slots=True)
class Verification:
    """The STIR/SHAKEN verdict on a caller's number: whether it is theirs, not whether they are welcome."""

    result: Literal["passed", "failed", "none", "unknown"]
    """``none``: the call was not signed. ``unknown``: it was, but the signature could not be checked."""
    attest: Attest | None = None
    diverted: bool = False
    """The call was forwarded, and whoever forwarded it signed for that, too (``div``, RFC 8946)."""
    origid: str | None = None
    """The origination identifier (RFC 8588 §5), opaque to all but the originating carrier."""
    source: Literal["header", "identity", "none"] = "none"
    """Who verified: the carrier (in a header of its own) or Screendoor (from the Identity header)."""
    why: str = ""
    """What is wrong; empty if nothing is."""

    def __str__(self) -> str:
        diverted = "diverted" if self.diverted else ""
        said = " ".join(each for each in (self.result, self.attest, diverted, f"by {self.source}") if each)
        return f"{said}: {self.why}" if self.why else said


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """The Identity headers of a call and the fields they must match (RFC 8224 §6.2)."""

    identities: tuple[str, ...]
    """The header values as received, at most `MAX_IDENTITIES`."""
    origs: tuple[str, ...]
    """The identities the call claims to be from: numbers and SIP URIs."""
    dests: tuple[str, ...]
    """The identities it was addressed to."""
    date: datetime | None = None
    """The Date header, which supplies ``iat`` for a compact-form token."""


MAX_IDENTITIES = 8


@dataclass(slots=True, unsafe_hash=True)
class Caller:
    """The caller, as the trunk identified them.

    Immutable by convention, yet not frozen: one is made per call, and a frozen one takes three times as long.
    """

    call: str
    """Our id of the call, as in every log line."""
    number: str | None
    """In E.164 with a leading ``+`` if the trunk sent it so; None when withheld."""
    name: str | None
    """Display name, if any: untrusted text."""
    dialed: str
    """The number that was called, as configured in ``[[number]]``."""
    agent: str
    """Name of the ``[[agent]]`` that screens this number."""
    at: datetime
    """When the INVITE came, in UTC."""
    privacy: bool = False
    """The caller withholds number and name, which are then None; False if they are merely unknown."""
    diverted_from: str | None = None
    """The number that forwarded the call, as a trusted trunk reported it; None if none did."""
    trunk: str = ""
    """Name of the trunk the call came from; empty if none."""
    verification: Verification | None = None
    """The STIR/SHAKEN verdict; None if nobody gave one, which is not a failure."""
    callback: bool = False
    """An emergency service's call-back, as marked by a trusted trunk (RFC 7090, RFC 7135)."""
    signed: IdentityHeaders | None = None
    """What we can verify ourselves; None if nothing was signed or the number is withheld."""
    challenged: bool = False
    """The caller has pressed the key they were asked to press, so it is a person."""


class Refusal(enum.Enum):
    """Why a caller is turned away without being screened."""

    BLOCKED = "blocked"
    OUT_OF_HOURS = "out of hours"


@dataclass(frozen=True, slots=True)
class Ask:
    """Have the agent talk to the caller first."""

    screening: Screening
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers for the INVITE to the agent, the signed token among them."""
    patience_s: float = 8.0
    """How long the agent may take to answer before the call falls back."""
    reason: str = ""
    """The rule that decided, and why; empty if no policy was consulted. So for every plan."""
    verification: Verification | None = None
    """The result of our own verification; None if there was none. So for every plan."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring the phone at once, without screening."""

    reason: str
    verification: Verification | None = None


REFUSALS = (603, 607, 608, 486, 404)
"""Status codes that may turn a caller away: Decline, Unwanted (RFC 8197), Rejected (RFC 8688); or Busy Here
and Not Found, which tell the caller nothing.
"""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Turn the caller away before the call is answered."""

    why: Refusal
    reason: str = ""
    status: int = 603
    """The SIP status sent, one of `REFUSALS`."""
    verification: Verification | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """Ask the caller to press a key, which a machine that only talks does not do.

    Once they have, the screener is asked again with `Caller.challenged` set; a challenge for such a caller
    means ring.
    """

    reason: str
    verification: Verification | None = None


@dataclass(frozen=True, slots=True)
class Connect:
    """ALLOW: ring the phone and bridge, whether or not a REFER arrives."""

    reason: str
    caller_name: str | None = None
    to: str | None = None
    """Name of the configured destination asked for; None for those of the number, in their order."""


@dataclass(frozen=True, slots=True)
class Decline:
    """REJECT: the agent has said goodbye; end the call."""

    reason: str
    caller_name: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message the agent took down: a stranger's words, as a model understood them."""

    text: str
    caller_name: str | None = None
    call_back: str | None = None
    """The number to call back, as the caller said it; None if they gave none. Never dialled by us."""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """VOICEMAIL: record the caller's message; the agent has announced it, or none was asked."""

    reason: str
    caller_name: str | None = None
    message: Message | None = None
    """The message the agent took itself before saying goodbye, so that nothing is left to record; None:
    record one.
    """
    verification: Verification | None = None


@dataclass(frozen=True, slots=True)
class Undecided:
    """No decision was reached (limit, silence, vendor failure, no budget): apply ``on_failure``.

    As a plan: do not even ask the agent.
    """

    reason: str
    verification: Verification | None = None


Plan = Ask | Ring | Refuse | TakeMessage | Challenge | Undecided
Verdict = Connect | Decline | TakeMessage | Undecided


class News(enum.Enum):
    """Progress of the call, reported to its screening."""

    AGENT_CALLED = "the agent is called; the caller may have been told before that he is recorded"
    AGENT_ANSWERED = "the call is connected to the agent"
    REFER_ARRIVED = "the agent's REFER is on the wire"
    PHONE_BUSY = "the phone is busy"
    PHONE_NO_ANSWER = "nobody answered the phone"
    PHONE_DECLINED = "the call was declined at the phone"
    PHONE_UNREACHABLE = "the phone could not be reached"
    CONNECTED = "the caller is connected to the phone"
    AGENT_LEFT = "the agent's leg is over, whoever ended it"
    CALLER_LEFT = "the caller hung up"


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One line of the transcript."""

    speaker: str
    """``caller`` or ``agent``; or ``user``, for a question the user had the agent ask."""
    text: str
    at_s: float
    """Seconds since the screening began."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Billed tokens by kind. Cached tokens are counted in their own fields only."""

    text_in: int = 0
    text_cached: int = 0
    text_out: int = 0
    audio_in: int = 0
    audio_cached: int = 0
    audio_out: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(*(getattr(self, kind) + getattr(other, kind) for kind in Tokens.__slots__))

    @property
    def total(self) -> int:
        return sum(getattr(self, kind) for kind in Tokens.__slots__)


@dataclass(frozen=True, slots=True)
class AgentCost:
    """What one call cost at its agent's vendor."""

    agent: str
    """The agent's name in the settings."""
    model: str
    minutes: float
    """How long the agent was in the call."""
    tokens: Tokens
    money: Decimal | None
    """None if no price is configured for the model."""
    currency: str = "USD"

    def as_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        return {
            "agent": self.agent,
            "model": self.model,
            "minutes": round(self.minutes, 3),
            "tokens": self.tokens.total,
            "of_kind": {kind: getattr(self.tokens, kind) for kind in Tokens.__slots__},
            "money": None if self.money is None else round(float(self.money), 6),
            "currency": self.currency,
        }


class Screening(Protocol):
    """One caller being screened."""

    @property
    def transcript(self) -> Sequence[TranscriptLine]: ...

    @property
    def informed_s(self) -> float | None:
        """When the caller had heard the agent's notice that the call is recorded or transcribed, in seconds
        since the screening began; None before that, and if no notice is given.
        """
        ...

    @property
    def decided(self) -> Verdict | None:
        """The last decision made, even one that a REFER carries out, so that `verdict` never returns it. None
        before the first, and if the agent's decisions are not visible.
        """
        ...

    @property
    def spent(self) -> AgentCost | None:
        """What the agent has cost so far; None if no agent joined the call."""
        ...

    async def verdict(self) -> Verdict:
        """Wait for the next verdict.

        With ``transfer = "refer"`` a `Connect` is returned only if the vendor's transfer failed or no REFER
        arrived in time; with ``"local"`` at once. Called again after the phone did not answer. The call waits
        for this or the agent's REFER, whichever comes first, and may cancel it.
        """
        ...

    def agent_left(self, lost: str | None = None) -> Verdict:
        """Return what it means that the agent hung up without a REFER, or was `lost` for the given reason."""
        ...

    def tell(self, news: News) -> None:
        """Take note of what happened to the call. Returns at once."""
        ...

    def overrule(self, verdict: Verdict) -> bool:
        """Apply the user's own decision (made through the API) as if the agent had made it. Returns at once.

        False if none is awaited: nobody talks to the caller yet, or it is already decided.
        """
        ...

    def ask(self, text: str) -> bool:
        """Have the agent ask the caller something for the user; False if it cannot. Returns at once."""
        ...

    def follow(self, on_line: Callable[[TranscriptLine], None]) -> None:
        """Call `on_line` with every later line of the transcript."""
        ...

    def over(self, outcome: str) -> None:
        """End the screening, as the call is over, leaving no vendor session behind. Returns at once;
        idempotent.
        """
        ...


def answered_elsewhere(reason: str | None) -> bool:
    """Whether the Reason of a CANCEL says that another phone answered the call (RFC 3326 §3.1)."""
    return "sip;cause=200" in (reason or "").lower()


class Wish(enum.Enum):
    """What the user, at the phone, wants done with a caller from now on."""

    BLOCK = "block"
    TRUST = "trust"


class Screener(Protocol):
    """Decides what to do with each caller."""

    async def plan(self, caller: Caller) -> Plan: ...

    def ask(self, caller: Caller) -> Plan:
        """Plan to have `caller.agent` ask a caller whose first agent did not take the call."""
        ...

    def remember(self, caller: Caller, wish: Wish) -> None:
        """Store the user's wish for this caller's number. Returns at once."""
        ...
