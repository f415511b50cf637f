"""From the settings to how agents are briefed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.config import Settings, parse
from proxy.services import briefing_setup
from proxy.transport.devcert import write_certificates

Make = Callable[..., Settings]

ENVIRON = {"KEY": "sk-x", "SECRET": "whsec_c2VjcmV0"}
SETTINGS = """
public = { host = "sbc.example.com", address = "203.0.113.10" }
listen = [
    { transport = "tls", bind = "0.0.0.0:5061", certificate = "fullchain.pem", key = "file:privkey.pem" },
]
trunk = [ { name = "lab", from = ["192.0.2.1"], outbound = "sip:192.0.2.1:9" } ]
agent = [ { name = "openai", project = "proj_X", api_key = "env:KEY", webhook_secret = "env:SECRET" } ]
[screening]
%s
[[number]]
dialed = "+14155551234"
%s
%s
"""
PLACE = 'destinations = ["tel:+14155559876"]'
NAMED = 'destinations = [{ name = "sales", to = "tel:+14155559876", about = "orders" }, "tel:+14155559877"]'


@pytest.fixture(autouse=True, scope="module")
def settings_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates that the settings name."""
    folder = tmp_path_factory.mktemp("settings")
    write_certificates(folder, ["sbc.example.com"])
    return folder


@pytest.fixture
def make_settings(settings_folder: Path) -> Make:
    """A factory of settings, with keys of the number and of all numbers."""

    def parse_settings(of_number: str = "", common: str = "", places: str = PLACE, top: str = "") -> Settings:
        text = f"{top}\n{SETTINGS % (common, places, of_number)}"
        return parse(text, ENVIRON, file="x", folder=settings_folder)

    return parse_settings


def test_the_briefing_discloses_transcripts_and_recordings_unless_consent_is_off(make_settings: Make) -> None:
    def disclosed(settings: Settings) -> tuple[bool, bool]:
        found = briefing_setup.talk(settings, settings.numbers[0])
        assert found is not None
        return found.transcribed, found.recorded

    assert disclosed(make_settings()) == (True, False)
    assert disclosed(make_settings(top='records = ""')) == (True, False)  # stored in the memory
    assert disclosed(make_settings(top='records = ""\nmemory = { transcripts = "off" }')) == (False, False)
    assert disclosed(make_settings(top='records = ""\nmemory = { url = "off" }')) == (False, False)
    assert disclosed(make_settings("consent = false")) == (False, False)
    assert disclosed(make_settings("consent = false", 'record = "on"\nannouncement = ""')) == (False, False)
    assert disclosed(make_settings(common='record = "on"')) == (
        True,
        False,
    )  # announced before the agent speaks
    assert disclosed(make_settings(common='record = "on"\nannouncement = ""')) == (True, True)
    assert disclosed(make_settings(common='record = "on"\nannouncement = ""\nrecord_announced = false')) == (
        True,
        False,
    )


def test_the_briefing_has_names_and_descriptions_of_destinations_but_not_their_uris(
    make_settings: Make,
) -> None:
    settings = make_settings('name = "Acme"\nlanguage = ["de", "en"]', places=NAMED)
    found = briefing_setup.talk(settings, settings.numbers[0])
    assert found is not None
    assert [(place.name, place.about) for place in found.places] == [("sales", "orders")]
    assert (found.name, found.languages) == ("Acme", ("de", "en"))
    assert found.optional_tools == {"request_connect", "end_call"}
    assert briefing_setup.targets(settings.numbers[0]) == {"sales": "tel:+14155559876"}


