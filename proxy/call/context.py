"""The services and settings that all calls share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.call.agents import AgentOrder
from proxy.call.attestation import NO_TRUST, PeerTrust
from proxy.call.destination_caps import DestinationCaps
from proxy.call.destinations import Backoff
from proxy.call.feed import Feed
from proxy.call.invite_builder import IdentityRefusals
from proxy.call.journal import LOG, Log
from proxy.call.media_watch import MediaWatchSettings
from proxy.call.record import WallClock
from proxy.media.sdes import SrtpPolicy
from proxy.media.speech import RecordedPrompts, Speech
from proxy.sip.digest import DigestClient
from proxy.transport.flow import Flow
from proxy.ua.contact_tracking import BindingLookup, no_bindings
from proxy.ua.core import UserAgentCore
from proxy.ua.new_contacts import NewContacts
from screening.contract import Screener


@dataclass(frozen=True, slots=True)
class CallContext:
    """The services and settings that all calls share; the defaults are for tests."""

    core: UserAgentCore
    screener: Screener
    host: str
    """Our public host name, used in the From of the agent leg."""
    voicemail_dir: Path
    wall_clock: WallClock
    recording_dir: Path = Path("recordings")
    speech: Speech = field(default_factory=RecordedPrompts)
    """Text to speech, for announcements and prompts."""
    destination_caps: DestinationCaps = field(
        default_factory=lambda: DestinationCaps(lambda: asyncio.get_running_loop().time())
    )
    phones: BindingLookup = no_bindings
    """The contacts of a registered phone, by its name."""
    new_contacts: NewContacts = field(default_factory=NewContacts)
    """Notifies of phones that register while a call rings."""
    down: Callable[[str], bool] = lambda name: False
    """Whether a peer (`agent:NAME` or `trunk:NAME`) fails its probes."""
    agents: AgentOrder = field(default_factory=lambda: AgentOrder(lambda: asyncio.get_running_loop().time()))
    backoff: Backoff = field(default_factory=Backoff)
    trust_of: Callable[[Flow], PeerTrust] = lambda flow: NO_TRUST
    """What the peer at the other end of a flow is trusted to say about callers."""
    srtp: Callable[[str], SrtpPolicy] = lambda trunk: SrtpPolicy.ACCEPT
    """The SRTP policy for callers of a trunk, by its name; `""` for callers of no trunk."""
    credentials: Callable[[str], DigestClient | None] = lambda trunk: None
    """The credentials for a trunk that challenges our requests within a call that it sent us, by its name."""
    refusals: IdentityRefusals = field(
        default_factory=lambda: IdentityRefusals(lambda: asyncio.get_running_loop().time())
    )
    media_watch: MediaWatchSettings = field(default_factory=MediaWatchSettings)
    log: Log = field(default_factory=LOG.bind)
    """The logger that each call binds its name to; binding one already bound is three times faster."""
    feed: Feed | None = None
    """Live events for API clients; None where there is no API."""
