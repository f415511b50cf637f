"""Templates: the variables they may use, and the errors for invalid ones."""

from __future__ import annotations

import pytest

from screening.talk.template import BadTemplate, Template, built_in, greeting_languages

KNOWN = ("name", "destinations")


def render(text: str, **values: object) -> str:
    return Template(text, KNOWN).render(values)


def test_values_are_put_in_and_their_names_are_known() -> None:
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
def test_what_is_no_template_is_one_clear_line(text: str, says: str) -> None:
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
def test_what_a_template_may_not_do_is_a_fault_of_its_own(text: str) -> None:
    with pytest.raises(BadTemplate) as bad:
        render(text, destinations=[])
    assert str(bad.value)
    assert "\n" not in str(bad.value)


def test_a_value_is_never_read_as_a_template() -> None:
    assert render("{{ name }}", name="{{ 7 * 7 }}{% raw %}") == "{{ 7 * 7 }}{% raw %}"


def test_what_comes_with_us_is_there() -> None:
    assert set(greeting_languages()) == {"de", "en", "es", "fr", "it", "nl", "pt"}
    assert "make_screening_decision" in built_in("instructions.md")
