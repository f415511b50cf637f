"""The settings as values: one class for each table of the file, each key under its name there.

Tables about the machine and about audio stand in `machine` and `audio`; whom the agent asks, in `whom`.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from proxy.config import values, vendor
from proxy.config.api import Api
from proxy.config.attestation import Stir, Verifying
from proxy.config.audio import Media, Prompts, Speech
from proxy.config.callers import Whom, WhomOfAll, asks
from proxy.config.costs import Costs, CostsOfNumber
from proxy.config.keys import (
    ApiKey,
    Calls,
    Dialable,
    EarlyMedia,
    File,
    Identity,
    Limit,
    Line,
    Name,
    OnFailure,
    OnOff,
    Probe,
    Rate,
    Secret,
    SipUri,
    Spoken,
    Table,
    Text,
    Tones,
    WebhookSecret,
)
from proxy.config.memory import Memory
from proxy.config.notices import Notify
from proxy.config.outcomes import Outcomes, OutcomesOfAll
from proxy.config.server import Connections, Drain, Http, Limits, Listen, Log, Public, Srtp, Tls
from proxy.config.talk import Talk, TalkOfAll
from proxy.config.values import Destination, Source
from proxy.config.vendor import OPENAI_BASE, Vendor
from proxy.media.speech import LEAVE_MESSAGE, RECORDED


class Trunk(Table):
    """A carrier: who may call us, and how we call out."""

    name: Name
    sources: tuple[Annotated[Source, PlainValidator(values.source)], ...] = Field(default=(), alias="from")
    """Where its requests come from; host names are resolved again and again by whoever checks them."""
    outbound: SipUri | None = None
    """Where our calls go; None when this trunk cannot dial out."""
    username: Line | None = None
    password: Secret | None = None
    caller_id: Dialable | None = None
    """Number shown on calls we make; None leaves it to the carrier."""
    identity: Identity = "trunk_did"
    """As whom we call; the words are those of `proxy.call.identity_profile`."""
    trust_identity: bool = True
    """Whether what it says of a caller is believed: P-Asserted-Identity, Diversion and the like."""
    verification: Verifying = "both"
    """Where STIR's verdict on its callers is taken from; its headers only where `trust_identity` is on."""
    calls: Calls | None = None
    """None means what ``[limits]`` says; So with the next."""
    calls_per_s: Rate | None = None
    probe_s: Probe = 30.0
    """How often `outbound` is asked by OPTIONS whether it is there; 0 never."""
    tls: Tls | None = None
    """None: the terms of everybody else."""
    srtp: Srtp = "accept"
    """How the audio of its calls is protected, theirs and ours."""
    keep_connected: bool = False
    """Have a connection to `outbound` at all times."""
    register_: bool = Field(default=False, alias="register")
    """Whether we register with it, so that it knows where we are."""
    registrar: SipUri | None = None
    """Where we register; None means the host of `outbound`."""
    register_expires_s: Annotated[int, PlainValidator(values.count(60, 86400))] = 600
    """What we ask for; the registrar decides."""
    inbound_username: Name | None = None
    """User name by which it may call us from anywhere; None where its address alone counts."""
    inbound_password: Secret | None = None


class Phone(Table):
    """A phone of the user's own that registers with us."""

    name: Name
    """Its user name, and what it is called by: ``sip:NAME@registered``."""
    password: Secret
    sources: tuple[Annotated[IPv4Network | IPv6Network, PlainValidator(values.network)], ...] = Field(
        default=(), alias="from"
    )
    """Where it may register from; empty for anywhere."""
    srtp: Srtp = "accept"


class Agent(Vendor):
    """An AI that talks to callers; the first of the file is the default one."""

    name: Name
    sip: SipUri
    """Where it is called; for OpenAI made from `project` if it is not given."""
    srtp: Literal["off", "offer", "require"] = "offer"
    """How its audio is protected; the words are those of `proxy.media.sdes`."""
    ca: File | None = None
    """PEM file of more authorities to trust on TLS, for an agent whose certificate is not public."""
    tls: Tls | None = None
    """None: the terms of everybody else."""
    keep_connected: bool = False
    """Have a connection to `sip` at all times."""
    project: Line | None = None
    api_key: ApiKey | None = None
    """Present unless it is a ``sip`` agent."""
    webhook_secret: WebhookSecret | None = None
    """Present unless it is a ``sip`` agent."""
    model: Line = "gpt-realtime-2.1"
    voice: Line = "marin"
    instructions: Text | None = None
    """The text itself; None leaves it to the screening."""
    transfer: Literal["refer", "local"] = "refer"
    refer_patience_s: Annotated[float, PlainValidator(values.seconds(0, 60))] = 3.0
    ready_limit_s: Annotated[float, PlainValidator(values.seconds(1, 60))] = 8.0
    """How long it may take to answer before the call falls back."""
    silence_limit_s: Limit = 20.0
    """How long neither side may say anything."""
    probe_s: Probe = 0.0
    """How often it is asked by OPTIONS whether it is there; 0 never: nobody knows whether OpenAI answers."""
    api_base: Annotated[str, PlainValidator(values.api_base)] = OPENAI_BASE

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, raw: Any) -> Any:
        return vendor.filled(raw)


