"""The settings as validated values: one class per table of the file, with the file's key names.

Tables about the server are in `server`, about audio in `audio`; keys about callers are in `callers`.
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
from proxy.config.callers import CallerRules, CommonCallerRules, asks
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
from proxy.config.outcomes import CommonOutcomes, Outcomes
from proxy.config.server import Connections, Drain, Http, Limits, Listen, Log, Public, Srtp, Tls
from proxy.config.talk import CommonTalk, Talk
from proxy.config.values import Destination, Source
from proxy.config.vendor import OPENAI_BASE, Vendor
from proxy.media.speech import LEAVE_MESSAGE, RECORDED


class Trunk(Table):
    """A carrier: who may call us, and how we place calls."""

    name: Name
    sources: tuple[Annotated[Source, PlainValidator(values.source)], ...] = Field(default=(), alias="from")
    """Sources of its requests; host names are resolved again periodically by `Admission`."""
    outbound: SipUri | None = None
    """Where our calls are sent; None if this trunk cannot place calls."""
    username: Line | None = None
    password: Secret | None = None
    caller_id: Dialable | None = None
    """The caller id of calls that we place; None leaves it to the carrier."""
    identity: Identity = "trunk_did"
    """Which identity we present; the values are those of `proxy.call.identity_profile`."""
    trust_identity: bool = True
    """Whether P-Asserted-Identity, Diversion and similar headers from it are trusted."""
    verification: Verifying = "both"
    """Where STIR verification results come from; its own headers count only if `trust_identity` is on."""
    calls: Calls | None = None
    """None: the limit in ``[limits]``; likewise the next."""
    calls_per_s: Rate | None = None
    probe_s: Probe = 30.0
    """Interval of OPTIONS probes to `outbound`; 0: none."""
    tls: Tls | None = None
    """None: the default TLS settings."""
    srtp: Srtp = "accept"
    """Whether the audio of its calls is encrypted, in both directions of calling."""
    keep_connected: bool = False
    """Keep a connection to `outbound` open permanently."""
    register_: bool = Field(default=False, alias="register")
    """Whether we register with it, so that it can reach us."""
    registrar: SipUri | None = None
    """Where we register; None: the host of `outbound`."""
    register_expires_s: Annotated[int, PlainValidator(values.count(60, 86400))] = 600
    """The expiry that we ask for; the registrar may shorten it."""
    inbound_username: Name | None = None
    """User name by which it may authenticate from any address; None: only `sources` count."""
    inbound_password: Secret | None = None


class Phone(Table):
    """A phone of the user's that registers with us."""

    name: Name
    """Its user name, and its name in destinations: ``sip:NAME@registered``."""
    password: Secret
    sources: tuple[Annotated[IPv4Network | IPv6Network, PlainValidator(values.network)], ...] = Field(
        default=(), alias="from"
    )
    """Where it may register from; empty: anywhere."""
    srtp: Srtp = "accept"


class Agent(Vendor):
    """An AI that talks to callers; the first in the file is the default."""

    name: Name
    sip: SipUri
    """Its SIP URI; for OpenAI derived from `project` if not given."""
    srtp: Literal["off", "offer", "require"] = "offer"
    """Whether its audio is encrypted; the values are those of `proxy.media.sdes`."""
    backup: Name | None = None
    """The agent that is called if this one does not take a call; it may have a backup, too."""
    ca: File | None = None
    """PEM file of additional trusted authorities, for an agent without a public certificate."""
    tls: Tls | None = None
    """None: the default TLS settings."""
    keep_connected: bool = False
    """Keep a connection to `sip` open permanently."""
    project: Line | None = None
    api_key: ApiKey | None = None
    """Required unless `provider` is ``sip``."""
    webhook_secret: WebhookSecret | None = None
    """Required unless `provider` is ``sip``."""
    model: Line = "gpt-realtime-2.1"
    voice: Line = "marin"
    instructions: Text | None = None
    """The text itself; None: the default of `screening`."""
    transfer: Literal["refer", "local"] = "refer"
    refer_patience_s: Annotated[float, PlainValidator(values.seconds(0, 60))] = 3.0
    ready_limit_s: Annotated[float, PlainValidator(values.seconds(1, 60))] = 8.0
    """How long it may take to answer before the call falls back."""
    silence_limit_s: Limit = 20.0
    """How long both sides may be silent."""
    probe_s: Probe = 0.0
    """Interval of OPTIONS probes; 0: none, since it is not known whether OpenAI answers them."""
    api_base: Annotated[str, PlainValidator(values.api_base)] = OPENAI_BASE

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, raw: Any) -> Any:
        return vendor.filled(raw)


