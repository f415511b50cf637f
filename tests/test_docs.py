"""The guides match the code: settings keys, defaults, record fields and metrics."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from proxy.call.outcome import Result
from proxy.call.record import CallRecord, LegRecord
from proxy.cli import main
from proxy.config import Settings, parse
from proxy.config.costs import Price
from proxy.config.server import Tls
from proxy.metrics import Metrics
from proxy.services.notifications import NoticeMetrics
from proxy.transport.devcert import write_certificates
from screening.contract import TranscriptLine
from screening.costs.prices import AS_OF, PUBLISHED, price
from screening.policy import RULES

ROOT = Path(__file__).parent.parent
GUIDES = [
    ROOT / "docs" / name
    for name in (
        "settings.md",
        "calls.md",
        "costs.md",
        "screening.md",
        "openai.md",
        "phones.md",
        "identity.md",
        "security.md",
        "notifications.md",
        "api.md",
        "conversation.md",
        "privacy.md",
        "operation.md",
    )
]
PAGES = sorted({*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), ROOT / "certs" / "README.md"})
EXAMPLES = ("one-person", "small-office", "support-line")
"""Complete settings files shown both under config/ and in the screening guide."""
URLS = {
    "DATABASE_URL": "postgresql://screendoor@db.example.com/screendoor",
    "NTFY_URL": "ntfy://topic",
    "OFFICE_MAIL": "mailtos://user:password@example.com?to=me@example.com",
}
SECRETS = URLS | {
    name: ("" if name.endswith("_KEY") else "whsec_") + base64.b64encode(name.ljust(24).encode()).decode()
    for guide in GUIDES
    for name in re.findall(r"env:(\w+)", guide.read_text(encoding="utf-8"))
    if name not in URLS
}
"""Every environment variable used in the guides."""
WIDTH = 120
LONG = 170
"""A page with more lines of prose and tables than this needs a table of contents."""


def text(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


# Settings: the code against docs/settings.md.


def alias(name: str, field: FieldInfo) -> str:
    return field.alias or name


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """The class behind ``[table]`` or ``[[table]]``; None for a plain key."""
    kind = (get_args(field.annotation) or (field.annotation,))[0]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


TABLES = {alias(name, field): table_of(field) for name, field in Settings.model_fields.items()}


def keys() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield table (empty for the top level), key and field of every setting."""
    for name, field in Settings.model_fields.items():
        table = table_of(field)
        if table is None:
            yield "", alias(name, field), field
        else:
            for inner, field_inside in table.model_fields.items():
                yield alias(name, field), alias(inner, field_inside), field_inside
    for key, field in Tls.model_fields.items():
        yield "trunk.tls", alias(key, field), field
    for key, field in Price.model_fields.items():
        yield "costs.prices", alias(key, field), field


def documented() -> dict[tuple[str, str], str]:
    """The documented default of every key, by table and key."""
    found: dict[tuple[str, str], str] = {}
    table = None
    for line in text("settings.md").splitlines():
        if line.startswith("## "):
            heading = re.fullmatch(r"## (?:Top level|`\[+([\w.]+)\]+`)", line)
            table = (heading[1] or "") if heading else None
        elif table is not None and (row := re.match(r"\| `(\w+)` \| [^|]+ \| ([^|]+) \|", line)):
            assert (table, row[1]) not in found, row[0]
            found[table, row[1]] = row[2]
    return found


def default(field: FieldInfo) -> str:
    """A default as docs/settings.md writes it."""
    if field.is_required():
        return "*required*"
    value = field.default
    if value is None or value == ():
        return "*none*"
    return "`{}`".format(":".join(map(str, value)) if isinstance(value, tuple) else value)


def test_the_settings_page_documents_exactly_the_existing_settings() -> None:
    assert {(table, key) for table, key, _ in keys()} == set(documented())


def test_every_settings_table_has_a_heading_in_its_toml_brackets() -> None:
    for name, field in Settings.model_fields.items():
        if table_of(field) is not None:
            key = alias(name, field)
            written = f"[[{key}]]" if get_args(field.annotation) else f"[{key}]"
            assert f"\n## `{written}`\n" in text("settings.md")


def test_the_documented_defaults_are_those_of_the_code() -> None:
    assert {(table, key): default(field) for table, key, field in keys()} == documented()


# TOML in the guides.


def blocks(name: str) -> list[tuple[str, str]]:
    """The fence's text after ``toml``, and the content, of every TOML block of a guide."""
    return re.findall(r"^```toml ?(\w*)\n(.*?)^```", text(name), re.DOTALL | re.MULTILINE)


def fragments() -> list[Any]:
    return [block for guide in GUIDES for mark, block in blocks(guide.name) if mark == "fragment"]


def complete_blocks() -> list[Any]:
    return [block for guide in GUIDES for mark, block in blocks(guide.name) if mark != "fragment"]


