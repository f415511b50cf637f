"""`screendoor try`: what would be done with a caller, without a call."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from screening.memory.database import Database
from screening.memory.lists import Entry, put

TEXT = """
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:5060" } ]
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
[screening]
contacts = ["c.csv"]
block_names = ["*loans*"]
time_zone = "America/New_York"
quiet = ["22:00-07:00"]
anonymous = "reject"
rate = "3/10m"
[[number]]
dialed = "+14155551234"
destinations = ["tel:+14155559876"]
"""
ANOTHER = '[[number]]\ndialed = "*"\ndestinations = ["tel:+14155559876"]\nscreen = "off"\n'


def tried(folder: Path, *arguments: str, text: str = TEXT) -> Result:
    (folder / "c.csv").write_text("Anna,+14155550100\n")
    (folder / "sd.toml").write_text(text)
    return CliRunner().invoke(main, ["try", *arguments, "--config", str(folder / "sd.toml")])


def test_try_prints_a_line_for_every_rule_checked_and_then_the_decision(tmp_path: Path) -> None:
    result = tried(tmp_path, "+14155550100", "--at", "2026-12-24T23:00")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "+14155550100 calls +14155551234, Thu 2026-12-24 23:00 America/New_York",
        "  emergency      - neither the number nor the call-back of an emergency service",
        "  block          - the number is not on the block list",
        "  vip            - not a VIP, or the number is in doubt",
        "  block pattern  - no pattern of the block list, or a known number",
        "  block name     - no name pattern of the block list, or a known number",
        "  failed         - verification did not fail, no action is set for it, or closed hours decide",
        "  expected       - not a call that is expected",
        "  rate           - not called too often, a known number, or no rate is set",
        "  anonymous      - the number is shown, no action is set, or closed hours decide",
        "  international  - not from abroad, a known number, no action is set, or closed hours decide",
        "  hours          quiet hours 22:00-07:00",
        "voicemail, by the rule hours: quiet hours 22:00-07:00: the caller may leave a message",
    ]


def test_try_mentions_the_key_press_challenge(tmp_path: Path) -> None:
    text = TEXT.replace("[screening]", '[screening]\ngate = "challenge"')
    last = tried(tmp_path, "+16505550100", "--at", "2026-12-24T12:00", text=text).stdout.splitlines()[-1]
    assert last.endswith(": the caller has to press a key, then the agent local talks to the caller first")
    known = tried(tmp_path, "+14155550100", "--at", "2026-12-24T12:00", text=text).stdout
    assert known.splitlines()[-1].endswith(": the phone rings at once")


@pytest.mark.parametrize(
    ("arguments", "decision"),
    [
        (["+14155550100", "--at", "2026-12-24T12:00"], "ring, by the rule contacts: "),
        (["(415) 555-0100", "--at", "2026-12-24T12:00"], "ring, by the rule contacts: "),
        (["+14155550100", "--at", "2026-12-24T23:00", "--again"], "ring, by the rule contacts: "),
        (["+14155550100", "--at", "2026-12-25T03:30+00:00"], "voicemail, by the rule hours: "),
        (
            ["+16505550100", "--at", "2026-12-24T12:00"],
            "ask, by the rule level: the caller is not known",
        ),
        (["+16505550100", "--name", "Fast Loans"], "reject, by the rule block name: "),
        (
            ["+14155550100", "--at", "2026-12-24T12:00", "--verification", "failed"],
            "ask, by the rule level: ",
        ),
        (["+14155550100", "--at", "2026-12-24T12:00", "--verification", "C"], "ring, by the rule contacts: "),
        (["+14155550100", "--at", "2026-12-24T12:00", "--calls", "9"], "ring, by the rule contacts: "),
        (
            ["+16505550100", "--at", "2026-12-24T12:00", "--calls", "3"],
            "voicemail, by the rule rate: more than 3 calls in 10 minutes",
        ),
        (["+16505550100", "--at", "2026-12-24T12:00", "--calls", "2"], "ask, by the rule level: "),
        (["+16505550100", "--callback"], "ring, by the rule emergency: marked as the call-back"),
        (["anonymous"], "reject, by the rule anonymous: the number is withheld: the call is refused"),
    ],
)
def test_try_applies_time_name_verification_and_repeated_calls(
    tmp_path: Path, arguments: list[str], decision: str
) -> None:
    result = tried(tmp_path, *arguments)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith(decision)


def test_try_finds_the_dialed_number_as_a_call_would(tmp_path: Path) -> None:
    several = TEXT + ANOTHER
    named = tried(tmp_path, "+16505550100", "--to", "+14155551234", "--at", "2026-12-24T12:00", text=several)
    assert named.stdout.splitlines()[-1].startswith("ask, by the rule level: ")
    other = tried(tmp_path, "+16505550100", "--to", "+12125550000", "--at", "2026-12-24T12:00", text=several)
    assert other.stdout.splitlines()[0].startswith("+16505550100 calls +12125550000, ")
    assert other.stdout.splitlines()[-1].startswith("ring, by the rule level: nobody is screened (off)")


@pytest.mark.parametrize(
    ("arguments", "text", "why"),
    [
        (["Anna"], TEXT, 'a number such as +14155550100, or "anonymous"'),
        (["+1", "--at", "tonight"], TEXT, "a time such as 2026-12-24T23:00"),
        (["+1", "--to", "+19"], TEXT, "+19 is none of the numbers of this file: +14155551234"),
        (["+1"], TEXT + ANOTHER, "there are several numbers: say which one is called, with --to"),
    ],
)
def test_invalid_arguments_of_try_are_explained(
    tmp_path: Path, arguments: list[str], text: str, why: str
) -> None:
    result = tried(tmp_path, *arguments, text=text)
    assert result.exit_code == 2
    assert why in result.stderr


def test_try_lists_invalid_settings(tmp_path: Path) -> None:
    result = tried(tmp_path, "+1", text=TEXT.replace("22:00", "22"))
    assert result.exit_code == 2
    assert "screening.quiet[0]: expected days, times or both" in result.stderr


def test_try_checks_the_lists_in_the_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kept.db"
    text = TEXT.replace("[screening]", f'[memory]\nurl = "{url}"\n[screening]')
    before = tried(tmp_path, "+14155550123", "--at", "2026-12-24T12:00", text=text)
    assert before.stdout.splitlines()[-1].startswith("ask, ")
    assert not (tmp_path / "kept.db").exists()
    with Database(url).connect() as connection, connection.begin():
        put(connection, Entry("block", "+1415555*"), datetime.now(UTC))
    assert "by the rule block pattern" in tried(tmp_path, "+14155550123", text=text).stdout
    (tmp_path / "kept.db").write_bytes(b"a letter")
    result = tried(tmp_path, "+14155550123", text=text)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "file is not a database" in result.stderr
