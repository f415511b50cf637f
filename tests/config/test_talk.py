"""How the agent talks to callers: languages, texts and named destinations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.config import Settings
from tests.config.conftest import GOOD

ParseSettings = Callable[[str], Settings]
Faults = Callable[[str], list[str]]
PLACES = 'destinations = ["sip:+14155559876@trunk:signalwire"]'
NAMED = """destinations = [
    { name = "sales", to = "sip:+14155559876@trunk:signalwire", about = "new orders" },
    "sip:alice@192.0.2.60",
]"""


def number(text: str, places: str = NAMED) -> str:
    return GOOD.replace(PLACES, f"{places}\n{text}")


def common(text: str) -> str:
    return GOOD.replace("[[number]]", f"[screening]\n{text}\n[[number]]")


def test_talk_settings_have_their_defaults(parse_settings: ParseSettings) -> None:
    settings = parse_settings(GOOD)
    told = settings.screening_of(settings.numbers[0])
    assert (told.name, told.language, told.greeting, told.instructions) == (None, (), None, None)
    assert (told.tools, told.consent, told.ask_if_there_s, told.keys_) == (None, True, 8.0, None)


def test_talk_settings_of_a_number_override_the_common_ones(parse_settings: ParseSettings) -> None:
    text = common('name = "Acme"\nlanguage = "de"\nconsent = false\ntools = ["end_call"]')
    settings = parse_settings(
        f'{text}\nname = "Acme support"\nlanguage = ["en", "es", "en"]\nask_if_there_s = 0'
    )
    told = settings.screening_of(settings.numbers[0])
    assert (told.name, told.language, told.consent) == ("Acme support", ("en", "es"), False)
    assert (told.tools, told.ask_if_there_s) == (("end_call",), 0.0)
    assert settings.screening.name == "Acme"


def test_a_text_is_inline_or_in_a_file_for_one_language_or_all(parse_settings: ParseSettings) -> None:
    greeting = 'greeting = { de = "Hallo", en = "file:instructions.md" }'
    [given] = parse_settings(number(f'{greeting}\ninstructions = "Ask who it is."')).numbers
    assert given.greeting == {"de": "Hallo", "en": "Be brief.\n"}
    assert given.instructions == {"": "Ask who it is."}
    [given] = parse_settings(number('instructions = "file:instructions.md"')).numbers
    assert given.instructions == {"": "Be brief.\n"}


def test_a_destination_may_have_a_name_and_a_description(parse_settings: ParseSettings) -> None:
    settings = parse_settings(number('keys = { "0" = "connect", "5" = "sales", "*" = "voicemail" }'))
    named, plain = settings.numbers[0].destinations
    assert (named.name, named.about, named.target) == ("sales", "new orders", "tel:+14155559876")
    assert (plain.name, plain.about, plain.target) == (None, "", "sip:alice@192.0.2.60")
    assert settings.numbers[0].target == "tel:+14155559876"
    assert settings.numbers[0].keys_ == {"0": "connect", "5": "sales", "*": "voicemail"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("language = []", "number[0].language: expected a language such as en, or a list of at most 10"),
        ('language = "english!"', "number[0].language: expected a language, such as en or pt-BR"),
        ("greeting = 3", "number[0].greeting: expected text, or file:PATH, got 3"),
        ('greeting = { de = "file:none.md" }', "number[0].greeting: expected a file that exists"),
        ('greeting = { "all" = 1 }', "number[0].greeting: expected text, or file:PATH, got 1"),
        ('tools = ["dial"]', "number[0].tools[0]: expected one of"),
        ('keys = "0"', "number[0].keys: expected a table such as"),
        ('keys = { "00" = "connect" }', "number[0].keys: expected a key of the telephone: 0 to 9, * or #"),
        ('keys = { "0" = "support" }', "number[0].keys.0: expected one of connect, voicemail, sales, got"),
        ('keys = { "0" = "+19005550100" }', "number[0].keys.0: expected one of connect, voicemail, sales"),
        ("ask_if_there_s = -1", "number[0].ask_if_there_s: expected seconds between 0 and 600, got -1"),
        ('name = ""', "number[0].name: expected a text of one line"),
    ],
)
def test_an_invalid_talk_setting_gives_one_problem_line(faults: Faults, text: str, problem: str) -> None:
    found = faults(number(text))
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        ('[{ to = "tel:+14155559876" }]', "number[0].destinations[0]: expected a table such as"),
        ('[{ name = "sales" }]', "number[0].destinations[0]: expected sip:+NUMBER@trunk:NAME"),
        ('[{ name = "x", to = "tel:+14155559876", at = 1 }]', "number[0].destinations[0]: expected a table"),
        (
            f'[{{ name = "{"x" * 41}", to = "tel:+14155559876" }}]',
            "number[0].destinations[0]: expected a table",
        ),
        ('[{ name = "x", to = "tel:911" }]', "number[0].destinations[0]: expected no emergency number"),
        ('[{ name = "x", to = "sip:+1@trunk:no" }]', "number[0].destinations[0]: expected sip:+NUMBER@trunk"),
        ('[{ name = "x", to = { name = "y", to = "tel:+14155559876" } }]', "number[0].destinations[0]"),
        (
            '[{ name = "A", to = "tel:+14155559876" }, { name = "a", to = "tel:+14155559877" }]',
            "number[0].destinations[1]: expected a name that no other has",
        ),
        (
            '[{ name = "Connect", to = "tel:+14155559876" }]',
            "number[0].destinations[0]: expected a name that",
        ),
    ],
)
def test_an_invalid_named_destination_is_reported_with_its_key(
    faults: Faults, places: str, problem: str
) -> None:
    found = faults(number("", f"destinations = {places}"))
    assert [line for line in found if line.startswith(problem)]


def test_request_connect_requires_a_named_destination(faults: Faults) -> None:
    [problem] = faults(number('tools = ["request_connect"]', PLACES))
    assert problem.startswith(
        'number[0].destinations: expected a destination with a name, as { name = "sales"'
    )


def test_common_keys_cannot_name_a_destination(faults: Faults) -> None:
    [problem] = faults(common('keys = { "5" = "sales" }'))
    assert problem == 'screening.keys.5: expected one of connect, voicemail, got "sales"'


def test_a_named_destination_with_an_emergency_number_is_refused(faults: Faults) -> None:
    [problem] = faults(number("", 'destinations = [{ name = "x", to = "tel:+1911" }]'))
    assert problem.startswith("number[0].destinations[0]: expected no emergency number")
