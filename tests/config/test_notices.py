"""Notification receivers in the settings: [[notify]]."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.config import Settings, warnings
from tests.config.conftest import GOOD

ParseSettings = Callable[[str], Settings]
Faults = Callable[[str], list[str]]

HOOK = 'webhook = "https://crm.example.com/hook"\nsecret = "env:OPENAI_API_KEY"'


def notify(*tables: str) -> str:
    return GOOD + "".join(f"\n[[notify]]\n{table}\n" for table in tables)


def test_a_webhook_and_an_apprise_receiver_are_read(parse_settings: ParseSettings) -> None:
    settings = parse_settings(
        notify(
            f'name = "crm"\n{HOOK}\nnumbers = ["+14155551234"]\ntranscript = true\nlink = "https://x.example/{{call}}"',
            'name = "me"\napprise = "file:webhook.secret"\nevents = ["call.missed", "budget.warning"]',
        )
    )
    crm, me = settings.notified
    assert crm.webhook is not None
    assert crm.webhook.get_secret_value() == "https://crm.example.com/hook"
    assert [each.get_secret_value() for each in crm.secret] == ["sk-very-secret"]
    assert (crm.numbers, crm.transcript, crm.link) == (("+14155551234",), True, "https://x.example/{call}")
    assert (crm.events, me.events) == ((), ("call.missed", "budget.warning"))
    assert me.apprise is not None
    assert me.apprise.get_secret_value() == "whsec_hush"


def test_a_webhook_may_have_two_secrets_and_secrets_and_url_are_not_printed(
    parse_settings: ParseSettings,
) -> None:
    secrets = 'secret = ["env:OPENAI_API_KEY", "file:webhook.secret"]'
    [one] = parse_settings(notify(f'name = "crm"\nwebhook = "https://x.example"\n{secrets}')).notified
    assert [each.get_secret_value() for each in one.secret] == ["sk-very-secret", "whsec_hush"]
    assert "sk-very" not in repr(one)
    assert "x.example" not in repr(one)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('name = "a"', "notify[0]: expected one of webhook and apprise, got neither"),
        (
            f'name = "a"\n{HOOK}\napprise = "env:OPENAI_API_KEY"',
            "notify[0]: expected one of webhook and apprise, got webhook and apprise",
        ),
        (
            'name = "a"\nwebhook = "https://x.example"',
            "notify[0].secret: expected a secret with a webhook, and only there, got nothing",
        ),
        (
            'name = "a"\napprise = "env:OPENAI_API_KEY"\nsecret = "env:OPENAI_API_KEY"',
            "notify[0].secret: expected a secret with a webhook, and only there, got one without a webhook",
        ),
        (HOOK, "notify[0].name: expected a value (this key is required), got nothing"),
        (
            'name = "a"\napprise = "ntfy://topic"',
            "notify[0].apprise: expected env:NAME or file:PATH (secrets never stand in the settings),"
            " got a literal value",
        ),
        (
            f'name = "a"\n{HOOK}\nevents = ["call.lost"]',
            'notify[0].events[0]: expected one of "call.screened", "call.missed", "voicemail.new",'
            ' "budget.warning" or "model.warning", got "call.lost"',
        ),
        (
            f'name = "a"\n{HOOK}\nnumbers = ["+14155550000"]',
            'notify[0].numbers[0]: expected the dialed of a [[number]], got "+14155550000"',
        ),
        (
            f'name = "a"\n{HOOK}\nlink = "calls/1"',
            "notify[0].link: expected an http:// or https:// URL, {call} in it for the name of the call,"
            ' got "calls/1"',
        ),
        (
            f'name = "a"\n{HOOK}\nwebhok = "x"',
            'notify[0].webhok: expected a known key (did you mean "webhook"?), got an unknown key',
        ),
    ],
)
def test_an_invalid_receiver_is_reported_with_its_key(faults: Faults, table: str, fault: str) -> None:
    assert fault in faults(notify(table))


def test_two_receivers_with_the_same_name_are_refused(faults: Faults) -> None:
    assert faults(notify(f'name = "a"\n{HOOK}', f'name = "a"\n{HOOK}')) == [
        'notify[1].name: expected a name of its own, got "a"'
    ]


@pytest.mark.parametrize(
    "url",
    [
        "", "crm", "ftp://x.example/", "https://", "https://user:pass@x.example/", "https://x.example/#top",
        "https://x .example/", "https://münchen.example/", "https://x.example:port/", "https://[::1/",
        "http://crm.example.com/", "http://8.8.8.8/", "http://[2001:4860:4860::8888]/", "http://10.example.com/",
    ],
)  # fmt: skip
def test_an_invalid_webhook_url_or_http_to_a_public_host_is_refused(faults: Faults, url: str) -> None:
    [fault] = faults(notify(f'name = "a"\nwebhook = "{url}"\nsecret = "env:OPENAI_API_KEY"'))
    assert fault.startswith("notify[0].webhook: expected an https:// URL")
    assert fault.endswith(", got something else") or fault.endswith(", got http:// to somewhere else")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080",
        "[::1]:99",
        "localhost",
        "192.168.1.7",
        "[fd00::1]",
        "n8n:5678",
        "ha.local",
        "x.home.arpa",
    ],
)
def test_http_to_a_local_host_is_accepted_with_a_warning(parse_settings: ParseSettings, host: str) -> None:
    settings = parse_settings(
        notify(f'name = "a"\nwebhook = "http://{host}/x"\nsecret = "env:OPENAI_API_KEY"')
    )
    assert "notify a: http:// sends who called in the clear: use https://" in warned(settings)


def test_several_receivers_without_a_database_give_one_warning(parse_settings: ParseSettings) -> None:
    tables = [f'name = "{name}"\n{HOOK}' for name in "ab"]
    text = notify(*tables)
    assert not any("notices" in line for line in warned(parse_settings(text)))
    found = [line for line in warned(parse_settings(text + '\n[memory]\nurl = "off"\n')) if "notices" in line]
    assert found == ['notices that wait are lost when the process ends, for [memory] url is "off"']
    assert not any("notices" in line for line in warned(parse_settings(GOOD + '\n[memory]\nurl = "off"\n')))


def warned(settings: Settings) -> list[str]:
    return list(warnings(settings))
