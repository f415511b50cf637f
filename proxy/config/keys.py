"""Types of the keys in the settings, and the base class of all tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator, SecretStr, ValidationInfo

from proxy.config import values
from proxy.config.paths import SettingsContext
from proxy.config.problem import fault
from proxy.media.clip import Clip
from proxy.sip.uri import Uri


def _file(value: object, info: ValidationInfo) -> Path:
    return context_of(info).file(value)


def _wav(value: object, info: ValidationInfo) -> Clip:
    return context_of(info).wav(value)


def _text(value: object, info: ValidationInfo) -> str:
    return context_of(info).text(value)


def _secret(value: object, info: ValidationInfo) -> SecretStr:
    return context_of(info).secret(value)


def _key(name: str, not_it: str, what: str) -> Callable[[object, ValidationInfo], SecretStr]:
    """Return a validator for a vendor's secret; one that begins with `not_it` is of another kind."""

    def check(value: object, info: ValidationInfo) -> SecretStr:
        secret = _secret(value, info)
        text = secret.get_secret_value()
        if not re.fullmatch(r"[!#-&(-~]+", text):  # in a header, httpx fails on it or reveals it in the error
            raise fault(f"a {name} of ASCII alone, without quotes, spaces or a second line", "something else")
        if text.startswith(not_it):
            raise fault(f"the {name}, which does not begin with {not_it}", what)
        return secret

    return check


def context_of(info: ValidationInfo) -> SettingsContext:
    """The file locations and secrets of the settings that are being validated."""
    assert isinstance(info.context, SettingsContext), "settings are made by proxy.config.load"
    return info.context


Name = Annotated[str, PlainValidator(values.name)]
Line = Annotated[str, PlainValidator(values.line)]
Bind = Annotated[tuple[str, int], PlainValidator(values.bind)]
SipUri = Annotated[Uri, PlainValidator(values.sip_uri)]
Dialable = Annotated[str, PlainValidator(values.dialable)]
File = Annotated[Path, PlainValidator(_file)]
Wav = Annotated[Clip, PlainValidator(_wav)]
Text = Annotated[str, PlainValidator(_text)]
Secret = Annotated[SecretStr, PlainValidator(_secret)]
ApiKey = Annotated[SecretStr, PlainValidator(_key("key", "whsec_", "a webhook secret"))]
WebhookSecret = Annotated[SecretStr, PlainValidator(_key("secret", "sk-", "an API key"))]
Limit = Annotated[float, PlainValidator(values.seconds(1, 3600))]
Calls = Annotated[int, PlainValidator(values.count(1, 100_000))]
Rate = Annotated[float, PlainValidator(values.rate(0.01, 100_000))]
Probe = Annotated[float, PlainValidator(values.probe)]

OnOff = Literal["off", "on"]
Spoken = Annotated[str, PlainValidator(values.spoken)]
OnFailure = Literal["ring", "challenge", "voicemail", "reject"]
EarlyMedia = Literal["ringback", "tone", "pass"]
Tones = Annotated[str, PlainValidator(values.tones)]
Identity = Literal["trunk_did", "original_with_diversion", "pai_original", "ppi_account", "internal"]


class Table(BaseModel):
    """Base of all tables of the settings file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
