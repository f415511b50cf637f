"""Digest authentication as a server: challenges and verification (RFC 3261 §22, RFC 7616, RFC 8760)."""

from __future__ import annotations

import enum
import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass

from proxy.sip.digest import digest_params, hash_function
from proxy.sip.errors import ParseError
from proxy.sip.grammar import shown, unquote
from proxy.sip.message import Request
from proxy.sip.uri import Uri

ALGORITHMS = ("SHA-256", "MD5")
"""The algorithms offered, in order of preference (RFC 8760 §2.3)."""

_MAC_BYTES = 8


class Verdict(enum.Enum):
    """Result of checking the credentials of a request."""

    ACCEPTED = enum.auto()
    """Correct, and not a replay."""
    MISSING = enum.auto()
    """There are none for our realm."""
    STALE = enum.auto()
    """Correct, but the nonce has expired, was already used with that count, or is not ours."""
    REFUSED = enum.auto()
    """Wrong."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An Authorization header (RFC 7616 §3.4). Strings are without quotes, with escapes kept."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    """Lower-case; ``md5`` if not given."""
    qop: str
    """Lower-case; empty from an RFC 2069 client."""
    nc: str
    cnonce: str

    @classmethod
    def parse(cls, value: str) -> Credentials:
        """From one Authorization or Proxy-Authorization value; raises ParseError."""
        params = digest_params(value)
        needed = [params.get(name) for name in ("username", "realm", "nonce", "uri", "response")]
        present = [text for text in needed if text is not None]
        if len(present) < len(needed):
            raise ParseError(f"incomplete digest credentials: {shown(value)}")
        username, realm, nonce, uri, response = present
        algorithm = params.get("algorithm", "MD5").lower()
        qop, nc, cnonce = (params.get(name, "") for name in ("qop", "nc", "cnonce"))
        return cls(username, realm, nonce, uri, response, algorithm, qop.lower(), nc, cnonce)

    def is_valid(self, method: str, password: str) -> bool:
        """Whether they were computed with this password; compares in constant time."""
        digest = hash_function(self.algorithm)
        secret = digest(f"{self.username}:{self.realm}:{password}".encode("utf-8", "surrogateescape"))
        act = digest(f"{method}:{self.uri}".encode("utf-8", "surrogateescape"))
        middle = f"{self.nc}:{self.cnonce}:{self.qop}"
        proof = digest(f"{secret}:{self.nonce}:{middle}:{act}".encode("utf-8", "surrogateescape"))
        return hmac.compare_digest(proof.encode(), self.response.lower().encode("utf-8", "replace"))

    @property
    def count(self) -> int:
        """The nonce count; 0 if malformed."""
        try:
            return int(self.nc, 16)
        except ValueError:
            return 0


class DigestServer:
    """Authenticates requests for one realm.

    Nonces carry their creation time and a MAC, so a nonce takes no memory until it has been used.
    """

    __slots__ = ("_forgotten_until", "_lifetime_s", "_made", "_max_nonces", "_secret", "_used", "realm")

    def __init__(
        self, realm: str, secret: bytes, *, lifetime_s: float = 300.0, max_nonces: int = 10_000
    ) -> None:
        """`secret`: random, known to this process alone. `max_nonces`: how many used nonces to remember."""
        self.realm, self._secret = realm, secret
        self._lifetime_s, self._max_nonces = lifetime_s, max_nonces
        self._made = 0
        self._used: dict[str, int] = {}
        """The highest nonce count accepted for each nonce."""
        self._forgotten_until = -1
        """Nonces created up to this time (seconds) count as stale: their use is no longer remembered."""

    def challenge(self, now: float, algorithm: str, *, stale: bool = False, source: str = "") -> str:
        """One WWW-Authenticate value, as short as possible; send one for each of ALGORITHMS, in order.

        `source`: the source address that alone may answer it, against forged senders; empty for any.
        """
        again = ", stale=true" if stale else ""
        nonce = self._nonce(now, source)
        return f'Digest realm="{self.realm}", qop="auth", nonce="{nonce}"{again}, algorithm={algorithm}'

    def credentials_of(self, request: Request) -> Credentials | None:
        """The credentials for our realm in a request; None if there are no well-formed ones."""
        for line in request.headers.get_all("Authorization"):
            try:
                credentials = Credentials.parse(line)
            except ParseError:
                continue
            if unquote(f'"{credentials.realm}"') == self.realm:
                return credentials
        return None

    def verify(
        self, request: Request, username: str, password: str, now: float, *, source: str = ""
    ) -> Verdict:
        """Check the credentials of a request against this user, and its nonce against `source`."""
        credentials = self.credentials_of(request)
        if credentials is None:
            return Verdict.MISSING
        fitting = (
            credentials.username == username
            and credentials.qop == "auth"
            and credentials.algorithm.upper() in ALGORITHMS
            and len(credentials.nc) == 8
            and credentials.count > 0
            and _same_uri(credentials.uri, request.uri)
        )
        if not credentials.is_valid(request.method, password) or not fitting:
            return Verdict.REFUSED
        return Verdict.ACCEPTED if self._use_nonce(credentials, now, source) else Verdict.STALE

    def tag_for(self, text: str) -> str:
        """A To tag derived from this text: the same each time, and unforgeable (RFC 3261 §8.2.7)."""
        return self._mac(text.encode("utf-8", "surrogateescape")).hex()

    def _nonce(self, now: float, source: str) -> str:
        self._made = (self._made + 1) % (1 << 24)
        body = int(now).to_bytes(4, "big") + self._made.to_bytes(3, "big")
        return b64encode(body + self._mac(body + source.encode())).decode()

    def _use_nonce(self, credentials: Credentials, now: float, source: str) -> bool:
        """Whether the nonce is ours, fresh, and its count increased (RFC 7616 §5.5); marks it as used."""
        made = self._creation_time(credentials.nonce, source)
        if made is None or made <= self._forgotten_until or now - made > self._lifetime_s:
            return False
        if credentials.count <= self._used.get(credentials.nonce, 0):
            return False
        self._used.pop(credentials.nonce, None)
        self._used[credentials.nonce] = credentials.count
        if len(self._used) > self._max_nonces:
            self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        """Forget the expired nonces, and at least the older half."""
        made = sorted(map(_made, self._used))
        self._forgotten_until = max(made[len(made) // 2], int(now - self._lifetime_s) - 1)
        self._used = {
            nonce: count for nonce, count in self._used.items() if _made(nonce) > self._forgotten_until
        }

    def _creation_time(self, nonce: str, source: str) -> int | None:
        """Creation time of a nonce; None if it is not ours, or was issued to another source."""
        try:
            sealed = b64decode(nonce, validate=True)
        except ValueError:
            return None
        body = sealed[:-_MAC_BYTES]
        seal = self._mac(body + source.encode())
        if len(body) != 7 or not hmac.compare_digest(seal, sealed[-_MAC_BYTES:]):
            return None
        return _made(nonce)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, hashlib.sha256)[:_MAC_BYTES]


def _made(nonce: str) -> int:
    """Creation time of a nonce known to be ours."""
    return int.from_bytes(b64decode(nonce)[:4], "big")


def _same_uri(uri: str, target: str) -> bool:
    """Whether the URI in the credentials is equivalent to the Request-URI (RFC 7616 §3.4.1)."""
    if uri == target:
        return True
    try:
        return Uri.parse(uri).matches(Uri.parse(target))
    except ParseError:
        return False
