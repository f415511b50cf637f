"""What the screening is told by the settings file: plain values, mapped from TOML by the app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from screening.talk.tools import Place

OPENAI_REALTIME = "openai-realtime"
"""The agent is OpenAI's Realtime API: it has a webhook, REST and a WebSocket."""
OPENAI_LIVE = "openai-live"
"""The agent is OpenAI's Live API (GPT-Live): the same SIP address, another webhook, REST and WebSocket."""
AZURE_REALTIME = "azure-realtime"
"""The agent is the Realtime API as Azure serves it."""
SIP_AGENT = "sip"
"""Any voice agent without an API: it decides by REFER or BYE alone."""
PROVIDERS = (OPENAI_REALTIME, OPENAI_LIVE, AZURE_REALTIME, SIP_AGENT)
TRANSFERS = ("refer", "local")
DELEGATIONS = ("responses", "client")


@dataclass(frozen=True, slots=True)
class ScreeningSettings:
    """The limits of a screening."""

    talk_limit_s: float = 90.0
    """How long the agent may talk before the call goes on without a decision."""
    silence_limit_s: float = 20.0
    """How long nobody may say anything before the call goes on without a decision."""
    ready_limit_s: float = 8.0
    """How long the agent may take to answer."""
    ask_if_there_s: float = 0.0
    """After so much silence the agent asks whether the caller is still there, once; 0: it does not."""
    over: str = ""
    """What it means that the talk limit is reached, where a budget sets it; then it is never extended."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One ``[[agent]]``, as far as the screening is concerned."""

    name: str
    provider: str = OPENAI_REALTIME
    """One of `PROVIDERS`."""
    api_key: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)
    """``whsec_…`` as the vendor shows it once."""
    model: str = "gpt-realtime-2.1"
    voice: str = "marin"
    instructions: str = ""
    """What the agent is told; empty means `prompt.INSTRUCTIONS`."""
    transfer: str = "refer"
    """``refer``: POST /refer first, then connect. ``local``: connect at once."""
    refer_patience_s: float = 3.0
    """How long a REFER may take before the screening connects the caller by its own verdict."""
    api_base: str = "https://api.openai.com/v1"
    project: str | None = None
    """Sent as ``OpenAI-Project`` if given."""
    transcription: str | None = "gpt-transcribe"
    """The model that writes down what callers say, for Realtime; None: nobody does. Live always does."""
    delegation: str = "responses"
    """Who thinks for a Live agent: ``responses``, a model that the vendor asks, or ``client``, one we ask."""
    delegate_model: str = "gpt-5.6-luna"
    """The model that does, and calls the tools."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """More of the vendor's session object, laid over ours (`session_config.accept_body`)."""
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
    """How the callers of one number are talked to."""

    name: str = ""
    """Whom the agent answers for; empty: that is not said."""
    languages: tuple[str, ...] = ("en",)
    """That the agent speaks; the first is the one of the number."""
    greeting: Mapping[str, str] | None = None
    """Templates by language, ``""`` for all the others; an empty one has the agent open by its instructions.
    None, or a language without any: the built-in one.
    """
    instructions: Mapping[str, str] = field(default_factory=dict)
    """The same; a language without any has the built-in ones."""
    dialed: str = ""
    hours: str = ""
    """When the number is open, in words."""
    optional_tools: frozenset[str] = frozenset()
    """Of `tools.OPTIONAL`."""
    places: tuple[Place, ...] = ()
    """The destinations that have a name."""
    transcribed: bool = False
    """Callers are to be told that a transcript is kept. So with the next."""
    recorded: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    """What a key does: ``connect``, ``voicemail``, or the name of a destination."""


@dataclass(frozen=True, slots=True)
class NumberSettings:
    """One ``[[number]]``, as far as the screening is concerned."""

    dialed: str
    agent: str
    """Name of the agent that screens it; empty for none."""
    refer_target: str | None = None
    """What is posted to /refer, ``tel:+1…`` or a SIP URI; None: no REFER is asked for."""
    talk_limit_s: float | None = None
    """The talk limit of this number; None: its agent's."""
    ask_if_there_s: float | None = None
    """The same for when the agent asks whether the caller is still there."""
    talk: TalkSettings | None = None
    """How its callers are talked to; None: as its agent's settings say, and no more."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """What is posted to /refer for a destination that is asked for by its name."""
