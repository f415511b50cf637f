"""Digest authentication as a client (RFC 3261 §22, RFC 7616, RFC 8760)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from proxy.sip.errors import ParseError, SipError
from proxy.sip.grammar import QUOTED, TOKEN, quote, shown
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response

_ANSWERED_IN = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}

_STRENGTH = ("md5", "md5-sess", "sha-256", "sha-256-sess")
"""The supported algorithms, weakest first (RFC 8760 §2)."""

_SCHEME = re.compile(r"digest[ \t]+", re.IGNORECASE).match
_PARAM = re.compile(rf"[ \t,]*({TOKEN})[ \t]*=[ \t]*({QUOTED}|[^\s,\"]*)[ \t]*(?:,|$)", re.DOTALL).match


class DigestRefused(SipError):
    """The server rejected the credentials, or sent no challenge that we can answer."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A digest challenge (RFC 7616 §3.3). Strings are without quotes, with escapes kept."""

    realm: str
    """The protection realm: which credentials to use."""

    nonce: str
    """The server's one-time value."""

    opaque: str | None
    """To be returned unchanged; None if absent."""

    stale: bool
    """Whether the last credentials were correct and only the nonce was stale."""

    algorithm: str | None
    """As the server spelled it; None means MD5."""

    qop: tuple[str, ...]
    """The qualities of protection offered, lower-case; empty from an RFC 2069 server."""

    @property
    def strength(self) -> int:
        """The rank of the algorithm; negative if it is not supported."""
        name = (self.algorithm or "md5").lower()
        return _STRENGTH.index(name) if name in _STRENGTH else -1

    @property
    def usable(self) -> bool:
        """Whether we can answer it."""
        return self.strength >= 0 and (not self.qop or "auth" in self.qop or "auth-int" in self.qop)


@dataclass(slots=True)
class _RealmState:
    """State of one realm: its current challenge and how often its nonce was used."""

    challenge: Challenge
    first_cnonce: str
    count: int = 0
    transaction: tuple[str, int] | None = None
    """Call-ID and CSeq number of the request whose challenge was answered last."""

    stale: bool = False
    """Whether that answer was already a retry after a stale nonce."""


class DigestClient:
    """Answers challenges with one user's credentials, over any number of requests."""

    __slots__ = ("_password", "_realms", "_username")

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._realms: dict[tuple[str, str], _RealmState] = {}

    def authorize(self, request: Request, response: Response, cnonce: str) -> Headers:
        """All credentials for the repeated request, replacing those in `request`.

        `response` is the 401 or 407 to `request`; `cnonce` is fresh and random. Raises DigestRefused if its
        credentials were rejected (a stale nonce gets one more try) or no challenge can be answered.
        """
        challenges = list(_strongest(response))
        if not challenges:
            raise DigestRefused(f"no usable digest challenge in {response.status}")
        carried = set(_credential_realms(request))
        transaction = (request.call_id, request.cseq.number)
        for header, challenge in challenges:
            self._note_challenge(header, challenge, cnonce, (header, challenge.realm) in carried, transaction)
        answer = Headers()
        asked = [(header, challenge.realm) for header, challenge in challenges]
        for place in [*asked, *sorted(carried - set(asked))]:
            answered = self._realms.get(place)
            if answered is not None:
                answer.add(place[0], self._credentials(request, answered, cnonce))
        return answer

    def _note_challenge(
        self, header: str, challenge: Challenge, cnonce: str, carried: bool, transaction: tuple[str, int]
    ) -> None:
        """Note a challenge about to be answered; raises DigestRefused if it must not be answered again."""
        place = (header, challenge.realm)
        known = self._realms.get(place)
        again = carried or (known is not None and known.transaction == transaction)
        if again and (not challenge.stale or (known is not None and known.stale)):
            raise DigestRefused(f"credentials refused for realm {shown(challenge.realm)}")
        if known is None or known.challenge.nonce != challenge.nonce:
            known = self._realms[place] = _RealmState(challenge, cnonce)
        known.challenge = challenge
        known.transaction = transaction
        known.stale = again

    def _credentials(self, request: Request, answered: _RealmState, cnonce: str) -> str:
        """One Authorization value; increments the nonce count (RFC 7616 §3.4)."""
        challenge = answered.challenge
        answered.count += 1
        count = f"{answered.count:08x}"
        qop = _qop(challenge)
        name = (challenge.algorithm or "MD5").lower()
        digest = hash_function(name)
        user = quote(self._username)
        secret = digest(_octets(f"{user[1:-1]}:{challenge.realm}:{self._password}"))
        if name.endswith("-sess"):
            secret = digest(_octets(f"{secret}:{challenge.nonce}:{answered.first_cnonce}"))
            cnonce = answered.first_cnonce
        act = f"{request.method}:{request.uri}"
        if qop == "auth-int":
            act += f":{digest(request.body)}"
        middle = f"{count}:{cnonce}:{qop}:" if qop else ""
        proof = digest(_octets(f"{secret}:{challenge.nonce}:{middle}{digest(_octets(act))}"))
        params = [f"username={user}", f'realm="{challenge.realm}"', f'nonce="{challenge.nonce}"']
        params += [f'uri="{request.uri}"', f'response="{proof}"']
        if challenge.algorithm is not None:
            params.append(f"algorithm={challenge.algorithm}")
        if qop:
            params += [f"qop={qop}", f"nc={count}"]
        if qop or name.endswith("-sess"):
            params.append(f'cnonce="{cnonce}"')
        if challenge.opaque is not None:
            params.append(f'opaque="{challenge.opaque}"')
        return "Digest " + ", ".join(params)


