"""What the tests of detection share: rules from text, events in one line, and a detector over them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

from siemd.detection import DetectionConfig, Detector, Ruleset
from siemd.detection.rulefile import read_rules
from siemd.events import LogEvent, NetworkEvent

settings.register_profile("patient", deadline=None)  # no test may fail because the machine is busy
settings.load_profile("patient")


class Tools:
    """Helpers handed to tests as the fixture `tools`."""

    SECOND = 1_000_000

    @staticmethod
    def rules(text: str, **options: Any) -> Ruleset:
        """A ruleset from YAML that must be right."""
        found, problems = read_rules("rules.yml", text)
        ruleset = Ruleset(found, problems, **options)
        assert [str(problem) for problem in ruleset.problems] == []
        return ruleset

    @staticmethod
    def problems(text: str) -> list[str]:
        """What is wrong with YAML, as people see it."""
        found, problems = read_rules("rules.yml", text)
        return [str(problem) for problem in Ruleset(found, problems).problems]

    @staticmethod
    def log(time_s: float = 0, **fields: Any) -> LogEvent:
        """A Windows event with these native fields."""
        return LogEvent(
            time_us=int(time_s * 1e6),
            table="channel_logs",
            platform="windows",
            channel="Test",
            event_id=1,
            fields=fields,
        )

    @staticmethod
    def fact(time_s: float = 0, event_type: str = "probe", **columns: Any) -> NetworkEvent:
        """A fact about the wire."""
        return NetworkEvent(time_us=int(time_s * 1e6), event_type=event_type, **columns)

    @classmethod
    def matches(cls, detection: str, **fields: Any) -> bool:
        """Whether a detection (YAML below `detection:`) matches a Windows event with these fields."""
        body = "\n".join("  " + line for line in detection.strip().splitlines())
        if "condition:" not in detection:
            body += "\n  condition: selection"
        ruleset = cls.rules(f"title: t\nlogsource: {{product: windows}}\ndetection:\n{body}\n")
        return bool(Detector(ruleset, DetectionConfig(), "h").process([cls.log(**fields)]))

    @staticmethod
    def detector(ruleset: Ruleset, **config: Any) -> Detector:
        """A detector with these settings."""
        return Detector(ruleset, DetectionConfig(**config), "test-host")


@pytest.fixture
def tools() -> type[Tools]:
    return Tools
