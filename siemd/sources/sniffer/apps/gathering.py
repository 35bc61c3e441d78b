"""Gathers what the dissectors learn into facts: at most one a tick for each source, destination and value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.apps.dissector import Peers
from siemd.sources.sniffer.facts import address, fact
from siemd.sources.sniffer.state import Aging, Deadlines

if TYPE_CHECKING:
    from siemd.sources.sniffer.apps.http import Request
    from siemd.sources.sniffer.apps.tls import Hello

MAX_VALUES = 64  # distinct values that one source states to one destination in a tick
MAX_PATHS, MAX_ALL_PATHS = 256, 4096  # in one fact, and of a pair in a tick
MAX_PATH = 256
MAX_USERS = 64
TICK_BYTES = 16 << 20
OVERHEAD_BYTES = 200  # of an entry beside its texts
MANY = 16  # so many different paths are told from few
_LATELY = 256  # requests after which older ones weigh half

Pair = tuple[bytes, bytes, int, int]  # source, destination, port, vlan


class About(NamedTuple):
    """What two hosts speak. name: the path of an HTTP request, or the name asked for in TLS.

    method: of that request. refused_paths: how many different ones of HTTP the server lately refused, MANY at most.
    """

    service: str = ""
    user_agent: str = ""
    name: str = ""
    method: str = ""
    refused_paths: int = 0


_NOTHING = About()


class _Entry(msgspec.Struct):
    time_us: int
    count: int = 1


class Room:
    """How much all that waits for the next tick may take, in bytes (estimated)."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = TICK_BYTES

    def take(self, texts: int) -> bool:
        """Whether there is room for something more with texts of that length."""
        self._left -= texts + OVERHEAD_BYTES
        if self._left >= 0:
            return True
        self._left += texts + OVERHEAD_BYTES
        return False

    def reset(self) -> None:
        """A tick is over."""
        self._left = TICK_BYTES


