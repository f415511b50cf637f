"""The seam between the edge and the judgement: values and two Protocols, and nothing else.

The edge (``proxy``) never sees a prompt; the judgement (``screening``) never sees a SIP message.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

Attest = Literal["A", "B", "C"]
"""What the carrier where the call began says of the number: it is the caller's; he is known; neither."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What STIR/SHAKEN says of a caller's number: whether it is his, not whether he is welcome."""

    result: Literal["passed", "failed", "none", "unknown"]
    """``none``: the call was not signed. ``unknown``: it was, and whether rightly could not be found out."""
    attest: Attest | None = None
    diverted: bool = False
    """Whether the call was sent on to the number it was first meant for, and who did so has signed, too."""
    origid: str | None = None
    """Where the call began, as only its carrier can read it."""
    source: Literal["header", "identity", "none"] = "none"
    """Who found out: the carrier, by a header of its own, or we, by the Identity header."""
    why: str = ""
    """What is wrong, where something is."""

    def __str__(self) -> str:
        diverted = "diverted" if self.diverted else ""
        said = " ".join(each for each in (self.result, self.attest, diverted, f"by {self.source}") if each)
        return f"{said}: {self.why}" if self.why else said


@dataclass(frozen=True, slots=True)
class Signed:
    """The Identity headers of a call, and what they must agree with (RFC 8224 §6.2)."""

    identities: tuple[str, ...]
    """The values as they came, at most `MAX_IDENTITIES`."""
    origs: tuple[str, ...]
    """Whom the call says it is from: numbers, and SIP URIs."""
    dests: tuple[str, ...]
    """Whom it was for."""
    date: datetime | None = None
    """Its Date, by which the short form of a token is dated."""


MAX_IDENTITIES = 8


@dataclass(slots=True, unsafe_hash=True)
class Caller:
    """Who is at the door, as the trunk said it; never written to, yet not frozen: each call makes one, and
    that takes three times as long then.
    """

    call: str
    """Our own name of the call, the one in every log line."""
    number: str | None
    """E.164 with a leading ``+`` where the trunk gave one; None when withheld."""
    name: str | None
    """Display name, if any; untrusted text."""
    dialed: str
    """The number that was called, as configured in ``[[number]]``."""
    agent: str
    """Name of the ``[[agent]]`` that screens this number."""
    at: datetime
    """When the INVITE came, in UTC."""
    privacy: bool = False
    """The caller withholds number and name, which are then None; False where they are merely not known."""
    diverted_from: str | None = None
    """The number that sent the call on to the one dialled, as a trusted trunk said; None if none did."""
    trunk: str = ""
    """Name of the trunk that the call came from; empty where it has none."""
    verification: Verification | None = None
    """What STIR/SHAKEN says of the number; None: nobody says anything, which is no failure."""
    callback: bool = False
    """An emergency service calls back, as a trusted trunk says (RFC 7090, RFC 7135)."""
    signed: Signed | None = None
    """What can be verified here; None where there is nothing, or the number is withheld."""
    challenged: bool = False
    """He has been told a key and has pressed it: it is somebody."""


class Refusal(enum.Enum):
    """Why a caller is turned away without being screened."""

    BLOCKED = "blocked"
    OUT_OF_HOURS = "out of hours"


@dataclass(frozen=True, slots=True)
class Ask:
    """Let the agent talk to the caller first."""

    screening: Screening
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers for the INVITE to the agent, the signed token among them."""
    patience_s: float = 8.0
    """How long the agent may take to answer before the call falls back."""
    reason: str = ""
    """Which rule says so, and why; empty where nothing was considered. So with every plan."""
    verification: Verification | None = None
    """What came of verifying the caller here; None where that was not done. So with every plan."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Straight to the phone, without screening."""

    reason: str
    verification: Verification | None = None


