"""TCP connections that may come to nothing: waits for their answers, and judges those that failed."""

from __future__ import annotations

from siemd.sources.sniffer.observers.connections import Key, Target
from siemd.sources.sniffer.observers.named import NamedAddresses
from siemd.sources.sniffer.observers.tcp_facts import TcpFacts
from siemd.sources.sniffer.observers.tcp_flow import ANSWERED, DONE, LATE, ODD, SENT, TcpFlow
from siemd.sources.sniffer.state import Aging, Pending

# key, the key of the other direction, whether the SYN was made by hand, its sequence number and time in microseconds
Refusal = tuple[Key, Key, bool, int, int]


class Attempts:
    """Tells TcpFacts what failed. Ports that lately accepted a connection from the same source fail nobody."""

    def __init__(self, answer_timeout_us: int, max_flows: int, max_hosts: int, named: NamedAddresses) -> None:
        self._pending: Pending[Key, TcpFlow] = Pending(answer_timeout_us, max_flows)
        self._accepted: Aging[Target, bool] = Aging(max_hosts)
        self.facts = TcpFacts(max_hosts, named)

    def began(self, key: Key, flow: TcpFlow, now_us: int) -> None:
        """A first packet, which an answer may follow."""
        early = self._pending.push(now_us, key, flow)
        if early is not None:
            self.judge(*early)

    def accepted(self, target: Target) -> None:
        """A connection was completed."""
        if self._accepted.get(target) is None:
            self._accepted.put(target, True)

    def refused(self, key: Key, flow: TcpFlow) -> None:
        """The answer to a SYN was a refusal."""
        flow.state = DONE
        self._pending.drop(key)
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
        for key, flow in self._pending.due(now_us):
            self.judge(key, flow)

    def finish(self) -> None:
        """Wait no longer."""
        for key, flow in self._pending.rest():
            self.judge(key, flow)

    def waits(self, key: Key) -> bool:
        """Whether something with this key is still to be judged."""
        return self._pending.holds(key)

    def room(self) -> int:
        """How many more can wait without any being judged early."""
        return self._pending.room()

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._accepted.age()
        self.facts.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"tcp_flows_judged_early": self._pending.early, **self.facts.counters()}