def test_a_backup_agent_is_briefed_by_its_own_instructions(
    make_settings: Make, settings_folder: Path
) -> None:
    azure = (
        '{ name = "azure", provider = "azure-realtime", resource = "r", region = "eastus2", '
        'project = "proj_Y", model = "m", api_key = "env:KEY", webhook_secret = "env:SECRET", '
        'backup = "settings_folder", instructions = "You are an AI. Ask who it is." }'
    )
    own = '{ name = "settings_folder", provider = "sip", sip = "sip:bot@192.0.2.50" }'
    two = SETTINGS.replace('name = "openai",', 'name = "openai", backup = "azure",').replace(
        'webhook_secret = "env:SECRET" } ]',
        f'webhook_secret = "env:SECRET" }}, {azure}, {own} ]',
    )
    settings = parse(two % ("", PLACE, ""), ENVIRON, file="x", folder=settings_folder)
    [number] = settings.numbers
    first, backups = briefing_setup.talk(settings, number), briefing_setup.backup_talks(settings, number)
    assert first is not None
    assert first.instructions == {}
    assert {name: talk.instructions for name, talk in backups.items()} == {
        "azure": {"": "You are an AI. Ask who it is."}
    }
    lines = list(briefing_setup.shown(settings, number))
    assert [line for line in lines if line.startswith("#")] == [
        "# +14155551234, openai, en",
        "# +14155551234, azure, en",
    ]
    bad = parse(
        two.replace("who it is", "{{ whom }}") % ("", PLACE, ""), ENVIRON, file="x", folder=settings_folder
    )
    [problem] = briefing_setup.problems(bad, "x")
    assert str(problem).startswith("x: agent[1].instructions: expected a template that can be used")


def test_the_opening_hours_are_described_in_words(make_settings: Make) -> None:
    hours = 'time_zone = "Europe/Berlin"\nhours = ["Mon-Fri 09:00-17:00"]\nquiet = ["22:00-07:00"]'
    settings = make_settings(common=f'{hours}\nholidays = ["12-25"]')
    assert briefing_setup.hours(settings.screening) == (
        "Mon-Fri 09:00-17:00; not 22:00-07:00; closed on 12-25 (time of Europe/Berlin)"
    )
    assert briefing_setup.hours(make_settings().screening) == ""


def test_an_invalid_template_is_reported_with_its_key(make_settings: Make) -> None:
    lines = [
        str(each)
        for each in briefing_setup.problems(
            make_settings('greeting = "{{ nme }}"', 'instructions = "{% if"'), "x"
        )
    ]
    assert lines == [
        "x: number[0].greeting: expected a template that can be used, got it asks for nme, which is not "
        "known (did you mean name?)",
        lines[1],
        *lines[2:],
    ]
    assert lines[1].startswith("x: screening.instructions: expected a template that can be used, got line 1:")


def test_custom_texts_that_do_not_disclose_the_ai_give_a_warning(make_settings: Make) -> None:
    settings = make_settings('greeting = "Hello, this is Ada."\ninstructions = "Ask who it is."')
    assert list(briefing_setup.remarks(settings)) == [
        "number[0].greeting: it does not say (en) that an automated assistant speaks",
        "number[0].instructions: it does not say (en) that an automated assistant speaks",
    ]
    said = make_settings('greeting = "This is a robot."\ninstructions = "You are an AI."')
    assert list(briefing_setup.remarks(said)) == []
    [silent] = briefing_setup.remarks(make_settings('greeting = ""', 'instructions = "Ask who it is."'))
    assert silent.startswith("screening.instructions: it does not say (en)")
    assert list(briefing_setup.remarks(make_settings())) == []


def test_the_prompt_command_shows_the_rendered_prompt(settings_folder: Path) -> None:
    file = settings_folder / "screendoor.toml"
    file.write_text(SETTINGS % ("", NAMED, 'name = "Acme"\nkeys = { "0" = "connect" }'))
    run = CliRunner().invoke(main, ["prompt", "--config", str(file), "--to", "+14155551234"], env=ENVIRON)
    assert run.exit_code == 0, run.output
    assert "# +14155551234, en" in run.output
    assert "tools: make_screening_decision, request_connect, end_call" in run.output
    assert "keys: 0 = connect" in run.output
    assert "greeting (cannot be interrupted): Hello, this is the automated assistant of Acme." in run.output
    assert "- sales: orders" in run.output
    unknown = CliRunner().invoke(main, ["prompt", "--config", str(file), "--to", "+1"], env=ENVIRON)
    assert unknown.exit_code == 2


def test_the_example_instructions_are_a_valid_template(make_settings: Make) -> None:
    text = (Path(__file__).parents[2] / "config/instructions.md").read_text(encoding="utf-8")
    settings = make_settings(f"instructions = '''{text}'''")
    assert list(briefing_setup.problems(settings, "x")) == []
    assert list(briefing_setup.remarks(settings)) == []