REFUSALS = (603, 607, 608, 486, 404)
"""How a caller may be turned away: declined, not wanted (RFC 8197), rejected by a machine (RFC 8688); or as
if the phone were busy, or the number not in service.
"""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Turn the caller away before the call is answered."""

    why: Refusal
    reason: str = ""
    status: int = 603
    """What he is told (one of `REFUSALS`)."""
    verification: Verification | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """Have the caller press a key that he is told, as no machine does that only talks.

    Of one who presses it the screener is asked again (`Caller.challenged`); of him a challenge means: ring.
    """

    reason: str
    verification: Verification | None = None


@dataclass(frozen=True, slots=True)
class Connect:
    """ALLOW: ring the phone and bridge, whether or not a REFER ever comes."""

    reason: str
    caller_name: str | None = None
    to: str | None = None
    """Name of the configured destination that was asked for; None: those of the number, as they ring."""


@dataclass(frozen=True, slots=True)
class Decline:
    """REJECT: the agent has said its goodbye; end the call."""

    reason: str
    caller_name: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What the agent wrote down for whom it answers: a stranger's words, as a model understood them."""

    text: str
    caller_name: str | None = None
    call_back: str | None = None
    """The number to call back, as the caller said it; None: none was said. Never dialled by us."""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """VOICEMAIL: the agent has announced it, or nobody is asked; record the caller's message."""

    reason: str
    caller_name: str | None = None
    message: Message | None = None
    """The agent has taken it, and said goodbye: nothing is left to record. None: record it."""
    verification: Verification | None = None


@dataclass(frozen=True, slots=True)
class Undecided:
    """No decision can be had (limit, silence, vendor failed, no budget): do what ``on_failure`` says.

    As a plan: the agent is not even asked.
    """

    reason: str
    verification: Verification | None = None


Plan = Ask | Ring | Refuse | TakeMessage | Challenge | Undecided
Verdict = Connect | Decline | TakeMessage | Undecided


class News(enum.Enum):
    """What the call tells the screening while it goes on."""

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
class Said:
    """One line of the transcript."""

    speaker: str
    """``caller`` or ``agent``; or ``user``, who had the agent ask something."""
    text: str
    at_s: float
    """Seconds since the screening began."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What models are billed for, by kind. What came from a cache is in its own field and in no other."""

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
class Spent:
    """What one call cost at the vendor of its agent."""

    agent: str
    """Its name in the settings."""
    model: str
    minutes: float
    """How long the agent was in the call."""
    tokens: Tokens
    money: Decimal | None
    """None: the model has no price here."""
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
    def transcript(self) -> Sequence[Said]: ...

    @property
    def informed_s(self) -> float | None:
        """When the caller had heard from the agent what is kept of the call, in seconds since the screening
        began; None before, and where nothing of the kind is said.
        """
        ...

    @property
    def decided(self) -> Verdict | None:
        """The last decision made, also where a REFER carries it out and `verdict` never hands it out; None
        before there is one, or where decisions are not seen.
        """
        ...

    @property
    def spent(self) -> Spent | None:
        """What the agent has cost so far; None where no agent came into the call."""
        ...

    async def verdict(self) -> Verdict:
        """Return the next verdict.

        With ``transfer = "refer"`` a `Connect` comes only when the vendor's transfer failed or no REFER was
        seen in time; with ``"local"`` at once. Called again after a phone that did not answer. The call races
        this with the agent's REFER and may cancel it.
        """
        ...

    def agent_left(self, lost: str | None = None) -> Verdict:
        """The agent has hung up without a REFER, or was `lost`, and why: what that amounts to."""
        ...

    def tell(self, news: News) -> None:
        """Take note of what happened to the call; returns at once."""
        ...

    def overrule(self, verdict: Verdict) -> bool:
        """The user decides in the agent's place, from without: it goes the way of the agent's own decision.

        False where none is awaited: nobody talks to the caller yet, or it is decided already. At once.
        """
        ...

    def ask(self, text: str) -> bool:
        """Have the agent ask the caller something, in the user's name; false where it cannot. At once."""
        ...

    def follow(self, heard: Callable[[Said], None]) -> None:
        """Have every later line of the transcript handed to `heard` as it comes."""
        ...

    def over(self, outcome: str) -> None:
        """The call has ended: leave no vendor session behind. Returns at once; again does nothing."""
        ...


class Wish(enum.Enum):
    """What the user has said, at the phone, is to be done with a caller from now on."""

    BLOCK = "block"
    TRUST = "trust"


class Screener(Protocol):
    """Decides what to do with each caller."""

    async def plan(self, caller: Caller) -> Plan: ...

    def remember(self, caller: Caller, wish: Wish) -> None:
        """Keep what the user wishes for this caller's number; returns at once."""
        ...
