"""``[api]``: the tokens that grant access to the HTTP API, which is served only if there are any."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, SecretStr, ValidationInfo, model_validator

from proxy.config.keys import Name, Table
from proxy.config.paths import UNREAD, SettingsContext
from proxy.config.problem import fault
from proxy.config.tables import Found, Raw

MIN_TOKEN_CHARS = 16
"""Minimum length of a token, in characters: shorter ones can be guessed."""


def _token(value: object, info: ValidationInfo) -> SecretStr:
    assert isinstance(info.context, SettingsContext), "settings are made by proxy.config.load"
    secret = info.context.secret(value)
    if secret is UNREAD:
        return secret
    text = secret.get_secret_value()
    if len(text) < MIN_TOKEN_CHARS or not text.isascii() or not text.isprintable() or " " in text:
        expected = f"a token of {MIN_TOKEN_CHARS} characters or more (openssl rand -hex 32 makes one)"
        raise fault(expected, "another text")
    return secret


class Token(Table):
    """A token and its holder; a plain string in its place is the token itself."""

    name: Name | None = None
    """The holder's name in the log and in records; None: derived from its place in the list."""
    token: Annotated[SecretStr, PlainValidator(_token)]
    may: Literal["read", "write"] = "write"

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, raw: Any) -> Any:
        return raw if isinstance(raw, dict) else {"token": raw}


class Api(Table):
    """The API; disabled without tokens."""

    tokens: tuple[Token, ...] = ()


def check(raw: Raw) -> Iterator[Found]:
    """The list of tokens is not empty, and no name occurs twice."""
    api = raw.get("api")
    if not isinstance(api, dict):
        return
    tokens = api.get("tokens")
    if not tokens:
        yield "api.tokens", fault("at least one token", "none")
    names = [one.get("name") for one in tokens if isinstance(one, dict)] if isinstance(tokens, list) else []
    for name in sorted({str(name) for name in names if name is not None and names.count(name) > 1}):
        yield "api.tokens", fault("a name of its own for each token", f"{name} twice")


def warnings(api: Api, bind: tuple[str, int], *, tls: bool) -> Iterator[str]:
    """Warnings about risky but valid values."""
    if not api.tokens:
        return
    here = ip_address(bind[0])
    if not tls and (here.is_unspecified or here.is_global):
        yield (
            f"api: its tokens and what callers said cross the network for all to read at http.bind "
            f"{bind[0]}:{bind[1]}: set http.certificate and http.key, or bind to 127.0.0.1 behind a TLS proxy"
        )
    if len({one.token.get_secret_value() for one in api.tokens}) < len(api.tokens):
        yield "api.tokens: the same token stands there twice; the first one counts"
