"""Routing: the number that was called, the agent that screens it, and its destinations, all configured."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote as unescape

from proxy.call.challenge import ChallengeSettings
from proxy.call.identity_profile import IdentityProfile
from proxy.call.outcome import OnFailure
from proxy.call.sound import Sound
from proxy.call.voicemail import VoicemailSettings
from proxy.media.sdes import SrtpPolicy
from proxy.sip.digest import DigestClient
from proxy.sip.errors import ParseError, SipError
from proxy.sip.identity import Diversion, HistoryEntry, has_only_from
from proxy.sip.message import Request
from proxy.sip.uri import Uri
from proxy.sip.values import NameAddr

LONGEST_NUMBER = 32
"""Characters of a number with its ``+``; anything longer is not taken for a number.

E.164 has 15 digits, and some carriers prefix a few. Callers can write what they like into a user part, which
is then compared, cached and stored.
"""
MAX_KNOWN = 1024
"""Limit to cached look-ups by user part."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """A carrier that we call out through, as configured."""

    name: str
    outbound: str | None = None
    """SIP URI without a user part; the number to dial becomes its user part."""
    username: str | None = None
    password: str | None = None
    caller_id: str | None = None
    """Our number at this trunk, which we may show when calling out."""
    profile: str = ""
    """Name of its TLS profile; empty for the default one."""
    identity: IdentityProfile = IdentityProfile.TRUNK_DID
    """Which identity headers our INVITEs to it carry."""
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT

    def credentials(self) -> DigestClient | None:
        if self.username is None or self.password is None:
            return None
        return DigestClient(self.username, self.password)


class Confirmation(enum.Enum):
    """What whoever picks up a phone hears and must do before being connected (setting `confirm`)."""

    OFF = "off"
    """Nothing, except that the call is recorded, if it is."""
    UNSCREENED = "unscreened"
    """The same, and a warning if the caller was not screened though configured to be."""
    WHISPER = "whisper"
    PRESS_1 = "press-1"


WITHOUT_WHISPER = (Confirmation.OFF, Confirmation.UNSCREENED)
"""The settings with which a phone hears nothing before most calls."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination that a number's calls may be connected to."""

    uri: str
    """The URI that is dialled."""
    number: str | None = None
    """Its telephone number as dialled, by which a Refer-To may select it; None if it has none."""
    trunk: Trunk | None = None
    """The trunk it is dialled through; None if it is dialled directly."""
    phone: str | None = None
    """The name of a registered phone, whose contacts are dialled in place of `uri`."""
    identity: IdentityProfile | None = None
    """Its identity profile; None for that of its trunk, or `internal` if it has no trunk."""
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT
    """Its SRTP policy; used only if it has no trunk."""
    confirm: Confirmation = Confirmation.OFF
    """What whoever picks up there hears and must do before being connected."""
    name: str | None = None
    """The name by which the agent may ask for it; None if it may not."""

    @property
    def identity_profile(self) -> IdentityProfile:
        """The identity profile that applies: its own, its trunk's, or `internal`."""
        return self.identity or (self.trunk.identity if self.trunk else IdentityProfile.INTERNAL)

    @property
    def srtp_policy(self) -> SrtpPolicy:
        """The SRTP policy that applies: its trunk's, or its own."""
        return self.trunk.srtp if self.trunk else self.srtp


@dataclass(frozen=True, slots=True)
class Agent:
    """A voice agent that screens callers, as configured."""

    name: str
    uri: str
    profile: str = ""
    """Name of its TLS profile; empty for the default one."""
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT


@dataclass(frozen=True, slots=True)
class Number:
    """A number that people call, with all its settings."""

    dialed: str
    destinations: tuple[Destination, ...]
    agent: Agent | None
    """The agent that screens its callers; None if nobody is screened."""
    ring_limit_s: float = 25.0
    on_failure: OnFailure = OnFailure.RING
    voicemail: VoicemailSettings = field(default_factory=VoicemailSettings)
    calls_per_destination_per_hour: int = 0
    """Cap on calls to each destination per hour; 0 for none."""
    at_once: bool = False
    """Whether all destinations ring at once, rather than in turn."""
    record: bool = False
    """Whether its calls are recorded."""
    announcement: str | None = None
    """What callers hear before they are recorded; None for nothing, which the settings have to state."""
    confirm_limit_s: float = 20.0
    """How long whoever picked up has to accept the call."""
    language: str = "en"
    """The language of everything that we speak."""
    sound: Sound = field(default_factory=Sound)
    """What its callers hear from us."""
    challenge: ChallengeSettings = field(default_factory=ChallengeSettings)
    whisper_keys: bool = False
    """Whether whoever picks up may also block or trust the caller by a key."""
    reject_card: str | None = None
    """URL of the signed jCard that a 608 points to, by which callers can complain (RFC 8688 §3.2)."""
    backups: tuple[Agent, ...] = ()
    """The agents that are called, in turn, if `agent` does not take a call."""
    agents: tuple[Agent, ...] = field(init=False, repr=False, compare=False)
    """All its agents; empty if nobody is screened."""
    always_announces: bool = field(init=False, repr=False, compare=False)
    """Whether any of its destinations hears an announcement for every caller."""

    def __post_init__(self) -> None:
        always_announces = any(
            destination.confirm not in WITHOUT_WHISPER for destination in self.destinations
        )
        object.__setattr__(self, "always_announces", always_announces)
        object.__setattr__(self, "agents", (self.agent, *self.backups) if self.agent else ())

    def ringing_with(self, destination: Destination) -> Sequence[Destination]:
        """The destinations that ring when one is selected: all of them if they ring at once."""
        return self.destinations if self.at_once else [destination]

    def destinations_named(self, name: str | None) -> Sequence[Destination]:
        """The destination of this name; all of them if no name is given, or none has it."""
        named = [
            destination for destination in self.destinations if name is not None and destination.name == name
        ]
        return named or self.destinations

    def destination_for(self, refer_to: NameAddr, our_hosts: Collection[str] = ()) -> Destination | None:
        """The configured destination that a Refer-To selects, by its number or by its whole URI.

        A registered phone may also be named at one of `our_hosts`. None if there is none: what an agent
        writes is never dialled as written (toll fraud).
        """
        wanted = dialable(refer_to.uri.user)
        phone = refer_to.uri.user if refer_to.uri.host.lower() in our_hosts else None
        for destination in self.destinations:
            if phone is not None and phone == destination.phone:
                return destination
            if wanted is not None and wanted == destination.number:
                return destination
            if refer_to.uri.scheme != "tel" and refer_to.uri.matches(Uri.parse(destination.uri)):
                return destination
        return None


class EmergencyCalled(SipError):
    """An emergency number was called, which we cannot serve."""


class Routing:
    """Finds the configured number that an INVITE is for."""

    def __init__(
        self, numbers: Sequence[Number], is_emergency: Callable[[str], bool] = lambda user: False
    ) -> None:
        self._numbers = {number.dialed: number for number in numbers}
        self._is_emergency = is_emergency
        self._known = lru_cache(MAX_KNOWN)(self._called)
        """`_called`, cached: most calls are to a few numbers."""

    def find(self, invite: Request, *, trusted: bool = False) -> Number | None:
        """The number that was called, by the user part of Request-URI or To, else the catch-all ``*``.

        A `trusted` carrier may also say who forwarded the call to us: the latest of these that is one of our
        numbers is taken before ``*`` (Diversion, RFC 5806; History-Info, RFC 7044).

        Raises EmergencyCalled for an emergency number, even if ``*`` is configured.
        """
        if (known := self._known(_user(invite.uri), invite.to.uri.user)) is not None:
            return known
        diverted = self._diverted(invite) if trusted and not has_only_from(invite.headers) else None
        return diverted or self._numbers.get("*")

    def _called(self, *users: str | None) -> Number | None:
        for user in users:
            if user is not None and self._is_emergency(user):
                raise EmergencyCalled("an emergency number was called")
            for name in (user, dialable(user)):
                if name is not None and name in self._numbers:
                    return self._numbers[name]
        return None

    def _diverted(self, invite: Request) -> Number | None:
        parties = [each.party for each in Diversion.all(invite.headers)]
        parties += [each.party for each in reversed(HistoryEntry.all(invite.headers))]
        for party in parties:
            for name in (party.uri.user, dialable(party.uri.user)):
                if name is not None and name in self._numbers:
                    return self._numbers[name]
        return None


@lru_cache(MAX_KNOWN)
def dialable(text: str | None) -> str | None:
    """A number as it is dialled: its ``+`` and digits, without visual separators (RFC 3966 §5.1.1).

    `text`: the user part of a sip URI, where ``+`` may be escaped (RFC 3261 §19.1.2), or a tel URI's number.
    None if it is no number.
    """
    if text is None:
        return None
    if text.isascii() and text.removeprefix("+").isdecimal():
        return text if len(text) <= LONGEST_NUMBER else None
    return _less_separators(text)


def _less_separators(text: str) -> str | None:
    digits = unescape(text).partition(";")[0]
    for separator in "-.() ":
        digits = digits.replace(separator, "")
    number = digits.isascii() and digits.removeprefix("+").isdecimal() and len(digits) <= LONGEST_NUMBER
    return digits if number else None


def e164(text: str | None) -> str | None:
    """The number in E.164 form, with its ``+``; None if it is not in that form."""
    digits = dialable(text)
    return digits if digits is not None and digits.startswith("+") else None


def _user(uri: str) -> str | None:
    try:
        return Uri.parse(uri).user
    except ParseError:
        return None
