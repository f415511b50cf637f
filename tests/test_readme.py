"""The commands and settings in the README work as printed."""

from __future__ import annotations

import configparser
import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from proxy.cli import main
from proxy.commands.config_option import EXIT_USAGE
from proxy.config import SettingsError, load
from proxy.config.server import Drain
from proxy.lab.scenes import FAULTS, PLAIN
from proxy.transport.devcert import write_certificates

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECRETS = {"SIGNALWIRE_PASSWORD": "s", "OPENAI_API_KEY": "sk-x", "OPENAI_WEBHOOK_SECRET": "whsec_c2VjcmV0"}


def a_checkout(folder: Path) -> Path:
    """Give folder the config and certificates of a user's checkout; return its config folder."""
    (folder / "config").mkdir()
    for path in (ROOT / "config").iterdir():
        (folder / "config" / path.name).write_bytes(path.read_bytes())
    write_certificates(folder / "certs", ["sbc.example.com"])
    return folder / "config"


def test_the_settings_in_the_readme_are_valid(tmp_path: Path) -> None:
    [toml] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    path = a_checkout(tmp_path) / "readme.toml"
    path.write_text(toml, encoding="utf-8")
    settings = load(path, SECRETS)
    assert settings.numbers[0].target == "tel:+14155559876"


@pytest.mark.parametrize("name", ["signalwire.toml", "lab.toml"])
def test_the_example_settings_are_valid(tmp_path: Path, name: str) -> None:
    load(a_checkout(tmp_path) / name, SECRETS)


def test_commented_out_settings_of_the_example_are_valid_too(tmp_path: Path) -> None:
    config = a_checkout(tmp_path)
    file = config / "signalwire.toml"
    text = file.read_text(encoding="utf-8")
    whole = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    file.write_text(whole, encoding="utf-8")
    settings = load(file, SECRETS | {"NTFY_URL": "ntfy://topic", "SCREENDOOR_TOKEN": "0123456789abcdef"})
    assert "#" not in {line[:1] for line in whole.splitlines()[6:]}
    assert settings.notified
    assert settings.api.tokens


def test_loading_the_example_names_every_missing_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        load(a_checkout(tmp_path) / "signalwire.toml", {})
    assert all(any(name in str(problem) for problem in refused.value.problems) for name in SECRETS)


def commands(page: str) -> list[list[str]]:
    """The `screendoor` commands on a page, split into words."""
    lines = re.findall(r"^(?:    )?(?:\$ )?(?:\.venv/bin/)?screendoor ([^#\n]*)", page, re.MULTILINE)
    return [shlex.split(part.split(" > ")[0]) for line in lines for part in line.split("&& screendoor ")]


def command_of(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The CLI command that the words name, and the remaining words."""
    found: click.Command = main
    left = list(words)
    while isinstance(found, click.Group):
        inner = found.get_command(click.Context(found), name := left.pop(0))
        assert inner is not None, name
        found = inner
    return found, left


PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_screendoor_command_in_the_guides_exists(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        command, left = command_of(words)
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in left if word.startswith("--")} <= known, words
        values = dict(itertools.pairwise(left))
        assert values.get("--fault", "all") in {*FAULTS, "all"}
        assert values.get("--decision", "allow") in PLAIN


def test_the_systemd_unit_runs_an_existing_command_and_allows_time_to_drain() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#")
    unit.optionxform = str
    unit.read(ROOT / "config" / "screendoor.service", encoding="utf-8")
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/.venv/bin/screendoor")
    command, left = command_of(words)
    assert command.make_context("run", left).params["file"].name == "screendoor.toml"
    assert int(service["TimeoutStopSec"]) > Drain().limit_s
    assert int(service["RestartPreventExitStatus"]) == EXIT_USAGE
    rights = service["AmbientCapabilities"], service["CapabilityBoundingSet"]
    assert rights == ("CAP_BPF CAP_NET_ADMIN", "CAP_BPF CAP_NET_ADMIN")  # for audio in the kernel


def test_the_readme_shows_the_basic_commands() -> None:
    assert {words[0] for words in commands(README)} >= {"demo", "check-config", "run", "try", "calls"}


def test_the_files_linked_from_the_readme_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
