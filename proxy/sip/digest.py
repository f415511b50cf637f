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
"""The algorithms we know, the weakest first (RFC 8760 §2)."""

_SCHEME = re.compile(r"digest[ \t]+", re.IGNORECASE).match
_PARAM = re.compile(rf"[ \t,]*({TOKEN})[ \t]*=[ \t]*({QUOTED}|[^\s,\"]*)[ \t]*(?:,|$)", re.DOTALL).match


class DigestRefused(SipError):
    """The credentials were turned down, or no challenge is one we can answer."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server asks credentials for (RFC 7616 §3.3). Texts are as between the quotes, escapes kept."""

    realm: str
    """Which credentials are meant."""

    nonce: str
    """The server's one-time value."""

    opaque: str | None
    """To be given back as it is; None where there is none."""

    stale: bool
    """Whether the last credentials were right and only the nonce too old."""

    algorithm: str | None
    """As the server spelled it; None means MD5."""

    qop: tuple[str, ...]
    """The qualities of protection offered, in lower case; empty from an RFC 2069 server."""

    @property
    def strength(self) -> int:
        """The rank of the algorithm; below zero where we do not know it."""
        name = (self.algorithm or "md5").lower()
        return _STRENGTH.index(name) if name in _STRENGTH else -1

    @property
    def usable(self) -> bool:
        """Whether we can answer it."""
        return self.strength >= 0 and (not self.qop or "auth" in self.qop or "auth-int" in self.qop)


@dataclass(slots=True)
class _Answered:
    """What we know of one realm: its living challenge and how often it was answered."""

    challenge: Challenge
    first_cnonce: str
    count: int = 0
    transaction: tuple[str, int] | None = None
    """Call-ID and CSeq of the request whose challenge was answered last."""

    stale: bool = False
    """Whether that answer was the second chance after a stale nonce."""


class DigestClient:
    """One user's credentials, and the nonces they have answered. Serves any number of requests."""

    __slots__ = ("_password", "_realms", "_username")

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._realms: dict[tuple[str, str], _Answered] = {}

    def authorize(self, request: Request, response: Response, cnonce: str) -> Headers:
        """The credentials the repeated request carries: all of them, in place of those `request` carries.

        `request` is the one `response` (401 or 407) answers. Raises DigestRefused where its credentials were
        turned down (a stale nonce is worth one more try) or no challenge can be answered. `cnonce` is fresh
        and random.
        """
        challenges = list(_strongest(response))
        if not challenges:
            raise DigestRefused(f"no usable digest challenge in {response.status}")
        carried = set(_carried(request))
        transaction = (request.call_id, request.cseq.number)
        for header, challenge in challenges:
            self._take(header, challenge, cnonce, (header, challenge.realm) in carried, transaction)
        answer = Headers()
        asked = [(header, challenge.realm) for header, challenge in challenges]
        for place in [*asked, *sorted(carried - set(asked))]:
            answered = self._realms.get(place)
            if answered is not None:
                answer.add(place[0], self._credentials(request, answered, cnonce))
        return answer

    def _take(
        self, header: str, challenge: Challenge, cnonce: str, carried: bool, transaction: tuple[str, int]
    ) -> None:
        """Remember a challenge about to be answered, or refuse to answer it again."""
        place = (header, challenge.realm)
        known = self._realms.get(place)
        again = carried or (known is not None and known.transaction == transaction)
        if again and (not challenge.stale or (known is not None and known.stale)):
            raise DigestRefused(f"credentials refused for realm {shown(challenge.realm)}")
        if known is None or known.challenge.nonce != challenge.nonce:
            known = self._realms[place] = _Answered(challenge, cnonce)
        known.challenge = challenge
        known.transaction = transaction
        known.stale = again

    def _credentials(self, request: Request, answered: _Answered, cnonce: str) -> str:
        """One Authorization value; counts the nonce up (RFC 7616 §3.4)."""
        challenge = answered.challenge
        answered.count += 1
        count = f"{answered.count:08x}"
        qop = _qop(challenge)
        name = (challenge.algorithm or "MD5").lower()
        digest = hash_of(name)
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
    """One WWW-Authenticate or Proxy-Authenticate value; raises ParseError."""
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
    """The parameters of a challenge or of credentials, names in lower case, quotes taken off; ParseError."""
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
    """For each realm the challenge of the strongest algorithm we know, with the header that answers it."""
    best: dict[tuple[str, str], Challenge] = {}
    for asked_in, header in _ANSWERED_IN.items():
        for line in response.headers.get_all(asked_in):
            try:
                challenge = parse_challenge(line)
            except ParseError:
                continue  # another scheme, or junk beside a challenge we may know
            rival = best.get((header, challenge.realm))
            if challenge.usable and (rival is None or challenge.strength > rival.strength):
                best[header, challenge.realm] = challenge
    return ((header, challenge) for (header, _), challenge in best.items())


def _carried(request: Request) -> Iterator[tuple[str, str]]:
    """Where the request carries digest credentials, and for which realm."""
    for header in _ANSWERED_IN.values():
        for line in request.headers.get_all(header):
            if _SCHEME(line) is not None:
                yield header, digest_params(line).get("realm", "")


def _qop(challenge: Challenge) -> str | None:
    if not challenge.qop:
        return None
    return "auth" if "auth" in challenge.qop else "auth-int"


def _octets(text: str) -> bytes:
    """As it stood on the wire: a realm need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def hash_of(algorithm: str) -> Callable[[bytes], str]:
    """The hash of an algorithm's name in lower case, in hexadecimal."""
    if algorithm.startswith("sha-256"):
        return lambda text: hashlib.sha256(text).hexdigest()
    return lambda text: hashlib.md5(text, usedforsecurity=False).hexdigest()
