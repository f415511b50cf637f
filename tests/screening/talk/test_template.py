"""Templates: the variables they may use, and the errors for invalid ones."""

from __future__ import annotations

import pytest

from screening.talk.template import BadTemplate, Template, built_in, greeting_languages

KNOWN = ("name", "destinations")


def render(text: str, **values: object) -> str:
    return Template(text, KNOWN).render(values)


def test_a_template_knows_its_variables_and_renders_values() -> None:
    template = Template("{% if name %}I am {{ name }}.{% endif %}", KNOWN)
    assert template.variables == {"name"}
    assert template.render({"name": "Ada"}) == "I am Ada."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Hello\n{{ name", "line 2: unexpected end of template"),
        ("{% if name %}", "line 1: Unexpected end of template"),
        ("{{ nam }}", r"it asks for nam, which is not known \(did you mean name\?\)"),
        ("{{ zebra }}", r"it asks for zebra, which is not known \(there are destinations, name\)"),
        ("{{ lipsum() }}", "it asks for lipsum"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "recursion|nested"),
    ],
)
def test_an_invalid_template_is_a_one_line_error(text: str, says: str) -> None:
    with pytest.raises(BadTemplate, match=says) as bad:
        Template(text, KNOWN)
    assert "\n" not in str(bad.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ name.first }}",
        "{{ name.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ destinations.append(1) }}",
        "{{ name.format.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ 1 / 0 }}",
        "{% for i in range(10 ** 12) %}x{% endfor %}",
        "{% for i in range(99999) %}x{% endfor %}",
        "{{ name }}",  # no such variable
    ],
)
def test_forbidden_template_operations_are_a_one_line_error(text: str) -> None:
    with pytest.raises(BadTemplate) as bad:
        render(text, destinations=[])
    assert str(bad.value)
    assert "\n" not in str(bad.value)


def test_a_value_is_never_read_as_a_template() -> None:
    assert render("{{ name }}", name="{{ 7 * 7 }}{% raw %}") == "{{ 7 * 7 }}{% raw %}"


def test_the_built_in_greetings_and_instructions_exist() -> None:
    assert set(greeting_languages()) == {"de", "en", "es", "fr", "it", "nl", "pt"}
    assert "make_screening_decision" in built_in("instructions.md")
