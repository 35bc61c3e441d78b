"""Events a second through the detector with the shipped rules, against decoding the same events from JSON lines."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import msgspec

from siemd.detection import DetectionConfig, Detector, load_ruleset
from siemd.events import Event, LogEvent, NetworkEvent, decode_event_json

EVENTS = 20_000
BATCH = 256
ROUNDS = 3


def facts() -> list[Event]:
    """A busy wire: probes of many hosts, pings, SSH logins, and much that no rule is about."""
    source = random.Random(3)
    events: list[Event] = []
    for number in range(EVENTS):
        kind = source.choices(["tcp_probe", "ping", "ssh_auth", "periodicity"], [40, 20, 10, 30])[0]
        events.append(
            NetworkEvent(
                time_us=number * 10_000,
                event_type=kind,
                source_ip=f"10.0.{source.randrange(4)}.{source.randrange(250)}",
                destination_ip=f"10.1.0.{source.randrange(250)}",
                destination_port=source.randrange(1, 65_536),
                protocol="tcp",
                fields={
                    "outcome": source.choice(["success", "failure", "refused"]),
                    "probe": source.choice(["syn", "connect"]),
                    "attempts": 1,
                    "destination_ports": [source.randrange(1, 65_536) for _ in range(4)],
                },
                host="bench",
            )
        )
    return events


def records() -> list[Event]:
    """A Windows host: logons, good and bad, service changes, and event ids that no rule is about."""
    source = random.Random(4)
    events: list[Event] = []
    for number in range(EVENTS):
        event_id = source.choices([4624, 4625, 4634, 4672, 7036], [30, 5, 30, 20, 15])[0]
        channel = "System" if event_id == 7036 else "Security"
        fields = {
            "EventID": event_id,
            "Channel": channel,
            "Provider_Name": "Microsoft-Windows-Security-Auditing",
            "TargetUserName": f"user{source.randrange(500)}",
            "IpAddress": f"10.0.{source.randrange(4)}.{source.randrange(250)}",
            "LogonType": 3,
        }
        events.append(
            LogEvent(
                time_us=number * 10_000,
                table=f"{channel.lower()}_logs",
                platform="windows",
                channel=channel,
                event_id=event_id,
                computer="ws07",
                fields=fields,
                host="bench",
            )
        )
    return events


def best_s(work: Callable[[], None]) -> float:
    """CPU seconds of the best of several rounds."""
    times = []
    for _ in range(ROUNDS):
        started_s = time.process_time()
        work()
        times.append(time.process_time() - started_s)
    return min(times)


def measure(events: list[Event]) -> tuple[float, float]:
    """(events per CPU second in detection, the same in decoding)."""
    ruleset = load_ruleset(DetectionConfig())
    lines = [msgspec.json.encode(event) for event in events]

    def detect() -> None:
        detector = Detector(ruleset, DetectionConfig(), "bench")
        for start in range(0, len(events), BATCH):
            detector.process(events[start : start + BATCH])

    def decode() -> None:
        for line in lines:
            decode_event_json(line)

    return len(events) / best_s(detect), len(events) / best_s(decode)


def run() -> list[tuple[str, str]]:
    """Figures of detection with the shipped rules."""
    result = []
    for name, events in (("facts of the wire", facts()), ("Windows records", records())):
        detected, decoded = measure(events)
        figure = f"{detected:,.0f} events/s, {detected / decoded:.2f} of decoding them from JSON ({decoded:,.0f}/s)"
        result.append((f"detection, shipped rules, {name}", figure))
    return result
