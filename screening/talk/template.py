"""Templates of what the agent says and is told: Jinja2, in a sandbox, checked before any call comes.

A template sees values and nothing else: no file, no attribute that begins with an underscore, nothing that it
could change. What a caller chose is a value too, and is never read as a template.
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
"""Characters that may come of a template: far more than any model should be told."""


class BadTemplate(ValueError):
    """A template that cannot be used; the message says what is wrong with it, on one line."""


class Template:
    """One template, read and compiled once."""

    def __init__(self, text: str, known: Collection[str]) -> None:
        """Raise BadTemplate for what is no template, or asks for something that is not `known`."""
        from jinja2 import TemplateError, TemplateSyntaxError, meta

        environment = _environment()
        try:
            tree = environment.parse(text)
            self.asks = frozenset(meta.find_undeclared_variables(tree))
            """The names of the values that it uses."""
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise BadTemplate(f"line {error.lineno}: {_line(error.message)}") from error
        except (TemplateError, RecursionError, ValueError) as error:
            raise BadTemplate(_line(error)) from error
        if unknown := sorted(self.asks - set(known)):
            raise BadTemplate("; ".join(_unknown(name, known) for name in unknown))

    def filled(self, values: Mapping[str, object]) -> str:
        """The text with these values in it; raises BadTemplate where they cannot be put in."""
        try:
            text = self._template.render(values)
        except Exception as error:  # whatever an expression of its author's comes to
            raise BadTemplate(_line(error)) from error
        if len(text) > LONGEST:
            raise BadTemplate(f"it comes to {len(text)} characters; {LONGEST} are the most")
        return text


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    # Not imported before it is needed: without an agent that we drive, nobody does.
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals = {"range": made.globals["range"]}
    return made


@cache
def built_in(name: str) -> str:
    """The text of a template that comes with us."""
    return (BUILT_IN / name).read_text(encoding="utf-8")


def languages() -> Iterator[str]:
    """Those that there is a greeting in."""
    return (path.name.split(".")[1] for path in sorted(BUILT_IN.glob("greeting.*.txt")))


def _unknown(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f" (did you mean {close[0]}?)" if close else f" (there are {', '.join(sorted(known))})"
    return f"it asks for {name}, which is not known{hint}"


def _line(error: Any) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
