"""The texts sent to a Live agent: its voice has no tools, and a model behind it decides.

The voice talks and delegates; the delegate gets the conversation and calls the tools. Both get the same
instructions, followed by their own part.
"""

from __future__ import annotations

from collections.abc import Mapping

MAX_BYTES = 1500
"""Limit of one appended text: the vendor takes 500 tokens, and few are shorter than 3 bytes."""

VOICE_PART = """

# Your part
You are the voice of this. You have no tools yourself: where you are told to call one, delegate that to
your backend, as soon as the instructions ask for it, and go on with the caller meanwhile. What your
backend returns is for you alone: never read it out, and never speak of a backend. When you are told to
"speak now", do so at once.
"""
DELEGATE_PART = """

# Your part
You are the backend of the voice that talks to the caller; you never speak yourself. Whenever you are
asked, call the one tool that these instructions ask for at this point of the conversation. If it is too
early for that, name in one short sentence what is still to be asked. When a tool has answered, reply
"Done." and nothing else.
"""

NOTE = "Take note, and say nothing because of this alone: "
SPEAK = "Speak now. "
GREET = "Greet the caller as your instructions say, in two short sentences at most, and then listen."
MUST = "Delegate to your backend at once: it is to call {tool} now, with what it knows."
CARRY_ON = "Go on with the caller; if you were waiting for your backend, delegate to it again."
UNHEARD = "The backend gave no answer. Go on with the caller, and delegate to it again."


def truncated(text: str) -> str:
    """Truncate a text to what one append may hold."""
    octets = text.encode("utf-8", "replace")
    return text if len(octets) <= MAX_BYTES else octets[:MAX_BYTES].decode("utf-8", "ignore")


def next_words(output: Mapping[str, object]) -> str | None:
    """Return what a tool's result asks the voice to say or do; None if nothing."""
    words = output.get("next")
    return words if output.get("ok") and isinstance(words, str) else None
