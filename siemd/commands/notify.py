"""siemd notify: send a test message and say what happened; show what waits, was sent or given up."""

from __future__ import annotations

import argparse
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from siemd.config import Config
from siemd.errors import UserError
from siemd.events import iso_time, now_us
from siemd.logs import printable
from siemd.notify import CHANNELS, Channel, outbox
from siemd.notify.base import Undelivered
from siemd.notify.intake import channel_of
from siemd.notify.render import Writer
from siemd.sqlite_file import BUSY_TIMEOUT_S, explain

FAILED = 1


def run(options: argparse.Namespace, config: Config) -> int:
    """Do what the command line asks; returns the exit code: 1 when a test message was not taken."""
    if options.action == "test":
        return _test(options.name, config)
    return _list(options, config)


def problems(config: Config) -> list[str]:
    """What would keep messages from being sent that can be seen without sending any, for `siemd check`."""
    found = []
    for name in config.notify.targets:
        try:
            _channel(config, name).ready()
        except Undelivered as error:
            found.append(f"notify.targets.{name} ({channel_of(config.notify, name)}): {error}")
    return found


def _test(name: str, config: Config) -> int:
    """A message to one target, or to each of a route, its escalations included."""
    notify = config.notify
    route = notify.route(name)
    if route is not None:
        targets = list(dict.fromkeys([*route.targets, *(one for step in route.escalate for one in step.targets)]))
    elif name in notify.targets:
        targets = [name]
    else:
        known = [*(one.name for one in notify.routes), *notify.targets]
        raise UserError(f"no route or target is called {name!r}", f"known are: {', '.join(known) or 'none'}")
    writer = Writer(notify, config.host_name())
    failed = 0
    for target in targets:
        channel = _channel(config, target)
        message = writer.test(outbox.new_uid(), f"route {name}" if route else f"target {name}", now_us())
        print(f"{target}: {printable(channel.description)} … ", end="", flush=True)
        try:
            print(f"ok, {printable(channel.send(message))}")
        except Undelivered as error:
            failed += 1
            print(f"FAILED\n  {printable(str(error))}")
    return FAILED if failed else 0


def _channel(config: Config, target: str) -> Channel:
    return CHANNELS[channel_of(config.notify, target)](config.notify.targets[target])


def _list(options: argparse.Namespace, config: Config) -> int:
    path = config.data_path() / outbox.FILE_NAME
    messages, counters = _read(path, options.limit)
    if options.json:
        print(json.dumps({"counters": counters, "messages": messages}))
        return 0
    print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in counters.items() if value) or "nothing yet")
    for message in messages:
        tries = f"{message['attempts']} tries" if message["attempts"] != 1 else "1 try"
        head = f"{iso_time(message['time_us'])[:19]}Z  {message['status']:<7} {message['route']} > {message['target']}"
        print(f"{head}, {tries}: {printable(message['subject'])}")
        if message["detail"] and message["status"] != "sent":
            print(f"    {printable(message['detail'])}")
    return 0


def _read(path: Path, limit: int) -> tuple[list[Any], dict[str, int]]:
    if not path.exists():
        raise UserError(f"there is no {path} yet", "it is made when siemd runs with routes in its notify section")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as db:
            return list(outbox.overview(db, limit)), outbox.counters(db)
    except sqlite3.Error as error:
        raise explain(error, path) from None