class Values:
    """Counts equal values of a pair in a tick. held_back: values beyond MAX_VALUES, or without room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._pairs: dict[Pair, dict[Any, _Entry]] = {}
        self.held_back = 0

    def add(self, pair: Pair, value: Any, texts: int, time_us: int) -> None:
        """One more of it; texts: how long it is."""
        values = self._pairs.get(pair, {})
        entry = values.get(value)
        if entry is not None:
            entry.time_us = max(entry.time_us, time_us)
            entry.count += 1
        elif len(values) < MAX_VALUES and self._room.take(texts):
            values[value] = _Entry(time_us)
            self._pairs[pair] = values
        else:
            self.held_back += 1

    def take(self) -> list[tuple[Pair, Any, _Entry]]:
        """Everything counted; nothing is held then."""
        pairs, self._pairs = self._pairs, {}
        return [(pair, value, entry) for pair, values in pairs.items() for value, entry in values.items()]


class _Tries(msgspec.Struct):
    """Tries to log in of one kind and outcome."""

    time_us: int
    users: dict[str, bool]
    count: int = 0


class _Errors(msgspec.Struct):
    """Requests that the server refused: their paths. user_agent: of the latest."""

    time_us: int
    paths: set[str]
    user_agent: str = ""
    count: int = 0


class _Share(msgspec.Struct):
    """Of one source's requests to one server: all, and those that were refused; older ones weigh less.

    refused: hashes of some of the paths that were. referred: refused ones that a page of the same site led to.
    """

    refused: set[int]
    requests: int = 0
    errors: int = 0
    referred: int = 0


class Gathering:
    """What all dissectors tell. reads_tls: whether ClientHellos are wanted."""

    def __init__(self, settle_us: int, cap: int, *, reads_tls: bool) -> None:
        self.reads_tls = reads_tls
        self._room = Room()
        self._requests = Values(self._room)
        self._hellos = Values(self._room)
        self._errors: dict[Pair, _Errors] = {}
        self._shares: Aging[Pair, _Share] = Aging(cap)
        self._logins: dict[tuple[Any, ...], _Tries] = {}
        # A success is stated a little later, so that the refusals that servers delay are stated before it.
        self._settling: Deadlines[tuple[tuple[Any, ...], _Tries]] = Deadlines(settle_us, cap)
        self._failed_us: Aging[tuple[bytes, str, int], int] = Aging(cap)
        self._about: Aging[Pair, About] = Aging(cap)
        self._facts: list[NetworkEvent] = []
        self.lost = 0

    def about(self, pair: Pair) -> About:
        """What was spoken lately between two hosts (source, destination, port, vlan)."""
        share = self._shares.get(pair)
        refused = len(share.refused) if share is not None else 0
        return (self._about.get(pair) or _NOTHING)._replace(refused_paths=refused)

    def speaks(self, pair: Pair, service: str) -> None:
        """Their protocol was recognised."""
        self._about.put(pair, About(service))

    # what dissectors tell

    def tls_hello(self, peers: Peers, hello: Hello, time_us: int) -> None:
        """A ClientHello."""
        self._hellos.add(pair_of(peers), hello, len(hello.server_name), time_us)
        self._about.put(pair_of(peers), About("tls", "", hello.server_name))

    def http_request(self, peers: Peers, request: Request, time_us: int) -> None:
        """A request with the status of its answer."""
        pair = pair_of(peers)
        status = request.status
        value = (request.method, request.host, request.uri, request.user_agent, request.referrer, status)
        texts = len(request.uri) + len(request.referrer) + len(request.user_agent) + len(request.host)
        self._requests.add(pair, value, texts, time_us)
        self._about.put(pair, About("http", request.user_agent, request.uri.partition("?")[0], request.method))
        if request.user_name:
            outcome = "unknown" if not status else "failure" if status in (401, 403, 407) else "success"
            self.login(peers, "http", outcome, request.user_name, "basic", True, time_us)
        share = self._shares.get(pair)
        if share is None:
            share = _Share(set())
            self._shares.put(pair, share)
        elif share.requests >= _LATELY:
            share.requests, share.errors, share.referred = share.requests // 2, share.errors // 2, share.referred // 2
        share.requests += 1
        if 400 <= status < 500:
            share.errors += 1
            share.referred += _is_referred(request)
            if len(share.refused) < MANY:
                share.refused.add(hash(request.uri))
            self._refused(pair, request, time_us)

    def _refused(self, pair: Pair, request: Request, time_us: int) -> None:
        path = request.uri[:MAX_PATH]
        errors = self._errors.get(pair) or _Errors(time_us, set())
        if path not in errors.paths:
            if len(errors.paths) >= MAX_ALL_PATHS or not self._room.take(len(path)):
                self.lost += 1
                return
            errors.paths.add(path)
            self._errors[pair] = errors
        errors.time_us = max(errors.time_us, time_us)
        errors.user_agent = request.user_agent
        errors.count += 1

    def login(
        self, peers: Peers, service: str, outcome: str, user: str, method: str, cleartext: bool, time_us: int
    ) -> None:
        """A try to log in."""
        key = (*pair_of(peers), service, outcome, method, cleartext)
        tries = self._logins.get(key)
        if tries is None:
            if not self._room.take(0):
                self.lost += 1
                return
            tries = self._logins[key] = _Tries(time_us, {})
        tries.time_us = max(tries.time_us, time_us)
        tries.count += 1
        if user and user not in tries.users and len(tries.users) < MAX_USERS and self._room.take(len(user)):
            tries.users[user] = True

    # facts

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick: failures before successes."""
        self._state_logins(now_us)
        for key, tries in self._settling.due(now_us):
            self._login_fact(key, tries)
        return self._take()

    def finish(self, now_us: int) -> list[NetworkEvent]:
        """State everything."""
        self._state_logins(now_us)
        for key, tries in self._settling.rest():
            self._login_fact(key, tries)
        return self._take()

    def _take(self) -> list[NetworkEvent]:
        for pair, value, entry in self._requests.take():
            self._facts.append(_request_fact(pair, value, entry))
        for pair, hello, entry in self._hellos.take():
            self._facts.append(_hello_fact(pair, hello, entry))
        errors, self._errors = self._errors, {}
        for pair, one in errors.items():
            self._error_facts(pair, one)
        self._room.reset()
        facts, self._facts = self._facts, []
        return facts

    def _state_logins(self, now_us: int) -> None:
        logins, self._logins = self._logins, {}
        for key, tries in logins.items():
            if key[5] != "success":
                self._login_fact(key, tries)
            elif (early := self._settling.push(now_us, (key, tries))) is not None:
                self._login_fact(*early)

    def _login_fact(self, key: tuple[Any, ...], tries: _Tries) -> None:
        source, destination, port, vlan, service, outcome, method, cleartext = key
        time_us = tries.time_us
        before = (source, service, vlan)
        if outcome == "success":  # stated after the failures beside it, so not dated before them
            time_us = max(time_us, self._failed_us.get(before) or 0)
        elif outcome == "failure":
            self._failed_us.put(before, max(time_us, self._failed_us.get(before) or 0))
        users = list(tries.users)
        who = f" as {users[0]}" if len(users) == 1 else f" as {len(users)} users" if users else ""
        self._facts.append(
            fact(
                "login",
                time_us,
                {
                    "service": service,
                    "outcome": outcome,
                    "attempts": tries.count,
                    "user_names": users,
                    "method": method,
                    "cleartext": cleartext,
                    "vlan": vlan,
                },
                **_attributes(source, destination, port),
                user_name=users[0] if users else "",
                count=tries.count,
                message=f"{service} login from {address(source)} to {address(destination)} port {port}{who}: {outcome}",
            )
        )

    def _error_facts(self, pair: Pair, errors: _Errors) -> None:
        source, destination, port, vlan = pair
        share = self._shares.get(pair) or _Share(set(), 1, 1)
        paths = sorted(errors.paths)
        lists = [paths[at : at + MAX_PATHS] for at in range(0, len(paths), MAX_PATHS)]
        for listed in lists:
            self._facts.append(
                fact(
                    "http_errors",
                    errors.time_us,
                    {
                        "paths": listed,
                        "error_percent": 100 * share.errors // max(1, share.requests),
                        "referred_percent": 100 * share.referred // max(1, share.errors),
                        "user_agent": errors.user_agent,
                        "vlan": vlan,
                    },
                    **_attributes(source, destination, port),
                    count=errors.count if len(lists) == 1 else len(listed),
                    message=f"{address(destination)} port {port} refused {address(source)} {len(listed)} paths",
                )
            )

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._about.age()
        self._shares.age()
        self._failed_us.age()

    def counters(self) -> dict[str, int]:
        """Losses."""
        return {
            "http_requests_held_back": self._requests.held_back,
            "tls_hellos_held_back": self._hellos.held_back,
            "logins_settled_early": self._settling.early,
            "application_facts_lost": self.lost,
        }


