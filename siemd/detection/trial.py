"""A process that tries one rule on past events: what it is to try and the events come in on stdin, findings go out.

It is a process of its own, so that neither a slow rule nor many events keep anybody else from working. Frames are those
of `worker`: RULES holds a Setup and is answered by READY with what the rule looks at; EVENTS are answered by MATCHES
with the count of incidents so far; empty EVENTS end it, answered by MATCHES with a Findings. FAILED holds a sentence.
"""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO

import msgspec

from siemd.detection.config import DetectionConfig
from siemd.detection.detector import Detector
from siemd.detection.loading import load_ruleset
from siemd.detection.logsource import resolve
from siemd.detection.needs import kinds_of
from siemd.detection.overlay import read_overlay
from siemd.detection.rulefile import read_rules
from siemd.detection.ruleset import Ruleset
from siemd.detection.worker import BYTES_TO_EVENTS, Kind, read_frame, write_frame
from siemd.errors import UserError
from siemd.events import Alert, iso_time

MEMORY_BYTES = 2 << 30
NICENESS = 10
MAX_INCIDENTS = 100_000  # counted; when there are more the trial ends and says so
SAMPLES = 50
DRAFT = "draft.yml"


class Setup(msgspec.Struct):
    """What to try. rule: a name or id; source: rules as YAML instead of it; overlay: the text of the API's overlay."""

    detection: DetectionConfig
    rule: str = ""
    source: str = ""
    overlay: str = ""


SETUP_TO_BYTES = msgspec.json.Encoder(enc_hook=str)  # durations as people write them


def _parsed(kind: Any, value: Any) -> Any:
    return kind.parse(value)


BYTES_TO_SETUP = msgspec.json.Decoder(Setup, dec_hook=_parsed)


class Look(msgspec.Struct):
    """Events that a rule looks at; empty lists mean any. platform: network, usage, windows, linux or siemd."""

    platform: str
    channels: list[str]
    types: list[str | int]


class Ready(msgspec.Struct):
    """The rules are loaded. rules: their names."""

    rules: list[str]
    looks: list[Look]


class Found(msgspec.Struct):
    """An incident that the rule would have opened."""

    rule: str
    level: str
    first_seen: str
    last_seen: str
    count: int
    group: dict[str, Any]
    host: str
    reason: str


class Findings(msgspec.Struct):
    """All that a trial found. samples: the first incidents. evicted: groups that were forgotten for want of room."""

    incidents: int
    matches: int
    evicted: int
    samples: list[Found]


def main() -> None:
    """Work until stdin ends."""
    answers = open(os.dup(1), "wb")  # noqa: SIM115, PTH123 - stays open; nothing that prints may come between
    os.dup2(2, 1)
    _be_modest()
    try:
        _work(sys.stdin.buffer, answers)
    except UserError as error:
        write_frame(answers, Kind.FAILED, str(error).encode(errors="replace"))
    except MemoryError:
        write_frame(answers, Kind.FAILED, b"this takes more memory than a trial may have; try a shorter time")
    except BrokenPipeError:
        pass


def _work(stream: BinaryIO, answers: BinaryIO) -> None:
    frame = read_frame(stream)
    if frame is None:
        return
    setup = BYTES_TO_SETUP.decode(frame[1])
    ruleset = rules_to_try(setup)
    write_frame(answers, Kind.READY, msgspec.json.encode(Ready([rule.name for rule in ruleset.rules], looks(ruleset))))
    detector = Detector(ruleset, setup.detection, "")
    incidents: dict[str, Alert] = {}
    while (frame := read_frame(stream)) is not None:
        if not frame[1]:
            _take(incidents, detector.finish())
            write_frame(answers, Kind.MATCHES, msgspec.json.encode(_findings(incidents, detector)))
            return
        _take(incidents, detector.process(BYTES_TO_EVENTS.decode(frame[1])))
        write_frame(answers, Kind.MATCHES, msgspec.json.encode(len(incidents)))


def rules_to_try(setup: Setup) -> Ruleset:
    """The rule and what it refers to, tuned; UserError for what is wrong with it."""
    if setup.source:
        rules, problems = read_rules(DRAFT, setup.source, placeholders=setup.detection.placeholders)
        if problems:
            raise problems[0]
        changes, problems = (
            read_overlay("overlay.yml", setup.overlay, setup.detection.placeholders) if setup.overlay else ([], [])
        )
        ruleset = Ruleset(rules, problems, changes=changes)
        if ruleset.problems:
            raise ruleset.problems[0]
        if not ruleset.rules:
            raise UserError("the text holds no rule", "write a Sigma rule")
        return ruleset
    managed = {"overlay.yml": setup.overlay} if setup.overlay else None
    loaded = load_ruleset(setup.detection, managed=managed)
    if not loaded.find(setup.rule):
        raise UserError(f"there is no rule {setup.rule[:100]!r} that can be used", "see the list of rules")
    ruleset = loaded.only(setup.rule)
    if ruleset.problems:
        raise ruleset.problems[0]
    return ruleset


def looks(ruleset: Ruleset) -> list[Look]:
    """Which events the rules look at."""
    found: dict[Any, Look] = {}
    for rule in ruleset.plain:
        if not resolve(rule.logsource):
            raise UserError(f"siemd has no events that {rule.name} looks at", "see its logsource")
        for selector, types in kinds_of(rule):
            listed = list(selector.channels or selector.facilities if not selector.providers else ())
            look = Look(selector.platform, listed, list(types or selector.event_ids))
            found[look.platform, *look.channels, *look.types] = look
    return list(found.values())


def _take(incidents: dict[str, Alert], alerts: list[Alert]) -> None:
    for alert in alerts:
        alert.evidence = []  # nobody asks for it, and it would be most of the memory
        incidents[alert.incident_id] = alert
    if len(incidents) > MAX_INCIDENTS:
        raise UserError(f"the rule would open more than {MAX_INCIDENTS} incidents", "group them, or ask for less")


def _findings(incidents: dict[str, Alert], detector: Detector) -> Findings:
    counters = detector.counters()
    ordered = sorted(incidents.values(), key=lambda alert: (alert.first_seen_us, alert.incident_id))
    samples = [
        Found(
            alert.rule, alert.level, iso_time(alert.first_seen_us), iso_time(alert.last_seen_us), alert.count,
            alert.group, alert.host, alert.reason,
        )
        for alert in ordered[:SAMPLES]
    ]  # fmt: skip
    evicted = counters["evicted_groups"] + counters["evicted_incidents"]
    return Findings(len(incidents), counters["rule_matches"], evicted, samples)


def _be_modest() -> None:
    """Leave the processor to others, and take no more memory than a trial needs."""
    if sys.platform != "win32":
        import resource

        os.nice(NICENESS)
        _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    main()
