"""Captures of real tools raise the rules that they must, and nothing else that matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from siemd.detection import DetectionConfig, Detector
from siemd.events import Alert
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.pcapfile import read_frames
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from support.conversation import shipped_rules

# Rules that captures ask for and that are not written yet.
NOT_YET_COVERED: frozenset[str] = frozenset()


def expected(corpus: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((corpus / "pcap" / "EXPECTED.yml").read_text())
    return found


def incidents(capture: Path) -> list[Alert]:
    """The last state of each incident, without the informational ones."""
    decoder, sensor = Decoder(), Sensor(SensorConfig())
    detector = Detector(shipped_rules(), DetectionConfig(), "conformance")
    alerts: list[Alert] = []
    with capture.open("rb") as file:
        for frames in read_frames(file):
            alerts += detector.process(sensor.feed(decoder.decode(frames)))
    alerts += detector.process(sensor.finish())
    alerts += detector.finish()
    last = {alert.incident_id: alert for alert in alerts}
    return [alert for alert in last.values() if alert.level != "informational"]


def faults(found: list[Alert], what: dict[str, Any]) -> list[str]:
    """What is wrong with the incidents of a capture."""
    rules = {alert.rule for alert in found}
    must = set(what["must"]) - NOT_YET_COVERED
    wrong = [f"{rule} is missing" for rule in sorted(must - rules)]
    wrong += [f"{rule} is false" for rule in sorted(rules - must - set(what.get("may", ())))]
    if len(found) > what.get("max_alerts", 1_000):
        wrong.append(f"too many incidents: {[alert.reason for alert in found]}")
    return wrong


def test_captures(corpus: Path) -> None:
    wanted = expected(corpus)
    assert wanted
    found = {name: faults(incidents(corpus / "pcap" / f"{name}.pcap"), what) for name, what in wanted.items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_what_is_not_covered_is_not_there(corpus: Path) -> None:
    """A rule that is written by now belongs off the list."""
    assert NOT_YET_COVERED & {rule.name for rule in shipped_rules().rules} == set()
    assert {rule for what in expected(corpus).values() for rule in what["must"]} >= NOT_YET_COVERED
