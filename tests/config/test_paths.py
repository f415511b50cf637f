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


def test_a_secret_comes_from_the_environment_or_a_file(house: Path) -> None:
    where = SettingsContext(house, {"KEY": "hush"})
    assert where.secret("env:KEY").get_secret_value() == "hush"
    assert where.secret("file:webhook.secret").get_secret_value() == "whsec_hush"


def test_white_space_around_a_secret_is_none_of_it(house: Path) -> None:
    where = SettingsContext(house, {"KEY": "hush\r", "BLANK": " \n"})
    assert where.secret("env:KEY").get_secret_value() == "hush"
    assert refusal(where, "secret", "env:BLANK").endswith("got an empty one")


@pytest.mark.parametrize("value", ["sk-proj-literal", "", 12345, ["env:KEY"]])
def test_a_literal_secret_is_refused_and_not_repeated(house: Path, value: object) -> None:
    assert refusal(SettingsContext(house), "secret", value) == (
        "expected env:NAME or file:PATH (secrets never stand in the settings), got a literal value"
    )


def test_a_secret_behind_env_is_not_repeated_either(house: Path) -> None:
    assert "sk-" not in refusal(SettingsContext(house), "secret", "env:sk-proj-literal")


def test_a_secret_that_is_missing_or_empty_is_refused(house: Path) -> None:
    where = SettingsContext(house, {"EMPTY": ""})
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


def test_secrets_that_nobody_uses_are_not_read_but_those_that_are_needed(house: Path) -> None:
    where = SettingsContext(house, {"DB": "here"}, secrets=False)
    assert where.secret("env:NOWHERE") is where.secret("file:nowhere.key") is UNREAD
    assert where.secret("env:DB", needed=True).get_secret_value() == "here"
    with pytest.raises(PydanticCustomError):
        where.secret("env:NOWHERE", needed=True)
    assert "secrets never stand" in refusal(where, "secret", "hunter2")


def test_a_path_is_looked_for_beside_the_settings_first_and_then_here(
    house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "instructions.md").write_text("Here.")
    (tmp_path / "only-here.md").write_text("Only here.")
    where = SettingsContext(house)
    assert where.text("file:instructions.md") == "Be brief.\n"
    assert where.text("file:only-here.md") == "Only here."
    assert where.path("nowhere.md") == house / "nowhere.md"


def test_a_text_may_stand_in_the_settings_themselves(house: Path) -> None:
    assert SettingsContext(house).text("Be kind.") == "Be kind."
    assert refusal(SettingsContext(house), "text", 5) == "expected text, or file:PATH, got 5"


def test_a_file_that_cannot_be_read_as_text_is_refused(house: Path) -> None:
    assert "latin.txt: it is not UTF-8" in refusal(SettingsContext(house), "text", "file:latin.txt")


def test_a_file_is_named_by_a_path_and_holds_no_key_itself(house: Path) -> None:
    where = SettingsContext(house)
    assert where.file("certs/fullchain.pem") == where.file("file:certs/fullchain.pem")
    assert refusal(where, "file", "file:") == 'expected the path of a file, got "file:"'
    assert refusal(where, "file", "-----BEGIN PRIVATE KEY-----").endswith("got a literal key")


@pytest.mark.parametrize("name", ["certs/privkey.pem", "/etc/letsencrypt/live/sbc.example.com/privkey.pem"])
def test_a_file_in_a_folder_that_we_may_not_enter_is_refused_with_the_reason(
    house: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def closed(path: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", closed)
    told = refusal(SettingsContext(house), "secret", f"file:{name}")
    monkeypatch.undo()
    assert told == f"expected a file that can be read, got {house / name}: Permission denied"


def test_a_file_of_too_long_a_name_is_refused(house: Path) -> None:
    assert refusal(SettingsContext(house), "text", "file:" + "x" * 300).endswith("File name too long")


def test_the_environment_does_not_show_when_it_is_printed(house: Path) -> None:
    assert "hush" not in repr(SettingsContext(house, {"KEY": "hush"}))
