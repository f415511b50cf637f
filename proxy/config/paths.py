"""Resolves what the settings refer to: files and environment variables."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from proxy.config.problem import fault, shown
from proxy.media.clip import Clip, ClipError, clip_from_wav

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


UNREAD = SecretStr("not+read")
"""Placeholder for a secret that was not read, in the form of a key so that it validates; compared by
identity."""


@dataclass(frozen=True, slots=True)
class SettingsContext:
    """The folder of the settings file, and the environment variables."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: bool = True
    """Whether secrets are read; `UNREAD` replaces each otherwise."""

    def path(self, text: str) -> Path:
        """Resolve a path: relative to the settings file first, then to the current folder."""
        beside = self.folder / text
        return beside if os.path.exists(beside) or not os.path.exists(text) else Path(text)

    def file(self, value: object) -> Path:
        """Return an existing file, given as ``PATH`` or ``file:PATH``."""
        if not isinstance(value, str) or not value.removeprefix("file:"):
            raise fault("the path of a file", shown(value))
        if "-----BEGIN" in value:
            raise fault("file:PATH (a key never stands in the settings themselves)", "a literal key")
        path = self.path(value.removeprefix("file:"))
        try:
            there = stat.S_ISREG(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            there = False
        except OSError as error:  # inside a private folder, such as /etc/letsencrypt/live
            raise fault("a file that can be read", f"{path}: {_why(error)}") from error
        if not there:
            raise fault("a file that exists", f"{path}, which is not there")
        return path

    def wav(self, value: object) -> Clip:
        """Load an existing WAV file, given as ``PATH`` or ``file:PATH``."""
        path = self.file(value)
        try:
            return clip_from_wav(path)
        except ClipError as error:
            raise fault("a WAV file of 16 bits, mono, at 8000 or 16000 Hz", f"{path}: {error}") from error

    def text(self, value: object) -> str:
        """Return a text, given literally or as ``file:PATH``."""
        if not isinstance(value, str):
            raise fault("text, or file:PATH", shown(value))
        return self._read(value) if value.startswith("file:") else value

    def secret(self, value: object, *, needed: bool = False) -> SecretStr:
        """Return the secret that ``env:NAME`` or ``file:PATH`` points to; a literal one is refused.

        A `needed` secret is read even without `secrets`.
        """
        if isinstance(value, str) and value.startswith("file:"):
            if not (self.secrets or needed):
                return UNREAD
            found = self._read(value).strip()
            if not found:
                raise fault("a secret in that file", "an empty file")
            return SecretStr(found)
        if not isinstance(value, str) or not value.startswith("env:"):
            raise fault("env:NAME or file:PATH (secrets never stand in the settings)", "a literal value")
        name = value.removeprefix("env:")
        if not _NAME.fullmatch(name):
            # Not shown: the secret itself may have been put behind "env:".
            raise fault("env: and the name of an environment variable", "something that is not a name")
        if not (self.secrets or needed):
            return UNREAD
        found = self.environ.get(name, "").strip()  # Docker keeps the "\r" of a Windows env file
        if not found:
            raise fault(
                f"the environment variable {name}",
                "none of that name" if name not in self.environ else "an empty one",
            )
        return SecretStr(found)

    def _read(self, value: str) -> str:
        path = self.file(value)
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise fault("a readable text file", f"{path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "it is not UTF-8"