class Screening(CommonCallerRules, CommonOutcomes, CommonTalk):
    """Who is screened and for how long, and what happens if no decision is reached."""

    talk_limit_s: Limit = 90.0
    on_failure: OnFailure = "ring"
    voicemail_dir: Annotated[Path, PlainValidator(values.path)] = Path("voicemail")
    voicemail_limit_s: Limit = 120.0
    voicemail_silence_s: Limit = 10.0
    """A message ends after this much silence."""
    voicemail_least_s: Annotated[float, PlainValidator(values.seconds(0, 60))] = 1.0
    """A message with less speech than this is discarded."""
    voicemail_greeting: Spoken = LEAVE_MESSAGE
    """Spoken before the beep."""
    record: OnOff = "off"
    """Whether calls are recorded, both sides of them."""
    recording_dir: Annotated[Path, PlainValidator(values.path)] = Path("recordings")
    record_announced: bool = True
    """False: we do not announce it; setting it asserts that callers know of the recording otherwise."""
    announcement: Spoken = RECORDED
    """The announcement that a call is recorded."""


class Number(CallerRules, Outcomes, Talk):
    """A number that people call, and the destinations of its accepted callers."""

    dialed: Annotated[str, PlainValidator(values.dialed)]
    """Matched against the Request-URI's user, then To; ``*`` for any."""
    destinations: tuple[Annotated[Destination, PlainValidator(values.destination)], ...] = Field(min_length=1)
    ring_limit_s: Annotated[float, PlainValidator(values.seconds(1, 600))] = 25.0
    ring: Annotated[Literal["in turn", "at once"], PlainValidator(values.ring)] = "in turn"
    """How the destinations ring; the contacts of one registered phone always ring at once."""
    screen: Literal["off", "unknown", "everyone", "trusted"] = "unknown"
    """Which callers the agent screens; the values are those of `screening.policy`."""
    agent: Name | None = None
    """None: the first agent; see `Settings.agent_of`."""
    identity: Identity | None = None
    """The identity for calls to its destinations through trunks; None: as each trunk says."""
    refer_target: Line | None = None
    """What the agent is asked to refer to; None: derived from the first destination (`target`)."""
    talk_limit_s: Limit | None = None
    """None: the value in ``[screening]``; see `Settings.screening_of`. Likewise the next two."""
    on_failure: OnFailure | None = None
    record: OnOff | None = None
    confirm: Literal["press-1", "whisper", "unscreened", "off"] | None = None
    """None: press-1 for destinations dialled through a trunk, unscreened for others."""
    confirm_limit_s: Annotated[float, PlainValidator(values.seconds(5, 120))] = 20.0
    """How long whoever picks up has to accept the call."""
    tones: Tones | None = None
    """None: the value in ``[media]``. Likewise the next."""
    early_media: EarlyMedia | None = None
    prompts: Prompts | None = None
    """Overrides ``[prompts]`` where not None; see `Settings.prompts_of`."""
    costs: CostsOfNumber | None = None
    """Overrides ``[costs]`` where not None."""
    calls: Calls | None = None
    """None: the limit in ``[limits]``. Likewise the next two."""
    calls_per_s: Rate | None = None
    calls_per_destination_per_hour: Annotated[int, PlainValidator(values.count(0, 1_000_000))] | None = None

    @property
    def target(self) -> str:
        """The URI that the agent's REFER should name, by which it selects the destination."""
        return self.refer_target or self.destinations[0].target


class Settings(Table):
    """The whole settings file, validated."""

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
    """File that gets one line of JSON for every call; None: no file."""

    def agent_of(self, number: Number) -> Agent | None:
        """Return the agent that screens this number; None if nobody is screened."""
        if not self.agents or not asks(number.screen, {}, dict(self.screening_of(number))):
            return None
        return next((agent for agent in self.agents if agent.name == number.agent), self.agents[0])

    def agents_of(self, number: Number) -> tuple[Agent, ...]:
        """Return the agent that screens this number, and its backups in their order."""
        by_name, found = {agent.name: agent for agent in self.agents}, dict[str, Agent]()
        agent = self.agent_of(number)
        while agent is not None and agent.name not in found:
            found[agent.name] = agent
            agent = by_name.get(agent.backup or "")
        return tuple(found.values())

    def screening_of(self, number: Number) -> Screening:
        """Return ``[screening]`` with what this number overrides."""
        own = {key: getattr(number, key) for key in ("talk_limit_s", "on_failure", "record")}
        given = {key: value for key, value in own.items() if value is not None}
        told = number.outcome_overrides() | number.caller_overrides(self.screening) | number.talk_overrides()
        return self.screening.model_copy(update=given | told)

    def prompts_of(self, number: Number) -> Prompts:
        """Return ``[prompts]`` with what this number overrides."""
        own = number.prompts or Prompts()
        return self.prompts.model_copy(update={name: clip for name, clip in own if clip is not None})

    def trunk_of(self, destination: Destination) -> Trunk | None:
        """Return the trunk that a destination is dialled through; None if its URI is dialled directly."""
        if destination.uri is not None:
            return None
        able = (trunk for trunk in self.trunks if trunk.outbound is not None)
        return next(trunk for trunk in able if destination.trunk in (None, trunk.name))