def _is_referred(request: Request) -> bool:
    """Whether the client was led there by a page of the same site, as it says."""
    return bool(request.host) and request.referrer.partition("://")[2].partition("/")[0] == request.host


def pair_of(peers: Peers) -> Pair:
    """What its facts are gathered by."""
    return peers.source, peers.destination, peers.destination_port, peers.vlan


def _attributes(source: bytes, destination: bytes, port: int) -> dict[str, Any]:
    return {
        "source_ip": address(source),
        "destination_ip": address(destination),
        "destination_port": port,
        "protocol": "tcp",
    }


def _request_fact(pair: Pair, value: tuple[str, str, str, str, str, int], entry: _Entry) -> NetworkEvent:
    source, destination, port, vlan = pair
    method, host, uri, user_agent, referrer, status = value
    path, _, query = uri.partition("?")
    name = path.rpartition("/")[2]
    there = host or f"{address(destination)}:{port}"
    return fact(
        "http_request",
        entry.time_us,
        {
            "method": method,
            "http_host": host,
            "uri": uri,
            "path": path,
            "query": query,
            "extension": name.rpartition(".")[2] if "." in name else "",
            "url": f"http://{there}{uri}" if uri[:1] == "/" else uri,
            "user_agent": user_agent,
            "referrer": referrer,
            "status": status,
            "vlan": vlan,
        },
        **_attributes(source, destination, port),
        count=entry.count,
        message=f"{address(source)}: {method} {uri} of {there}: {status or 'no answer'}",
    )


def _hello_fact(pair: Pair, hello: Hello, entry: _Entry) -> NetworkEvent:
    source, destination, port, vlan = pair
    return fact(
        "tls_hello",
        entry.time_us,
        {
            "server_name": hello.server_name,
            "ja4": hello.ja4,
            "tls_version": hello.version,
            "alpn": list(hello.alpn),
            "vlan": vlan,
        },
        **_attributes(source, destination, port),
        count=entry.count,
        message=f"{address(source)} begins TLS with {hello.server_name or address(destination)} port {port}",
    )
