"""What the README tells a new user to do works as printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.config import SettingsError, load
from proxy.lab.scenes import FAULTS, PLAIN
from proxy.transport.devcert import write_certificates

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECRETS = {"SIGNALWIRE_PASSWORD": "s", "OPENAI_API_KEY": "sk-x", "OPENAI_WEBHOOK_SECRET": "whsec_c2VjcmV0"}


def a_checkout(folder: Path) -> Path:
    """Config and certificates where a user would have them."""
    (folder / "config").mkdir()
    for path in (ROOT / "config").iterdir():
        (folder / "config" / path.name).write_bytes(path.read_bytes())
    write_certificates(folder / "certs", ["sbc.example.com"])
    return folder / "config"


def test_the_settings_in_the_readme_are_in_order(tmp_path: Path) -> None:
    [toml] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    path = a_checkout(tmp_path) / "readme.toml"
    path.write_text(toml, encoding="utf-8")
    settings = load(path, SECRETS)
    assert settings.numbers[0].target == "tel:+14155559876"


@pytest.mark.parametrize("name", ["signalwire.toml", "lab.toml"])
def test_the_example_settings_are_in_order(tmp_path: Path, name: str) -> None:
    load(a_checkout(tmp_path) / name, SECRETS)


def test_the_example_settings_name_every_secret_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        load(a_checkout(tmp_path) / "signalwire.toml", {})
    assert all(any(name in str(problem) for problem in refused.value.problems) for name in SECRETS)


def test_every_screendoor_command_in_the_readme_is_one(tmp_path: Path) -> None:
    lines = re.findall(r"^    \.venv/bin/screendoor ([^#\n]*)", README, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        command, *options = shlex.split(line)
        result = CliRunner().invoke(main, [command, "--help"])
        assert result.exit_code == 0
        for option in (option for option in options if option.startswith("--")):
            assert option in result.output
        if "--fault" in options:
            assert options[options.index("--fault") + 1] in {*FAULTS, "all"}
        if "--decision" in options:
            assert options[options.index("--decision") + 1] in PLAIN


def test_the_files_that_the_readme_points_to_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
