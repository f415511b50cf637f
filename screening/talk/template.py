"""Sandboxed Jinja2 templates for what the agent says and is told, checked at startup.

A template sees values only: no files, no attributes that begin with an underscore, nothing mutable. Text from
a caller is passed as a value too, never parsed as a template.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

BUILT_IN = Path(__file__).parent / "templates"
LONGEST = 32_000
"""Maximum characters of a rendered template: far more than any model should be told."""


class BadTemplate(ValueError):
    """The template cannot be used; the message says why, on one line."""


class Template:
    """One template, compiled once."""

    def __init__(self, text: str, known: Collection[str]) -> None:
        """`known` are the variables it may use. Raises BadTemplate for a syntax error or any
        other variable.
        """
        from jinja2 import TemplateError, TemplateSyntaxError, meta

        environment = _environment()
        try:
            tree = environment.parse(text)
            self.variables = frozenset(meta.find_undeclared_variables(tree))
            """The variables it uses."""
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise BadTemplate(f"line {error.lineno}: {_line(error.message)}") from error
        except (TemplateError, RecursionError, ValueError) as error:
            raise BadTemplate(_line(error)) from error
        if unknown := sorted(self.variables - set(known)):
            raise BadTemplate("; ".join(_unknown(name, known) for name in unknown))

    def render(self, values: Mapping[str, object]) -> str:
        """Render with these values; raises BadTemplate if that fails."""
        try:
            text = self._template.render(values)
        except Exception as error:  # an expression may raise anything
            raise BadTemplate(_line(error)) from error
        if len(text) > LONGEST:
            raise BadTemplate(f"it comes to {len(text)} characters; {LONGEST} are the most")
        return text


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    # Imported on demand: without an agent driven by API, it never is.
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals = {"range": made.globals["range"]}
    return made


@cache
def built_in(name: str) -> str:
    """Return the text of a built-in template."""
    return (BUILT_IN / name).read_text(encoding="utf-8")


def greeting_languages() -> Iterator[str]:
    """Return the languages with a built-in greeting."""
    return (path.name.split(".")[1] for path in sorted(BUILT_IN.glob("greeting.*.txt")))


def _unknown(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f" (did you mean {close[0]}?)" if close else f" (there are {', '.join(sorted(known))})"
    return f"it asks for {name}, which is not known{hint}"


def _line(error: Any) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
