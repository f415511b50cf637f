"""The request and response bodies of the API, as described in the OpenAPI document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MAX_NUMBER, MAX_TEXT, MAX_NAME, MAX_NOTE = 64, 300, 100, 500

ListName = Literal["allow", "block", "vip", "expected", "contacts"]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("one line of text without control characters")
    return text


Number = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NUMBER),
    AfterValidator(_printable),
]


def _in_utc(value: datetime) -> datetime:
    if not 1 < value.year < 9999:  # others overflow when converted to some time zones
        raise ValueError("a year from 2 to 9998")
    return value.astimezone(UTC)


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with a UTC offset, converted to UTC."""
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT),
    AfterValidator(_printable),
]
ShortName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME),
    AfterValidator(_printable),
]
Note = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NOTE),
    AfterValidator(_printable),
]


class Asked(BaseModel):
    """A request body; unknown fields are an error."""

    model_config = ConfigDict(extra="forbid")


class Line(BaseModel):
    """One line of a transcript."""

    speaker: str = Field(description="caller, agent or user")
    text: str
    at_s: float | None = Field(description="seconds since the screening began")


class Cost(BaseModel):
    """The cost of a call."""

    money: float | None = Field(description="null where the model has no price")
    minutes: float | None
    tokens: int | None
    currency: str | None
    agent: str | None = Field(description="its name in the settings")
    model: str | None


class Sum(BaseModel):
    """The total cost of some calls."""

    calls: int = Field(description="those that an agent was in")
    minutes: float
    tokens: int
    money: float


class CostsOfNumber(BaseModel):
    """The cost of calls to one number of ours, by day in its time zone."""

    dialed: str | None = Field(description="null: all numbers together")
    currency: str
    today: Sum
    month: Sum


class Costs(BaseModel):
    """The cost of each number, followed by that of all numbers."""

    items: list[CostsOfNumber]


class Verification(BaseModel):
    """The STIR/SHAKEN verification of a caller's number."""

    result: str = Field(description="passed, failed, none or unknown")
    attest: str | None = Field(description="A, B or C")
    diverted: bool
    origid: str | None
    source: str = Field(description="who found out: header (the carrier), identity (we), or none")
    why: str


class TakenMessage(BaseModel):
    """A message that the agent took: a stranger's words, as a model understood them."""

    text: str
    caller_name: str | None
    call_back: str | None = Field(description="the number to call back, as the caller said it")
    urgent: bool


class AudioQuality(BaseModel):
    """The audio of one leg in one direction; see the call record in the guide to calls."""

    packets: int
    lost: int | None
    jitter_ms: float | None
    reordered: int
    duplicates: int
    longest_gap_ms: float
    mos: float | None = Field(description="estimated mean opinion score, 1 to 4.5")


class LegQuality(BaseModel):
    """The audio of one leg."""

    heard: AudioQuality
    sent: AudioQuality
    round_trip_ms: float | None
    dropped: int
    unauthentic: int
    rtcp_in: int


class Leg(BaseModel):
    """One leg of a call: the caller, the agent, or a phone."""

    name: str = Field(description="caller, agent, phone, phone 2 …")
    peer: str = Field(description="its URI")
    call_ids: list[str] = Field(default=[], description="its SIP Call-IDs, known when it is over")
    began: datetime
    answered: datetime | None
    ended: datetime | None
    end: str | None = Field(description="why it ended")
    peer_reason: str | None = Field(description="the Reason header of the peer's BYE, CANCEL or refusal")
    silent: str | None = Field(description="the likely cause, if no audio came from it")
    quality: LegQuality | None = Field(description="null if it had no audio")


class SipMessage(BaseModel):
    """One SIP message of a call, with its secrets masked."""

    at: datetime
    leg: str
    sent: bool = Field(description="by Screendoor; otherwise by the peer")
    transport: str = Field(description="udp, tcp or tls")
    local: str = Field(description="our address and port")
    remote: str = Field(description="the peer's address and port")
    message: str = Field(description="the message as it was on the wire, decrypted")


class Trace(BaseModel):
    """The SIP messages of a call, in order of time."""

    items: list[SipMessage]


