"""Resolving secrets (`env:`, `file:`) and file paths in the settings."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from proxy.config.paths import UNREAD, SettingsContext


def refusal(where: SettingsContext, kind: str, value: object) -> str:
    with pytest.raises(PydanticCustomError) as caught:
        getattr(where, kind)(value)
    context = caught.value.context
    assert context is not None
    return f"expected {context['expected']}, got {context['got']}"


def test_a_secret_comes_from_the_environment_or_a_file(settings_folder: Path) -> None:
    where = SettingsContext(settings_folder, {"KEY": "hush"})
    assert where.secret("env:KEY").get_secret_value() == "hush"
    assert where.secret("file:webhook.secret").get_secret_value() == "whsec_hush"


def test_whitespace_around_a_secret_is_stripped(settings_folder: Path) -> None:
    where = SettingsContext(settings_folder, {"KEY": "hush\r", "BLANK": " \n"})
    assert where.secret("env:KEY").get_secret_value() == "hush"
    assert refusal(where, "secret", "env:BLANK").endswith("got an empty one")


@pytest.mark.parametrize("value", ["sk-proj-literal", "", 12345, ["env:KEY"]])
def test_a_literal_secret_is_refused_without_being_shown(settings_folder: Path, value: object) -> None:
    assert refusal(SettingsContext(settings_folder), "secret", value) == (
        "expected env:NAME or file:PATH (secrets never stand in the settings), got a literal value"
    )


def test_a_literal_secret_after_env_is_not_shown(settings_folder: Path) -> None:
    assert "sk-" not in refusal(SettingsContext(settings_folder), "secret", "env:sk-proj-literal")


def test_a_missing_or_empty_secret_is_refused(settings_folder: Path) -> None:
    where = SettingsContext(settings_folder, {"EMPTY": ""})
    assert (
        refusal(where, "secret", "env:NONE")
        == "expected the environment variable NONE, got none of that name"
    )
    assert (
        refusal(where, "secret", "env:EMPTY") == "expected the environment variable EMPTY, got an empty one"
    )
    assert (
        refusal(where, "secret", "file:empty.secret") == "expected a secret in that file, got an empty file"
    )
    assert "which is not there" in refusal(where, "secret", "file:none.secret")


def test_with_secrets_off_only_needed_secrets_are_read(settings_folder: Path) -> None:
    where = SettingsContext(settings_folder, {"DB": "here"}, secrets=False)
    assert where.secret("env:NOWHERE") is where.secret("file:nowhere.key") is UNREAD
    assert where.secret("env:DB", needed=True).get_secret_value() == "here"
    with pytest.raises(PydanticCustomError):
        where.secret("env:NOWHERE", needed=True)
    assert "secrets never stand" in refusal(where, "secret", "hunter2")


def test_a_path_is_resolved_in_the_settings_folder_before_the_working_directory(
    settings_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "instructions.md").write_text("Here.")
    (tmp_path / "only-here.md").write_text("Only here.")
    where = SettingsContext(settings_folder)
    assert where.text("file:instructions.md") == "Be brief.\n"
    assert where.text("file:only-here.md") == "Only here."
    assert where.path("nowhere.md") == settings_folder / "nowhere.md"


def test_a_text_may_be_written_inline(settings_folder: Path) -> None:
    assert SettingsContext(settings_folder).text("Be kind.") == "Be kind."
    assert refusal(SettingsContext(settings_folder), "text", 5) == "expected text, or file:PATH, got 5"


def test_a_text_file_that_is_not_utf8_is_refused(settings_folder: Path) -> None:
    assert "latin.txt: it is not UTF-8" in refusal(SettingsContext(settings_folder), "text", "file:latin.txt")


def test_a_file_setting_takes_a_path_and_refuses_a_literal_key(settings_folder: Path) -> None:
    where = SettingsContext(settings_folder)
    assert where.file("certs/fullchain.pem") == where.file("file:certs/fullchain.pem")
    assert refusal(where, "file", "file:") == 'expected the path of a file, got "file:"'
    assert refusal(where, "file", "-----BEGIN PRIVATE KEY-----").endswith("got a literal key")


@pytest.mark.parametrize("name", ["certs/privkey.pem", "/etc/letsencrypt/live/sbc.example.com/privkey.pem"])
def test_a_file_in_an_unreadable_folder_is_refused_with_the_reason(
    settings_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def closed(path: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", closed)
    told = refusal(SettingsContext(settings_folder), "secret", f"file:{name}")
    monkeypatch.undo()
    assert told == f"expected a file that can be read, got {settings_folder / name}: Permission denied"


def test_a_file_name_that_is_too_long_is_refused(settings_folder: Path) -> None:
    assert refusal(SettingsContext(settings_folder), "text", "file:" + "x" * 300).endswith(
        "File name too long"
    )


def test_a_printed_context_contains_no_environment_values(settings_folder: Path) -> None:
    assert "hush" not in repr(SettingsContext(settings_folder, {"KEY": "hush"}))
