"""The screening's settings as plain values; the app maps them from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from screening.talk.tools import NamedDestination

OPENAI_REALTIME = "openai-realtime"
"""OpenAI's Realtime API: webhook, REST and WebSocket."""
OPENAI_LIVE = "openai-live"
"""OpenAI's Live API (GPT-Live): the same SIP address, but its own webhook event, REST paths and WebSocket."""
AZURE_REALTIME = "azure-realtime"
"""The Realtime API as Azure serves it."""
SIP_AGENT = "sip"
"""Any SIP voice agent without an API: it decides by REFER or BYE alone."""
PROVIDERS = (OPENAI_REALTIME, OPENAI_LIVE, AZURE_REALTIME, SIP_AGENT)
TRANSFERS = ("refer", "local")
DELEGATIONS = ("responses", "client")


@dataclass(frozen=True, slots=True)
class ScreeningSettings:
    """The time limits of a screening."""

    talk_limit_s: float = 90.0
    """How long the agent and the caller may talk before the call goes on without a decision."""
    silence_limit_s: float = 20.0
    """How long both may be silent before the call goes on without a decision."""
    ready_limit_s: float = 8.0
    """How long the agent may take to answer."""
    ask_if_there_s: float = 0.0
    """How long both may be silent before the agent asks, once, whether the caller is still there; 0: never.
    """
    over: str = ""
    """The reason given at the talk limit if a budget set it, in which case it is never extended; else empty.
    """


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The screening's part of one ``[[agent]]``."""

    name: str
    provider: str = OPENAI_REALTIME
    """One of `PROVIDERS`."""
    api_key: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)
    """``whsec_…``, which the vendor shows only once."""
    model: str = "gpt-realtime-2.1"
    voice: str = "marin"
    instructions: str = ""
    """The agent's instructions; empty for `prompt.INSTRUCTIONS`."""
    transfer: str = "refer"
    """``refer``: POST /refer first, then connect. ``local``: connect at once."""
    refer_patience_s: float = 3.0
    """How long a REFER may take before the screening connects the caller by its own verdict."""
    api_base: str = "https://api.openai.com/v1"
    project: str | None = None
    """Sent as ``OpenAI-Project``, if set."""
    transcription: str | None = "gpt-transcribe"
    """The model that transcribes callers, for Realtime; None for no transcription. Live always transcribes.
    """
    delegation: str = "responses"
    """Who runs a Live agent's delegate model: ``responses``, the vendor; ``client``, we do."""
    delegate_model: str = "gpt-5.6-luna"
    """The delegate model, which thinks and calls the tools."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Further fields of the vendor's session object, merged over ours (`session_config.accept_body`)."""
    limits: ScreeningSettings = field(default_factory=ScreeningSettings)

    def __post_init__(self) -> None:
        if self.provider not in PROVIDERS:
            raise ValueError(f"agent {self.name}: provider must be one of {PROVIDERS}: {self.provider!r}")
        if self.transfer not in TRANSFERS:
            raise ValueError(f"agent {self.name}: transfer must be one of {TRANSFERS}: {self.transfer!r}")
        if self.delegation not in DELEGATIONS:
            raise ValueError(f"agent {self.name}: delegation must be one of {DELEGATIONS}")


@dataclass(frozen=True, slots=True)
class TalkSettings:
    """How the agent talks to the callers of one number."""

    name: str = ""
    """Whom the agent answers for; empty if it is not to say."""
    languages: tuple[str, ...] = ("en",)
    """Languages the agent speaks; the first is the default."""
    greeting: Mapping[str, str] | None = None
    """Templates by language, ``""`` for all others. An empty template lets the agent open as its instructions
    say. None, or a language without a template: the built-in greeting.
    """
    instructions: Mapping[str, str] = field(default_factory=dict)
    """Templates by language, likewise; a language without one gets the built-in instructions."""
    dialed: str = ""
    hours: str = ""
    """When the number is open, in words."""
    optional_tools: frozenset[str] = frozenset()
    """A subset of `tools.OPTIONAL`."""
    places: tuple[NamedDestination, ...] = ()
    """The named destinations."""
    transcribed: bool = False
    """Callers are told that the call is transcribed. `recorded`: that it is recorded."""
    recorded: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    """What a key does: ``connect``, ``voicemail``, or the name of a destination."""


@dataclass(frozen=True, slots=True)
class NumberSettings:
    """The screening's part of one ``[[number]]``."""

    dialed: str
    agent: str
    """Name of the agent that screens it; empty for none."""
    refer_target: str | None = None
    """The target posted to ``/refer``, ``tel:+1…`` or a SIP URI; None: no REFER is requested."""
    talk_limit_s: float | None = None
    """The talk limit of this number; None: its agent's."""
    ask_if_there_s: float | None = None
    """Likewise for `ScreeningSettings.ask_if_there_s`."""
    talk: TalkSettings | None = None
    """How its callers are talked to; None: only as its agent's settings say."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """The target posted to ``/refer`` for each named destination."""
    backup_talks: Mapping[str, TalkSettings] = field(default_factory=dict)
    """Likewise `talk` of each backup agent, by its name."""

    @property
    def talks(self) -> Mapping[str, TalkSettings]:
        """How its callers are talked to, by each agent that we brief."""
        return {**self.backup_talks, **({self.agent: self.talk} if self.talk is not None else {})}
