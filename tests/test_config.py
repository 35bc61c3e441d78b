"""siemd.yaml: the shipped file is the code's own account, and every mistake says where it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from siemd.config import Config, load_config, parse_config
from siemd.config_docs import default_yaml, json_schema
from siemd.errors import FileError
from siemd.resources import resource
from siemd.units import Bytes, Seconds
from siemd.yamlfile import load_documents


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "siemd.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_is_the_documented_default() -> None:
    assert resource("config/siemd.yaml").read_text(encoding="utf-8") == default_yaml(), (
        "config/siemd.yaml is out of date: siemd config default > config/siemd.yaml"
    )


def test_the_shipped_file_means_the_defaults() -> None:
    shipped = load_config(resource("config/siemd.yaml"))
    plain = [msgspec.to_builtins(config, enc_hook=str) for config in (shipped, Config())]
    assert plain[0] == plain[1]


def test_every_key_is_described() -> None:
    def check(schema: dict[str, Any], where: str) -> None:
        for key, value in schema.get("properties", {}).items():
            assert value.get("description"), f"no description of {where}{key}"
            check(value, f"{where}{key}.")

    check(json_schema(), "")


def test_the_schema_knows_every_key() -> None:
    def keys(schema: dict[str, object], data: object) -> None:
        if isinstance(data, dict) and "properties" in schema:
            properties = schema["properties"]
            assert isinstance(properties, dict)
            assert set(data) == set(properties)
            for key, value in data.items():
                keys(properties[key], value)

    schema = json.loads(json.dumps(json_schema()))
    keys(schema, yaml.safe_load(default_yaml()))


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing\n")).pipeline.queue_events == Config().pipeline.queue_events


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("sources:\n  snifer:\n    enabled: true\n", 2, 3, ["snifer", "did you mean `sniffer`"]),
        ("storag: {}\n", 1, 1, ["storag", "did you mean `storage`"]),
        ("pipeline:\n  queue_events: many\n", 2, 17, ["pipeline.queue_events", "int"]),
        ("pipeline:\n  queue_events: 1\n", 2, 17, ["16"]),
        ("pipeline:\n  shutdown_grace: soon\n", 2, 19, ["duration", "10s"]),
        ("log: {max_size: big}\n", 1, 17, ["size", "32MiB"]),
        ("log:\n  level: loud\n", 2, 10, ["log.level"]),
        ("log:\n  level: info\n  level: debug\n", 3, 3, ["twice"]),
        ("storage: {url: 'mysql://a:${SIEMD_NOT_SET}@h/d'}\n", 1, 16, ["SIEMD_NOT_SET", "export"]),
        ("storage:\n\turl: x\n", 2, 1, ["YAML"]),
        ("- a\n- b\n", 1, 1, ["expected keys"]),
        ("host: a\n---\nhost: b\n", 3, 1, ["second YAML document"]),
    ],
)
def test_a_mistake_has_its_place(tmp_path: Path, text: str, line: int, column: int, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(FileError) as caught:
        load_config(path)
    assert (caught.value.line, caught.value.column) == (line, column), str(caught.value)
    assert str(caught.value).startswith(f"{path}:{line}:{column}: ")
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_environment_and_relative_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIEMD_TEST_PASSWORD", "s3cret")
    text = "storage: {url: 'mysql://u:${SIEMD_TEST_PASSWORD}@h/d'}\ndetection: {rules: [builtin, mine]}\n"
    config = load_config(write(tmp_path, text))
    assert config.storage.url == "mysql://u:s3cret@h/d"
    assert config.detection.rules == ["builtin", str(tmp_path / "mine")]


def test_units_in_values(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "pipeline: {shutdown_grace: 2m}\nlog: {max_size: 1GiB}\n"))
    assert config.pipeline.shutdown_grace_s == Seconds(120)
    assert config.log.max_bytes == Bytes(1 << 30)


def test_a_capture_filter_is_judged_at_its_place(tmp_path: Path) -> None:
    text = "sources:\n  sniffer:\n    filter: %s\n"
    assert load_config(write(tmp_path, text % "not port 22")).sources.sniffer.filter == "not port 22"
    with pytest.raises(FileError, match=r"sources\.sniffer\.filter: not a capture filter: .*syntax error") as caught:
        load_config(write(tmp_path, text % "not prt 22"))
    assert (caught.value.line, caught.value.column) == (3, 13)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["sources", "sniffer", "storage", "url", "log", "enabled", "interval"])
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(json_like)
def test_whatever_is_written_is_a_config_or_a_file_error(data: object) -> None:
    text = yaml.safe_dump({"sources": data, "storage": data, "log": data} if not isinstance(data, dict) else data)
    try:
        for document in load_documents("siemd.yaml", text):
            parse_config(document)
    except FileError as error:
        assert error.line >= 1
