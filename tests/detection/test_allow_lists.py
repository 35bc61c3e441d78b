"""The allow-list of docs/tuning.md takes out what it says: that source, those hosts, those ports, those rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from support.conversation import Wire, facts_of

TUNING = Path(__file__).parents[2] / "docs" / "tuning.md"


@pytest.fixture
def allowed(tmp_path: Path) -> Ruleset:
    found = re.search(r"^## Allow-lists\n.*?```yaml\n(.*?)```", TUNING.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    overlay = tmp_path / "overlay.yml"
    overlay.write_text(found[1])
    ruleset = load_ruleset(DetectionConfig(overlay=[str(overlay)]))
    assert not ruleset.problems
    assert not ruleset.warnings
    return ruleset


def raised(ruleset: Ruleset, source: str, network: str, port: int, protocol: str) -> list[str]:
    wire = Wire()
    for last in range(1, 40):
        if protocol == "udp":
            wire.udp(source, 40_000, f"{network}.{last}", port)
        else:
            wire.refused(source, f"{network}.{last}", port)
    detector = Detector(ruleset, DetectionConfig(), "host")
    alerts = detector.process(facts_of(wire.packets)) + detector.finish()
    return sorted({alert.rule for alert in alerts if alert.level != "informational"})


def test_what_the_allow_list_names_is_not_counted(allowed: Ruleset) -> None:
    plain = load_ruleset(DetectionConfig())
    for port, protocol in ((161, "udp"), (631, "tcp")):
        assert raised(plain, "10.1.2.3", "10.3.0", port, protocol) == ["host_sweep"]
        assert raised(allowed, "10.1.2.3", "10.3.0", port, protocol) == []


@pytest.mark.parametrize(
    ("source", "network", "port"),
    [("10.1.2.77", "10.3.0", 161), ("10.1.2.3", "10.4.0", 161), ("10.1.2.3", "10.3.0", 162)],
    ids=["another source", "another destination", "another port"],
)
def test_all_else_still_counts(allowed: Ruleset, source: str, network: str, port: int) -> None:
    assert raised(allowed, source, network, port, "udp") == ["host_sweep"]
