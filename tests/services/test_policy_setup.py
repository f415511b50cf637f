"""From the settings to the policy of each number, and the problems found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.config import Settings, parse
from proxy.services import policy_setup
from screening.contract import Caller
from screening.decision import Action, Level
from tests.screening.pki import ANN, CALL, StiPki, shaken, token
from tests.services import two_numbers
from tests.services.two_numbers import AT, GERMAN, TEXT, US


def parse_settings(folder: Path, common: str = "", own: str = "") -> Settings:
    """`common` are keys of ``[screening]``."""
    return two_numbers.parse_settings(folder, f"[screening]\n{common}", own)


def rule(settings: Settings, number: str | None, dialed: str = US, name: str | None = None) -> str:
    decision = policy_setup.policies(settings)[dialed].decide(Caller("c", number, name, dialed, "local", AT))
    return f"{decision.action.value} by {decision.rule}"


async def test_identity_headers_are_verified_only_if_roots_are_configured(tmp_path: Path) -> None:
    pki = StiPki()
    (tmp_path / "root.pem").write_bytes(pki.root.pem)
    text = TEXT % ("", "") + '[stir]\nroots = ["root.pem"]\n'
    settings = parse(text, {}, file="t.toml", folder=tmp_path)
    identities = (token(pki.carrier, shaken(iat=int(AT.timestamp())), x5u="https://127.0.0.1/a"),)
    signed = replace(CALL, identities=identities)
    caller = Caller("c", f"+{ANN}", None, US, "", AT, signed=signed)
    async with policy_setup.screener(settings, lambda: AT) as screener:
        found = (await screener.plan(caller)).verification
    assert found is not None
    assert found.why == "the certificate's address is not one that is fetched"
    async with policy_setup.screener(parse_settings(tmp_path), lambda: AT) as screener:
        assert (await screener.plan(caller)).verification is None


def problems(settings: Settings) -> list[str]:
    return [str(each) for each in policy_setup.check(settings, "t.toml")]


def test_contacts_without_a_country_code_are_read_by_the_country_of_each_number(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("Anna,+16505550100\nBob,(415) 555-0101\nCarl,030 12345670\nX,9\n")
    settings = parse_settings(tmp_path, 'contacts = ["c.csv"]')
    assert rule(settings, "+14155550101") == "ring by contacts"
    assert rule(settings, "+493012345670", GERMAN) == "ring by contacts"
    assert rule(settings, "+14155550101", GERMAN) == "ask by level"
    assert rule(settings, "+16505550100", GERMAN) == "ring by contacts"
    assert problems(settings) == []
    file = tmp_path / "c.csv"
    assert next(policy_setup.summary(settings)) == f"{file}: 2 read, 0 without a number, 2 remarks"
    assert list(policy_setup.remarks(settings))[:2] == [
        f"{file}: line 3: not a possible telephone number (US)",
        f"{file}: line 4: not a possible telephone number (US)",
    ]


def test_the_country_of_a_number_sets_how_national_numbers_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("Carl,030 12345670\n")
    own = parse_settings(tmp_path, 'contacts = ["c.csv"]\ncountry = "us"', 'country = "de"')
    assert rule(own, "030 12345670") == "ring by contacts"
    assert (
        rule(parse_settings(tmp_path, 'contacts = ["c.csv"]', 'country = "de"'), "03012345670")
        == "ring by contacts"
    )


def test_the_country_of_an_unassigned_code_is_that_of_the_destination(tmp_path: Path) -> None:
    text = TEXT.replace(GERMAN, "+9991234567") % ("", "")
    settings = parse(text, {}, file="t.toml", folder=tmp_path)
    assert [policy_setup.country(settings, number) for number in settings.numbers] == ["US", "DE"]
    assert problems(settings) == []


def test_only_the_first_10_bad_rows_are_shown(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("Anna,+16505550100\n" + "X,9\n" * 20)
    told = list(policy_setup.remarks(parse_settings(tmp_path, 'contacts = ["c.csv"]\ncountry = "us"')))
    assert len(told) == 11
    assert told[-1].endswith("c.csv: and 10 more such lines")


def test_a_number_uses_its_own_lists_and_the_common_ones(tmp_path: Path) -> None:
    own = 'block = ["+1650*"]\nblock_names = ["*loans*"]\nallow = ["+14155550100"]\nscreen = "trusted"'
    settings = parse_settings(
        tmp_path, 'block = ["+1900*"]\nvip = ["+14155550300"]\nemergency = ["+14155550911"]', own
    )
    assert rule(settings, "+19005550100") == rule(settings, "+16505550100") == "reject by block pattern"
    assert rule(settings, "+16505550100", GERMAN) == "ask by level"
    assert rule(settings, "+14155550999", name="Cheap Loans") == "reject by block name"
    assert rule(settings, "+14155550999", GERMAN, "Cheap Loans") == "ask by level"
    assert rule(settings, "+14155550100") == "ring by allow"
    assert rule(settings, "+14155550999") == "voicemail by level"
    assert rule(settings, "+14155550300", GERMAN) == "ring by vip"
    assert (
        rule(settings, "+14155550911")
        == rule(settings, "911")
        == rule(settings, "112")
        == "ring by emergency"
    )
    policies = policy_setup.policies(settings)
    assert policies[US].block[0] is not policies[GERMAN].block[0], "read for countries of their own"
    assert (policies[US].level, policies[GERMAN].level) == (Level.TRUSTED, Level.UNKNOWN)


def test_home_countries_are_that_of_the_number_and_those_configured(tmp_path: Path) -> None:
    settings = parse_settings(tmp_path, 'international = "voicemail"\nhome = ["ca"]')
    assert rule(settings, "+16045550100") == rule(settings, "+16505550100") == "ask by level"
    assert rule(settings, "+493012345670") == "voicemail by international"
    assert rule(settings, "+493012345670", GERMAN) == "ask by level"


def test_hours_apply_in_the_time_zone_of_the_number(tmp_path: Path) -> None:
    common = 'time_zone = "Europe/Berlin"\nquiet = ["22:00-07:00"]\nanonymous = "reject"'
    settings = parse_settings(tmp_path, common, 'time_zone = "America/Los_Angeles"\nout_of_hours = "reject"')
    assert rule(settings, "+16505550100") == "ask by level"
    assert rule(settings, "+16505550100", GERMAN) == "voicemail by hours"
    assert rule(settings, None) == rule(settings, None, GERMAN) == "reject by anonymous"
    policy = policy_setup.policies(settings)[US]
    assert (policy.out_of_hours, policy.anonymous, policy.repeat_s) == (Action.REJECT, Action.REJECT, 300.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'block = ["+1900*", "0900*"]',
            "screening.block[1]: expected a pattern of digits, * and ?",
        ),
        ('vip = ["mother"]', "screening.vip[0]: expected a number (+14155550100), a prefix (+1900*)"),
        ('allow = ["+19..+12"]', "screening.allow[0]: expected a range from a lower number"),
        ('emergency = ["x"]', "screening.emergency[0]: expected a number"),
        ('time_zone = "UTC"\nhours = ["9-5"]', "screening.hours[0]: expected days, times or both"),
        ('time_zone = "UTC"\nquiet = ["x"]', "screening.quiet[0]: expected days, times or both"),
        ('time_zone = "UTC"\nholidays = ["25.12."]', "screening.holidays[0]: expected a day or two"),
        (
            'contacts = ["empty.csv"]',
            "screening.contacts[0]: expected a CSV or vCard file",
        ),
        (
            'contacts = ["sheet.xlsx"]',
            "screening.contacts[0]: expected a CSV or vCard file",
        ),
        ('contacts = ["gone.csv"]', "screening.contacts[0]: expected a file that can be read, got No such"),
    ],
)
def test_values_checked_by_the_screening_give_one_problem_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "sheet.xlsx").write_bytes(b"PK\x03\x04\0\0")
    (tmp_path / "gone.csv").write_text("Anna,+14155550100")
    settings = parse_settings(tmp_path, text)
    (tmp_path / "gone.csv").unlink()
    [found] = problems(settings)
    assert found.startswith(f"t.toml: {problem}")


def test_a_problem_in_the_lists_of_a_number_names_its_key(tmp_path: Path) -> None:
    [found] = problems(parse_settings(tmp_path, own='block = ["x"]'))
    assert found.startswith("t.toml: number[0].block[0]: ")


def test_a_changed_contact_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text("Anna,+16505550100\n")
    assert policy_setup.contacts_of(file, "US").rows == 1
    file.write_text("Anna,+16505550100\nBob,+16505550101\n")
    assert policy_setup.contacts_of(file, "US").rows == 2