@pytest.mark.parametrize("block", complete_blocks())
def test_complete_settings_in_the_guides_are_valid(tmp_path: Path, block: str) -> None:
    write_certificates(tmp_path / "certs", ["sbc.example.com"])
    folder = tmp_path / "config"
    folder.mkdir()
    for contacts in (ROOT / "config").glob("*.csv"):
        shutil.copy(contacts, folder)
    (folder / "webhook-secret").write_text("whsec_c2VjcmV0\n", encoding="utf-8")
    (folder / "instructions.md").write_text("Ask who is calling.", encoding="utf-8")
    assert parse(block, SECRETS, file="the guide", folder=folder).numbers


def test_the_examples_in_the_screening_guide_equal_the_files_in_config() -> None:
    files = [(ROOT / "config" / f"{name}.toml").read_text(encoding="utf-8") for name in EXAMPLES]
    assert [block for mark, block in blocks("screening.md") if mark != "fragment"] == files


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_settings_pass_check_config_without_other_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    write_certificates(tmp_path / "certs", ["sbc.example.com"])
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    checked = CliRunner().invoke(main, ["check-config", str(tmp_path / "config" / f"{name}.toml")])
    assert checked.exit_code == 0, checked.output
    warned = [line for line in checked.output.splitlines() if line.startswith("warning")]
    assert all("public.address" in line for line in warned), warned  # a documentation address


def test_the_screening_guide_lists_the_policy_rules_in_order() -> None:
    section = text("screening.md").partition("## The rules")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w ]+)` \|", section, re.MULTILINE) == [rule.name for rule in RULES]


@pytest.mark.parametrize("block", fragments())
def test_toml_fragments_in_the_guides_use_existing_keys(block: str) -> None:
    known = {(table, key) for table, key, _ in keys()}
    for name, value in tomllib.loads(block).items():
        assert name in TABLES
        tables = value if isinstance(value, list) else [value]
        assert {(name, key) for table in tables for key in table} <= known


def test_the_examples_in_the_guides_cover_every_provider() -> None:
    providers = {
        agent.get("provider", "openai-realtime")
        for block in complete_blocks()
        for agent in tomllib.loads(block)["agent"]
    }
    agent = TABLES["agent"]
    assert agent is not None
    assert providers == set(get_args(agent.model_fields["provider"].annotation))


def test_the_prices_in_the_guide_are_the_built_in_ones() -> None:
    section = text("costs.md").partition("Prices are for a million")[2].partition("\nPrices change")[0]
    assert f"{AS_OF:%-d %B %Y}" in section
    told = {}
    for models, *cells in re.findall(r"^\| (`[^|]*) \|([^|]*)\|([^|]*)\|([^|]*)\|$", section, re.MULTILINE):
        words, sound, minute = (cell.replace("–", "0").replace("/", " ") for cell in cells)
        given = price(words.strip() or "0 0 0", sound.strip() or "0 0 0", minute.strip() or "0")
        told |= dict.fromkeys(re.findall(r"`([^`]+)`", models), given)
    assert told == PUBLISHED


# The record and the metrics.


def fields(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_the_example_record_in_the_guide_has_the_fields_of_a_record() -> None:
    [example] = re.findall(r"```json\n(.*?)```", text("calls.md"), re.DOTALL)
    record = json.loads(example)
    assert set(record) == fields(CallRecord)
    assert all(set(leg) == fields(LegRecord) for leg in record["legs"])
    assert all(set(line) == fields(TranscriptLine) for line in record["transcript"])


def test_every_field_and_result_of_a_record_is_documented() -> None:
    _, _, section = text("calls.md").partition("## The call record")
    rows = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    for word in (
        fields(CallRecord) | fields(LegRecord) | fields(TranscriptLine) | {each.value for each in Result}
    ):
        assert f"`{word}`" in rows, word


def test_the_guides_document_exactly_the_existing_metrics() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.follow_sessions({})
    metrics.follow_strangers({}, lambda: 0)
    metrics.follow_capacity({}, lambda: 0.0)
    metrics.follow_kernel(lambda: 0)
    metrics.follow_targets(list)
    metrics.follow_certificates(list)
    metrics.follow_connections({})
    registry.register(NoticeMetrics(None))
    metrics.follow_api({})
    metrics.follow_transcriptions({})
    metrics.follow_memory(lambda: 0, lambda: 0, lambda: 0)
    exposed = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    named = {name for guide in GUIDES for name in re.findall(r"\bscreendoor_\w+", text(guide.name))}
    assert exposed == named
    for name in exposed:
        assert f"| `{name}" in text("calls.md")


# The pages themselves.


def anchors(page: Path) -> set[str]:
    """The link anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {anchor(heading) for heading in headings}


def anchor(heading: str) -> str:
    """The link anchor of one heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_and_anchors_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_long_page_begins_with_a_table_of_contents(page: Path) -> None:
    told = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    if page.parent.name == "docs" and told.count("\n") > LONG:
        contents = told.partition("\nOn this page: ")[2].partition("\n\n")[0]
        named = [anchor(heading) for heading in re.findall(r"^## (.*)$", told, re.MULTILINE)]
        assert re.findall(r"\]\(#([^)]*)\)", contents) == named


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_the_guides_are_wrapped_and_linked_from_the_readme(guide: Path) -> None:
    assert [line for line in text(guide.name).splitlines() if len(line) > WIDTH] == []
    assert f"](docs/{guide.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