class Call(BaseModel):
    """One call."""

    id: str
    state: str = Field(
        description="arriving, challenged, screened, ringing, bridged, voicemail, ending; then over, or cut. "
        "In /calls what goes on is: going on"
    )
    began: datetime
    answered: datetime | None
    ended: datetime | None
    caller: str | None = Field(description="as the trunk gave it; null where it is withheld")
    caller_name: str | None
    dialed: str
    result: str | None = Field(description="what became of the caller")
    reason: str | None
    plan: str | None = Field(description="what was to be done before anything rang, and by which rule")
    decision: str | None = Field(description="ALLOW, REJECT or VOICEMAIL")
    why: str | None = Field(description="the reason given for the decision")
    ended_by: str | None


class CallStory(Call):
    """One call with everything that happened in it."""

    trigger: str | None
    legs: list[Leg] = Field(description="in the order in which they began")
    story: list[str]
    transcript: list[Line]
    recording: str | None = Field(description="the file with both sides, where the call was recorded")
    voicemail: bool = Field(description="whether there is a message: see /voicemails/{id}")
    voicemail_transcript: str | None = Field(description="what was said in it, where that was transcribed")
    message: TakenMessage | None = Field(description="where the agent took the message itself")
    verification: Verification | None = Field(description="null where nobody says anything of the number")
    cost: Cost | None


class Page(BaseModel):
    """Pagination."""

    next: str | None = Field(description="the cursor of the next page; null on the last one")


class Calls(Page):
    """A page of calls, the latest first."""

    items: list[Call]


class LiveCalls(BaseModel):
    """The calls in progress, oldest first."""

    items: list[Call]


class AcceptedCommand(BaseModel):
    """The accepted request; its result is reported by /events."""

    call: str
    wish: str


class Question(Asked):
    """A question for the agent to ask the caller."""

    text: Words


class Entry(BaseModel):
    """One entry of a list."""

    id: int
    number: str
    name: str | None
    dialed: str | None = Field(description="it applies to callers of this number of ours; null: of all")
    until: datetime | None
    added: datetime
    note: str | None
    calls: int | None = Field(
        description="on the list `expected`: how many calls are left; null: not counted"
    )


class NewEntry(Asked):
    """An entry to add, or to replace one with."""

    number: Number
    name: ShortName | None = None
    dialed: Number | None = None
    until: Time | None = None
    note: Note | None = None
    calls: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="on the list `expected`: for so many calls; null: for all of them"
    )


class Entries(Page):
    """A page of a list, the latest first."""

    items: list[Entry]


class Imported(BaseModel):
    """The result of importing a contact file."""

    rows: int = Field(description="rows that had a number")
    new: int = Field(description="numbers that were not there")
    renamed: int
    without_number: int
    bad: int = Field(description="remarks about rows that are wrong")
    remarks: list[str] = Field(description="the first of them, each with its line")


class Voicemail(BaseModel):
    """One message."""

    call: str
    left_at: datetime
    caller: str | None
    caller_name: str | None
    dialed: str | None
    seconds: float | None = Field(description="of its audio; null if the agent took the message")
    transcript: str | None = Field(description="what was said, if it was transcribed")
    message: TakenMessage | None = Field(description="if the agent took it: there is no audio then")
    heard_at: datetime | None


class Voicemails(Page):
    """A page of messages, the latest first."""

    items: list[Voicemail]


class Forgotten(BaseModel):
    """What was deleted."""

    calls: int
    files: int
    records: int = Field(description="lines of the call record file")
    spoken: int = Field(description="texts in the speech cache; all are deleted, whomever they name")
    going_on: int = Field(description="calls in progress, to be forgotten when they end")


class Trial(Asked):
    """A caller for a dry run of the policy."""

    number: Number = Field(description='as +14155550100, or "anonymous"')
    to: Number | None = Field(None, description="the number that is called, if there are several")
    at: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        None, description="when, as 2026-12-24T23:00 by the number's time zone; else now"
    )
    name: ShortName | None = None
    again: bool = Field(False, description="the caller has called a moment before")
    calls: int = Field(0, ge=0, le=100, description="how often they called a moment before")
    verification: Literal["passed", "A", "B", "C", "failed", "none"] | None = Field(
        None, description="what STIR/SHAKEN says of the number"
    )
    callback: bool = Field(False, description="the call is marked as an emergency call-back")


class Rule(BaseModel):
    """The result of one rule for a caller."""

    rule: str
    decides: bool
    why: str


class Tried(BaseModel):
    """What would happen to this caller, rule by rule."""

    caller: str | None
    dialed: str
    at: datetime
    rules: list[Rule]
    action: str
    reason: str
    done: str