class Screening(WhomOfAll, OutcomesOfAll, TalkOfAll):
    """Who is screened and for how long, and what happens when no decision can be had."""

    talk_limit_s: Limit = 90.0
    on_failure: OnFailure = "ring"
    voicemail_dir: Annotated[Path, PlainValidator(values.path)] = Path("voicemail")
    voicemail_limit_s: Limit = 120.0
    voicemail_silence_s: Limit = 10.0
    """After so much silence a message is over."""
    voicemail_least_s: Annotated[float, PlainValidator(values.seconds(0, 60))] = 1.0
    """How long somebody must be heard in a message, or it is not kept."""
    voicemail_greeting: Spoken = LEAVE_MESSAGE
    """What is said before the beep."""
    record: OnOff = "off"
    """Whether calls are recorded, both sides of them."""
    recording_dir: Annotated[Path, PlainValidator(values.path)] = Path("recordings")
    record_announced: bool = True
    """False: callers are not told by us; whoever switches it off says that they know."""
    announcement: Spoken = RECORDED
    """What callers are told."""


class Number(Whom, Outcomes, Talk):
    """A number that people call, and where its wanted callers go."""

    dialed: Annotated[str, PlainValidator(values.dialed)]
    """Matched against the Request-URI's user, then To; ``*`` for any."""
    destinations: tuple[Annotated[Destination, PlainValidator(values.destination)], ...] = Field(min_length=1)
    ring_limit_s: Annotated[float, PlainValidator(values.seconds(1, 600))] = 25.0
    ring: Annotated[Literal["in turn", "at once"], PlainValidator(values.ring)] = "in turn"
    """How the destinations ring; the contacts of one registered phone always ring at once."""
    screen: Literal["off", "unknown", "everyone", "trusted"] = "unknown"
    """Whom the agent asks; the words are those of `screening.policy`."""
    agent: Name | None = None
    """None means the first agent; `Settings.agent_of` knows."""
    identity: Identity | None = None
    """As whom its destinations are called through trunks; None means as each trunk says."""
    refer_target: Line | None = None
    """What the agent is asked to refer to; None makes it from the first destination (`target`)."""
    talk_limit_s: Limit | None = None
    """None means what ``[screening]`` says; `Settings.screening_of` knows. So with the next."""
    on_failure: OnFailure | None = None
    record: OnOff | None = None
    confirm: Literal["press-1", "whisper", "unscreened", "off"] | None = None
    """None means press-1 for what is dialled through a trunk, and unscreened for the others."""
    confirm_limit_s: Annotated[float, PlainValidator(values.seconds(5, 120))] = 20.0
    """How long whoever picks up has to take the call."""
    tones: Tones | None = None
    """None means what ``[media]`` says. So with the next."""
    early_media: EarlyMedia | None = None
    prompts: Prompts | None = None
    """What is not None in it comes before ``[prompts]``; `Settings.prompts_of` knows."""
    costs: CostsOfNumber | None = None
    """What is not None in it comes before ``[costs]``."""
    calls: Calls | None = None
    """None means what ``[limits]`` says. So with the next two."""
    calls_per_s: Rate | None = None
    calls_per_destination_per_hour: Annotated[int, PlainValidator(values.count(0, 1_000_000))] | None = None

    @property
    def target(self) -> str:
        """The URI that the agent's REFER is to name, and by which it selects the destination."""
        return self.refer_target or self.destinations[0].target


class Settings(Table):
    """Everything a settings file says, checked."""

    public: Public
    listeners: tuple[Listen, ...] = Field(default=(), alias="listen")
    media: Media = Media()
    prompts: Prompts = Prompts()
    trunks: tuple[Trunk, ...] = Field(default=(), alias="trunk")
    phones: tuple[Phone, ...] = Field(default=(), alias="phone")
    agents: tuple[Agent, ...] = Field(default=(), alias="agent")
    screening: Screening = Screening()
    stir: Stir = Stir()
    memory: Memory = Memory()
    costs: Costs = Costs()
    speech: Speech = Speech()
    http: Http = Http()
    api: Api = Api()
    numbers: tuple[Number, ...] = Field(default=(), alias="number")
    notified: tuple[Notify, ...] = Field(default=(), alias="notify")
    drain: Drain = Drain()
    limits: Limits = Limits()
    connections: Connections = Connections()
    log: Log = Log()
    records: Annotated[Path | None, PlainValidator(values.records)] = Path("calls.jsonl")
    """File that gets one line of JSON for every call; None for no file."""

    def agent_of(self, number: Number) -> Agent | None:
        """Return the agent that screens this number; None where nobody is screened."""
        if not self.agents or not asks(number.screen, {}, dict(self.screening_of(number))):
            return None
        return next((agent for agent in self.agents if agent.name == number.agent), self.agents[0])

    def screening_of(self, number: Number) -> Screening:
        """Return ``[screening]`` with what this number overrides."""
        own = {key: getattr(number, key) for key in ("talk_limit_s", "on_failure", "record")}
        given = {key: value for key, value in own.items() if value is not None}
        told = number.outcomes() | number.laid_over(self.screening) | number.talk_over()
        return self.screening.model_copy(update=given | told)

    def prompts_of(self, number: Number) -> Prompts:
        """Return ``[prompts]`` with what this number overrides."""
        own = number.prompts or Prompts()
        return self.prompts.model_copy(update={name: clip for name, clip in own if clip is not None})

    def trunk_of(self, destination: Destination) -> Trunk | None:
        """Return the trunk a destination is dialled through; None when its URI is dialled directly."""
        if destination.uri is not None:
            return None
        able = (trunk for trunk in self.trunks if trunk.outbound is not None)
        return next(trunk for trunk in able if destination.trunk in (None, trunk.name))