def parse_challenge(value: str) -> Challenge:
    """Parse one WWW-Authenticate or Proxy-Authenticate value; raises ParseError."""
    params = digest_params(value)
    if "realm" not in params or "nonce" not in params:
        raise ParseError(f"digest challenge without realm or nonce: {shown(value)}")
    return Challenge(
        realm=params["realm"],
        nonce=params["nonce"],
        opaque=params.get("opaque"),
        stale=params.get("stale", "").lower() == "true",
        algorithm=params.get("algorithm"),
        qop=tuple(word for word in re.split(r"[\s,]+", params.get("qop", "").lower()) if word),
    )


def digest_params(value: str) -> dict[str, str]:
    """The parameters of a challenge or credentials: lower-case names, unquoted values. Raises ParseError."""
    scheme = _SCHEME(value)
    if scheme is None:
        raise ParseError(f"not a digest challenge: {shown(value)}")
    params: dict[str, str] = {}
    place, value = scheme.end(), value.rstrip(" \t,")
    while place < len(value):
        match = _PARAM(value, place)
        if match is None:
            raise ParseError(f"malformed digest parameters: {shown(value[place:])}")
        raw = match[2]
        params.setdefault(match[1].lower(), raw[1:-1] if raw.startswith('"') else raw)
        place = match.end()
    return params


def _strongest(response: Response) -> Iterator[tuple[str, Challenge]]:
    """The challenge with the strongest supported algorithm per realm, with the header that answers it."""
    best: dict[tuple[str, str], Challenge] = {}
    for asked_in, header in _ANSWERED_IN.items():
        for line in response.headers.get_all(asked_in):
            try:
                challenge = parse_challenge(line)
            except ParseError:
                continue  # another scheme or malformed; a usable challenge may follow
            rival = best.get((header, challenge.realm))
            if challenge.usable and (rival is None or challenge.strength > rival.strength):
                best[header, challenge.realm] = challenge
    return ((header, challenge) for (header, _), challenge in best.items())


def _credential_realms(request: Request) -> Iterator[tuple[str, str]]:
    """Header and realm of each digest credentials in the request."""
    for header in _ANSWERED_IN.values():
        for line in request.headers.get_all(header):
            if _SCHEME(line) is not None:
                yield header, digest_params(line).get("realm", "")


def _qop(challenge: Challenge) -> str | None:
    if not challenge.qop:
        return None
    return "auth" if "auth" in challenge.qop else "auth-int"


def _octets(text: str) -> bytes:
    """The bytes as they were on the wire: a realm need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def hash_function(algorithm: str) -> Callable[[bytes], str]:
    """The hash function (to hexadecimal) of an algorithm, given by its name in lower case."""
    if algorithm.startswith("sha-256"):
        return lambda text: hashlib.sha256(text).hexdigest()
    return lambda text: hashlib.md5(text, usedforsecurity=False).hexdigest()
