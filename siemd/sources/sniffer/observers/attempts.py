"""TCP connections that may come to nothing: waits for their answers, and judges those that failed."""

from __future__ import annotations

from collections import deque

from siemd.sources.sniffer.observers.connections import Key, Target
from siemd.sources.sniffer.observers.named import NamedAddresses
from siemd.sources.sniffer.observers.tcp_facts import TcpFacts
from siemd.sources.sniffer.observers.tcp_flow import ANSWERED, DONE, LATE, ODD, SENT, TcpFlow
from siemd.sources.sniffer.state import Aging

# key, the key of the other direction, whether the SYN was made by hand, its sequence number and time in microseconds
Refusal = tuple[Key, Key, bool, int, int]


class Attempts:
    """Tells TcpFacts what failed. Ports that lately accepted a connection from the same source fail nobody."""

    def __init__(self, answer_timeout_us: int, max_flows: int, max_hosts: int, named: NamedAddresses) -> None:
        self._wait_us = answer_timeout_us
        self._cap = max_flows
        self._waiting: deque[tuple[int, Key, TcpFlow]] = deque()  # by when they are to be judged
        self._over = 0  # of these, which need no judgement any more
        self._early = 0
        self._accepted: Aging[Target, bool] = Aging(max_hosts)
        self.facts = TcpFacts(max_hosts, named)

    def began(self, key: Key, flow: TcpFlow, now_us: int) -> None:
        """A first packet, which an answer may follow."""
        self._waiting.append((now_us + self._wait_us, key, flow))
        while len(self._waiting) - self._over > self._cap:
            self._early += not self._judge_oldest()

    def accepted(self, target: Target) -> None:
        """A connection was completed."""
        if self._accepted.get(target) is None:
            self._accepted.put(target, True)

    def refused(self, key: Key, flow: TcpFlow) -> None:
        """The answer to a SYN was a refusal."""
        flow.state = DONE
        flow.refused = True
        self._over += 1
        if self._over > self._cap:
            self._waiting = deque(item for item in self._waiting if not item[2].refused)
            self._over = 0
        self.failed(key, flow.probe, "refused", flow.time_us)

    def failed(self, key: Key, probe: str, outcome: str, time_us: int) -> None:
        """It will not become a connection."""
        source, _, destination, port, vlan = key
        if probe == "syn" or (probe == "connect" and outcome != "refused"):  # a service that is down refuses systems
            self.facts.backlog.add(source, destination, port, vlan, time_us)
        if self._accepted.get((source, destination, port, vlan)) is None:
            self.facts.failed((source, destination, vlan, probe, outcome), time_us, port)

    def judge(self, key: Key, flow: TcpFlow) -> None:
        """No answer, or none of the initiator's to the answer."""
        state = flow.state
        if state in (SENT, ANSWERED):
            flow.state = LATE
            self.failed(key, flow.probe, "unanswered" if state == SENT else "half_open", flow.time_us)
        elif state == ODD:
            flow.state = DONE
            if flow.alike or flow.probe in ("fin", "null", "xmas"):
                self.failed(key, flow.probe, "unanswered", flow.time_us)

    def tick(self, now_us: int) -> None:
        """Judge what waited long enough."""
        while self._waiting and self._waiting[0][0] <= now_us:
            self._judge_oldest()

    def finish(self) -> None:
        """Wait no longer."""
        while self._waiting:
            self._judge_oldest()

    def _judge_oldest(self) -> bool:
        """Take out who waited longest; whether it needed no judgement."""
        _, key, flow = self._waiting.popleft()
        if flow.refused:
            self._over -= 1
        else:
            self.judge(key, flow)
        return flow.refused

    def room(self) -> int:
        """How many more can wait without any being judged early."""
        return self._cap - len(self._waiting) + self._over

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._accepted.age()
        self.facts.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"tcp_flows_judged_early": self._early, **self.facts.counters()}
