"""Which number was called, who screens it, and where it may be connected to: configured things only."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote as unescape

from proxy.call.challenge import Terms
from proxy.call.identity_profile import IdentityProfile
from proxy.call.outcome import OnFailure
from proxy.call.sound import Sound
from proxy.call.voicemail import Voicemail
from proxy.media.sdes import SrtpPolicy
from proxy.sip.digest import DigestClient
from proxy.sip.errors import ParseError, SipError
from proxy.sip.identity import Diversion, HistoryEntry, is_plain
from proxy.sip.message import Request
from proxy.sip.uri import Uri
from proxy.sip.values import NameAddr

LONGEST_NUMBER = 32
"""Characters of a number with its ``+``: E.164 has 15 digits, and some carriers put a few before them. What
is longer is none: callers write what they like, and it is compared, remembered and kept.
"""
MAX_KNOWN = 1024
"""Users of URIs of which it is remembered what was made of them."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """A carrier: who may call us, and how we call out."""

    name: str
    outbound: str | None = None
    """SIP URI without a user part; numbers are put before its host."""
    username: str | None = None
    password: str | None = None
    caller_id: str | None = None
    """The number that we may show when calling out."""
    profile: str = ""
    """Name of the terms on which TLS is spoken with it; empty: those of everybody else."""
    identity: IdentityProfile = IdentityProfile.TRUNK_DID
    """As whom we call its destinations."""
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT

    def credentials(self) -> DigestClient | None:
        if self.username is None or self.password is None:
            return None
        return DigestClient(self.username, self.password)


class Confirmation(enum.Enum):
    """What whoever picks up a phone hears, and must do, before he is connected."""

    OFF = "off"
    """Nothing, but that the call is recorded."""
    UNSCREENED = "unscreened"
    """The same, and that a caller was not screened who should have been."""
    WHISPER = "whisper"
    PRESS_1 = "press-1"


NOT_ASKED = (Confirmation.OFF, Confirmation.UNSCREENED)
"""What has a phone told nothing of most callers."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that a number's calls may be connected to."""

    uri: str
    """What is dialled."""
    number: str | None = None
    """Its number as it is dialled, by which a Refer-To may select it; None if it has none."""
    trunk: Trunk | None = None
    """Whose call it becomes; None for one that is dialled directly."""
    phone: str | None = None
    """The registered phone that is meant; its contacts are dialled, not `uri`."""
    identity: IdentityProfile | None = None
    """As whom it is called; None: as its trunk says, or as `internal` where it has none."""
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT
    """Where it has no trunk, whose word it is otherwise."""
    confirm: Confirmation = Confirmation.OFF
    """What whoever picks up there hears, and must do, before he is connected."""
    name: str | None = None
    """What an agent may ask for it by; None: it may not."""

    @property
    def introduced_as(self) -> IdentityProfile:
        """As whom it is called."""
        return self.identity or (self.trunk.identity if self.trunk else IdentityProfile.INTERNAL)

    @property
    def secured_by(self) -> SrtpPolicy:
        """How its audio is protected."""
        return self.trunk.srtp if self.trunk else self.srtp


@dataclass(frozen=True, slots=True)
class Agent:
    """The AI that screens."""

    name: str
    uri: str
    profile: str = ""
    """Name of the terms on which TLS is spoken with it; empty: those of everybody else."""
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT


@dataclass(frozen=True, slots=True)
class Number:
    """A number that people call."""

    dialed: str
    destinations: tuple[Destination, ...]
    agent: Agent | None
    ring_limit_s: float = 25.0
    on_failure: OnFailure = OnFailure.RING
    voicemail: Voicemail = field(default_factory=Voicemail)
    calls_per_destination_per_hour: int = 0
    """How often each destination may be dialled; 0: as often as there are calls."""
    at_once: bool = False
    """Whether all destinations ring together."""
    record: bool = False
    """Whether its calls are recorded."""
    announcement: str | None = None
    """What callers are told before they are recorded; None: nothing, by the word of who configured that."""
    confirm_limit_s: float = 20.0
    """How long whoever picked up has to take the call."""
    language: str = "en"
    """Of everything that is spoken by us."""
    sound: Sound = field(default_factory=Sound)
    """What its callers hear from us."""
    challenge: Terms = field(default_factory=Terms)
    whisper_keys: bool = False
    """Whether whoever picks up may also have the caller blocked, or trusted, from now on."""
    reject_card: str | None = None
    """Where the signed jCard is that a 608 names, for those who think it wrong (RFC 8688 §3.2)."""
    announces: bool = field(init=False, repr=False, compare=False)
    """Whether some phone of it is told of every caller."""

    def __post_init__(self) -> None:
        announces = any(place.confirm not in NOT_ASKED for place in self.destinations)
        object.__setattr__(self, "announces", announces)

    def rung_for(self, place: Destination) -> Sequence[Destination]:
        """What rings when one destination is selected: where all ring together, all."""
        return self.destinations if self.at_once else [place]

    def called(self, name: str | None) -> Sequence[Destination]:
        """The destination of this name alone; all of them where none is asked for, or none is called so."""
        named = [place for place in self.destinations if name is not None and place.name == name]
        return named or self.destinations

    def destination_for(self, refer_to: NameAddr) -> Destination | None:
        """The configured destination that a Refer-To selects, by its number or by its whole URI.

        None if it matches none: what an agent writes is never dialled as written (toll fraud).
        """
        wanted = dialable(refer_to.uri.user)
        for destination in self.destinations:
            if wanted is not None and wanted == destination.number:
                return destination
            if refer_to.uri.scheme != "tel" and refer_to.uri.matches(Uri.parse(destination.uri)):
                return destination
        return None


class EmergencyCalled(SipError):
    """Somebody calls for help, and has come to the wrong house."""


class Routing:
    """The numbers that are configured here."""

    def __init__(
        self, numbers: Sequence[Number], is_emergency: Callable[[str], bool] = lambda user: False
    ) -> None:
        self._numbers = {number.dialed: number for number in numbers}
        self._is_emergency = is_emergency
        self._known = lru_cache(MAX_KNOWN)(self._called)
        """Most calls are to one of a few numbers."""

    def find(self, invite: Request, *, trusted: bool = False) -> Number | None:
        """The number that was called: by the Request-URI's user, else the To's, else the one for any.

        `trusted` carriers may also say by whom a call was sent on to us: before the one for any comes the
        latest of these that is a number of ours (RFC 5806, RFC 7044).

        Raises EmergencyCalled for a call for help: nothing stands before it, not even the screening of any.
        """
        if (known := self._known(_user(invite.uri), invite.to.uri.user)) is not None:
            return known
        diverted = self._diverted(invite) if trusted and not is_plain(invite.headers) else None
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
    """The digits of a number, and its ``+`` if it has one, less visual separators (RFC 3966 §5.1.1).

    From the user of a sip URI, where the ``+`` may be escaped (RFC 3261 §19.1.2), or the number of a tel URI.
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
    """The number in E.164 with its ``+``; None if it is none."""
    digits = dialable(text)
    return digits if digits is not None and digits.startswith("+") else None


def _user(uri: str) -> str | None:
    try:
        return Uri.parse(uri).user
    except ParseError:
        return None
