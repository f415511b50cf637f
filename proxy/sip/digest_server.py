"""Digest authentication as a server (RFC 3261 §22, RFC 7616, RFC 8760): it challenges, and judges answers."""

from __future__ import annotations

import enum
import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass

from proxy.sip.digest import digest_params, hash_of
from proxy.sip.errors import ParseError
from proxy.sip.grammar import shown, unquote
from proxy.sip.message import Request
from proxy.sip.uri import Uri

ALGORITHMS = ("SHA-256", "MD5")
"""What is offered, the preferred first (RFC 8760 §2.3)."""

_SEAL_BYTES = 8


class Verdict(enum.Enum):
    """What a request's credentials are worth."""

    ACCEPTED = enum.auto()
    """They are right, and used for the first time."""
    MISSING = enum.auto()
    """There are none for our realm."""
    STALE = enum.auto()
    """They are right, but their nonce is too old, used up, or not ours."""
    REFUSED = enum.auto()
    """They are wrong."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an Authorization header says (RFC 7616 §3.4). Texts are as between the quotes, escapes kept."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    """In lower case; ``md5`` where it is not told."""
    qop: str
    """In lower case; empty from an RFC 2069 client."""
    nc: str
    cnonce: str

    @classmethod
    def parse(cls, value: str) -> Credentials:
        """One Authorization or Proxy-Authorization value; raises ParseError."""
        params = digest_params(value)
        needed = [params.get(name) for name in ("username", "realm", "nonce", "uri", "response")]
        present = [text for text in needed if text is not None]
        if len(present) < len(needed):
            raise ParseError(f"incomplete digest credentials: {shown(value)}")
        username, realm, nonce, uri, response = present
        algorithm = params.get("algorithm", "MD5").lower()
        qop, nc, cnonce = (params.get(name, "") for name in ("qop", "nc", "cnonce"))
        return cls(username, realm, nonce, uri, response, algorithm, qop.lower(), nc, cnonce)

    def prove(self, method: str, password: str) -> bool:
        """Whether they were made with this password; takes as long for a wrong one as for the right one."""
        digest = hash_of(self.algorithm)
        secret = digest(f"{self.username}:{self.realm}:{password}".encode("utf-8", "surrogateescape"))
        act = digest(f"{method}:{self.uri}".encode("utf-8", "surrogateescape"))
        middle = f"{self.nc}:{self.cnonce}:{self.qop}"
        proof = digest(f"{secret}:{self.nonce}:{middle}:{act}".encode("utf-8", "surrogateescape"))
        return hmac.compare_digest(proof.encode(), self.response.lower().encode("utf-8", "replace"))

    @property
    def count(self) -> int:
        """The nonce count; 0 where it cannot be read."""
        try:
            return int(self.nc, 16)
        except ValueError:
            return 0


class DigestServer:
    """Guards one realm. Its nonces carry their time and a seal, so none is remembered until it has served."""

    __slots__ = ("_forgotten", "_lifetime_s", "_made", "_most", "_secret", "_used", "realm")

    def __init__(
        self, realm: str, secret: bytes, *, lifetime_s: float = 300.0, max_nonces: int = 10_000
    ) -> None:
        """`secret` is random and of this process alone; `max_nonces` that have served are remembered."""
        self.realm, self._secret = realm, secret
        self._lifetime_s, self._most = lifetime_s, max_nonces
        self._made = 0
        self._used: dict[str, int] = {}
        """The highest count by which each nonce has served."""
        self._forgotten = -1
        """Nonces made until then are no longer known to be unused (seconds)."""

    def challenge(self, now: float, algorithm: str, *, stale: bool = False, whence: str = "") -> str:
        """One WWW-Authenticate value, as short as it may be; send one for each of ALGORITHMS, in order.

        `whence`: who alone may answer it, where a sender can be forged; empty for anybody.
        """
        again = ", stale=true" if stale else ""
        nonce = self._nonce(now, whence)
        return f'Digest realm="{self.realm}", qop="auth", nonce="{nonce}"{again}, algorithm={algorithm}'

    def claimed(self, request: Request) -> Credentials | None:
        """The credentials for our realm that a request brings; None if there are none that can be read."""
        for line in request.headers.get_all("Authorization"):
            try:
                credentials = Credentials.parse(line)
            except ParseError:
                continue
            if unquote(f'"{credentials.realm}"') == self.realm:
                return credentials
        return None

    def judge(
        self, request: Request, username: str, password: str, now: float, *, whence: str = ""
    ) -> Verdict:
        """What the request's credentials are worth if they ought to be this user's, and from `whence`."""
        credentials = self.claimed(request)
        if credentials is None:
            return Verdict.MISSING
        fitting = (
            credentials.username == username
            and credentials.qop == "auth"
            and credentials.algorithm.upper() in ALGORITHMS
            and len(credentials.nc) == 8
            and credentials.count > 0
            and _same(credentials.uri, request.uri)
        )
        if not credentials.prove(request.method, password) or not fitting:
            return Verdict.REFUSED
        return Verdict.ACCEPTED if self._serves(credentials, now, whence) else Verdict.STALE

    def mark(self, text: str) -> str:
        """A tag made of this text: always the same for it, and nobody else can make it (RFC 3261 §8.2.7)."""
        return self._seal(text.encode("utf-8", "surrogateescape")).hex()

    def _nonce(self, now: float, whence: str) -> str:
        self._made = (self._made + 1) % (1 << 24)
        body = int(now).to_bytes(4, "big") + self._made.to_bytes(3, "big")
        return b64encode(body + self._seal(body + whence.encode())).decode()

    def _serves(self, credentials: Credentials, now: float, whence: str) -> bool:
        """Whether the nonce is ours, fresh, and counted up (RFC 7616 §5.5); it has then served."""
        made = self._time(credentials.nonce, whence)
        if made is None or made <= self._forgotten or now - made > self._lifetime_s:
            return False
        if credentials.count <= self._used.get(credentials.nonce, 0):
            return False
        self._used.pop(credentials.nonce, None)
        self._used[credentials.nonce] = credentials.count
        if len(self._used) > self._most:
            self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        """Drop the nonces that are too old, and if that is not enough, all made before the younger half."""
        made = sorted(map(_made, self._used))
        self._forgotten = max(made[len(made) // 2], int(now - self._lifetime_s) - 1)
        self._used = {nonce: count for nonce, count in self._used.items() if _made(nonce) > self._forgotten}

    def _time(self, nonce: str, whence: str) -> int | None:
        """When a nonce of ours was made; None if it is not ours, or was somebody else's to answer."""
        try:
            sealed = b64decode(nonce, validate=True)
        except ValueError:
            return None
        body = sealed[:-_SEAL_BYTES]
        seal = self._seal(body + whence.encode())
        if len(body) != 7 or not hmac.compare_digest(seal, sealed[-_SEAL_BYTES:]):
            return None
        return _made(nonce)

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, hashlib.sha256)[:_SEAL_BYTES]


def _made(nonce: str) -> int:
    """When a nonce was made that is known to be ours."""
    return int.from_bytes(b64decode(nonce)[:4], "big")


def _same(uri: str, target: str) -> bool:
    """Whether the URI that was signed is the one asked for (RFC 7616 §3.4.1)."""
    if uri == target:
        return True
    try:
        return Uri.parse(uri).matches(Uri.parse(target))
    except ParseError:
        return False
