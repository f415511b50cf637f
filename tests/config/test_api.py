"""The API tokens in the settings: syntax, validation and warnings."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Settings, SettingsError, parse, warnings

TEXT = """
public = { host = "127.0.0.1", address = "203.0.113.10" }
listen = [ { transport = "udp", bind = "127.0.0.1:5060" } ]
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
number = [ { dialed = "*", destinations = ["tel:+14155559876"] } ]
"""
ENVIRON = {"A": "a" * 32, "B": "b" * 32, "SHORT": "short", "SPACE": "a" * 16 + " b", "ODD": "ä" * 16}


def settings(more: str) -> Settings:
    return parse(TEXT + more, ENVIRON, file="sd.toml", folder=Path())


def faults(more: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings(more)
    return [str(problem).removeprefix("sd.toml: ") for problem in caught.value.problems]


def test_no_api_tokens_are_set_without_an_api_table() -> None:
    assert settings("").api.tokens == ()


def test_a_token_is_written_as_a_plain_secret_or_as_a_table() -> None:
    api = settings('[api]\ntokens = ["env:A", { name = "dash", token = "env:B", may = "read" }]').api
    told = [(one.name, one.token.get_secret_value(), one.may) for one in api.tokens]
    assert told == [(None, "a" * 32, "write"), ("dash", "b" * 32, "read")]
    assert "aaa" not in repr(api)


@pytest.mark.parametrize("name", ["SHORT", "SPACE", "ODD"])
def test_a_token_that_is_too_short_or_has_invalid_characters_is_refused(name: str) -> None:
    [fault] = faults(f'[api]\ntokens = ["env:{name}"]')
    assert fault.startswith("api.tokens[0].token: expected a token of 16 characters or more")
    assert ENVIRON[name] not in fault.partition("got")[2]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("", "api.tokens: expected at least one token, got none"),
        ("tokens = []", "api.tokens: expected at least one token, got none"),
        ('tokens = ["literal"]', "api.tokens[0].token: expected env:NAME or file:PATH"),
        ('tokens = ["env:GONE"]', "api.tokens[0].token: expected the environment variable GONE"),
        ('tokens = [{ name = "x", token = "env:A", my = 1 }]', "api.tokens[0].my: expected a known key"),
        ('tokens = [{ token = "env:A", may = "all" }]', "api.tokens[0].may: expected one of"),
        (
            'tokens = [{ name = "x", token = "env:A" }, { name = "x", token = "env:B" }]',
            "api.tokens: expected a name of its own for each token, got x twice",
        ),
        ('tokens = ["env:A"]\ntoken = "env:A"', "api.token: expected a known key"),
    ],
)
def test_an_invalid_api_table_gives_one_problem_line(table: str, fault: str) -> None:
    [found] = faults(f"[api]\n{table}")
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("bind", "warned"),
    [
        ("0.0.0.0:8080", True),
        ("[::]:8080", True),
        ("8.8.8.8:80", True),
        ("127.0.0.1:80", False),
        ("10.0.0.1:80", False),
    ],
)
def test_api_tokens_over_plain_http_on_a_public_address_give_a_warning(bind: str, warned: bool) -> None:
    told = settings(f'[http]\nbind = "{bind}"\n[api]\ntokens = ["env:A"]')
    assert any("for all to read" in line for line in warnings(told)) is warned
    silent = settings(f'[http]\nbind = "{bind}"')
    assert not any(line.startswith("api") for line in warnings(silent))


def test_a_duplicate_api_token_gives_a_warning() -> None:
    told = settings('[http]\nbind = "127.0.0.1:80"\n[api]\ntokens = ["env:A", "env:A"]')
    assert "api.tokens: the same token stands there twice; the first one counts" in list(warnings(told))
