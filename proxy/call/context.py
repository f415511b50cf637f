"""What every call needs of the house it happens in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.call.attestation import NO_WORD, Word
from proxy.call.destination_caps import Tolls
from proxy.call.destinations import Patience
from proxy.call.feed import Feed
from proxy.call.identity import Refusals
from proxy.call.journal import LOG, Log
from proxy.call.media_watch import Hearing
from proxy.call.record import WallClock
from proxy.media.sdes import SrtpPolicy
from proxy.media.speech import Prompts, Speech
from proxy.sip.digest import DigestClient
from proxy.transport.flow import Flow
from proxy.ua.contact_tracking import Phones, nobody
from proxy.ua.core import UserAgentCore
from proxy.ua.new_contacts import Arrivals
from screening.contract import Screener


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every call needs of the house it happens in."""

    core: UserAgentCore
    screener: Screener
    host: str
    """Our public name, in the From of the agent leg."""
    voicemail_dir: Path
    wall_clock: WallClock
    recording_dir: Path = Path("recordings")
    speech: Speech = field(default_factory=Prompts)
    """Who speaks for us."""
    tolls: Tolls = field(default_factory=lambda: Tolls(lambda: asyncio.get_running_loop().time()))
    phones: Phones = nobody
    """Where the registered phones are."""
    arrivals: Arrivals = field(default_factory=Arrivals)
    """Who tells that one of them has registered."""
    down: Callable[[str], bool] = lambda name: False
    """Whether the peer of that name (`agent:NAME`, `trunk:NAME`) failed its probes."""
    patience: Patience = field(default_factory=Patience)
    word: Callable[[Flow], Word] = lambda flow: NO_WORD
    """How far the word of the peer there goes on who calls."""
    srtp: Callable[[str], SrtpPolicy] = lambda trunk: SrtpPolicy.ACCEPT
    """How the audio of a caller from the trunk of that name is protected; from none: the empty one."""
    credentials: Callable[[str], DigestClient | None] = lambda trunk: None
    """As whom we answer the trunk of that name where it asks for credentials in a call of its own."""
    refusals: Refusals = field(default_factory=lambda: Refusals(lambda: asyncio.get_running_loop().time()))
    hearing: Hearing = field(default_factory=Hearing)
    log: Log = field(default_factory=LOG.bind)
    """Where all of them tell their story: to bind that of each call to it takes a third of the time."""
    feed: Feed | None = None
    """Where what happens is told as it happens; None where nobody can listen."""
