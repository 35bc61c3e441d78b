"""Every command of siemd; each prints what a person needs and nothing else."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siemd import __version__
from siemd.errors import UserError
from siemd.resources import default_path

if TYPE_CHECKING:
    from siemd.config import Config

EXIT_OK, EXIT_MISTAKE, EXIT_INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. A UserError becomes one line on stderr and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = options.command
        return run(options)
    except UserError as error:
        print(f"siemd: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `siemd … | head`
        sys.stderr.close()
        return EXIT_OK


def _run(options: argparse.Namespace) -> int:
    from siemd.commands import run

    config = _config(options)
    config.web.enabled = config.web.enabled or options.web
    return run.run(config)


def _web(options: argparse.Namespace) -> int:
    from siemd.commands import web

    return web.run(_config(options))


def _user(options: argparse.Namespace) -> int:
    from siemd.commands import user

    return user.run(options, _config(options))


def _audit(options: argparse.Namespace) -> int:
    from siemd.commands import audit

    return audit.run(options, _config(options))


def _check(options: argparse.Namespace) -> int:
    from siemd.commands.notify import problems
    from siemd.detection import load_ruleset
    from siemd.events import now_us
    from siemd.storage import open_store

    config = _config(options)
    open_store(config.storage, config.data_path())  # raises when its URL is wrong; connects to nothing
    ruleset = load_ruleset(config.detection)
    expired = ruleset.suppressions.expired(now_us())
    unsent = problems(config)
    for problem in (*ruleset.problems, *ruleset.warnings, *expired, *unsent):
        print(problem, file=sys.stderr)
    source = options.config or "the default configuration"
    broken = len(ruleset.problems) + len(unsent)
    verdict = (
        f"wrong; {len(ruleset.rules)} rules, {broken} to mend"
        if broken
        else (f"right; {len(ruleset.rules)} rules, no problem")
    )
    if told := len(ruleset.warnings) + len(expired):
        verdict += f", {told} warnings"
    if ruleset.refused:
        verdict += f", {len(ruleset.refused)} imported rules refused"
    print(f"{source}: {verdict}")
    return EXIT_MISTAKE if broken else EXIT_OK


def _replay(options: argparse.Namespace) -> int:
    from siemd.commands.rules import load_reporting
    from siemd.events import now_us
    from siemd.replay import replay, stdout_text

    config = _config(options)
    ruleset = load_reporting(config)
    for problem in ruleset.suppressions.lift_expired(now_us()):
        print(problem, file=sys.stderr)
    return replay(options.files, config, ruleset, stdout_text(), sys.stderr, explain=options.explain)


def _rules(options: argparse.Namespace) -> int:
    from siemd.commands import rules

    return rules.run(options, _config(options))


def _db(options: argparse.Namespace) -> int:
    from siemd.commands import db

    return db.run(options, _config(options))


def _notify(options: argparse.Namespace) -> int:
    from siemd.commands import notify

    return notify.run(options, _config(options))


def _status(options: argparse.Namespace) -> int:
    from siemd.commands import status

    return status.run(options, _config(options, keep_unset=True))


def _config_show(options: argparse.Namespace) -> int:
    from siemd.config_docs import default_yaml, json_schema

    if options.what == "schema":
        print(json.dumps(json_schema(), indent=2))
    else:
        print(default_yaml(), end="")
    return EXIT_OK


def _version(options: argparse.Namespace) -> int:
    print(f"siemd {__version__}")
    return EXIT_OK


def _config(options: argparse.Namespace, *, keep_unset: bool = False) -> Config:
    """The configuration that the command's options name."""
    from siemd.config import load_config  # it knows every part of the daemon: help need not

    config = load_config(options.config, keep_unset=keep_unset)
    if options.data_dir:
        config.data_dir = str(options.data_dir)
    config.settle()
    return config


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="siemd",
        description="A SIEM daemon: packets, event logs and host metrics, Sigma rules, no event lost in silence.",
        epilog="`siemd COMMAND --help` tells more of each command.",
    )
    parser.add_argument("--version", action="version", version=f"siemd {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help=f"siemd.yaml (default: {default_path()} if it is there)"
    )
    common.add_argument("--data-dir", type=Path, metavar="DIR", help="use DIR instead of the configured data_dir")

    def add(name: str, text: str, command: Callable[[argparse.Namespace], int], parent: Any = commands) -> Any:
        added = parent.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[common])
        added.set_defaults(command=command)
        return added

    run = add("run", "watch, detect and store until stopped", _run)
    run.add_argument("--web", action="store_true", help="serve the API too, as if siemd.yaml said web.enabled")
    add("web", "serve the API as a process of its own, beside a running siemd or alone", _web)
    add("check", "check siemd.yaml and the rules; mistakes come as file:line:column", _check)
    replay = add("replay", "run recorded files (pcap, pcapng, evtx, JSON lines, gzip) through the detector", _replay)
    replay.add_argument("files", nargs="+", type=Path, metavar="FILE", help="recognised by content, not by name")
    replay.add_argument(
        "--explain", action="store_true", help="tell for each threshold of a rule how close the events came to it"
    )
    database = add("db", "apply, show or clear the schema of the store", _db)
    database.add_argument("action", choices=["migrate", "status", "reset"], help="reset deletes every stored event")
    database.add_argument("--yes", action="store_true", help="do not ask before a reset")
    _add_rules(commands, common)
    _add_access(commands, common)
    _add_notify(commands, common)
    status = add("status", "what the running siemd is doing, and the newest alerts", _status)
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.add_argument("--alerts", type=int, default=5, metavar="N", help="how many alerts to show (default: 5)")
    settings = add("config", "print the documented default siemd.yaml, or its JSON Schema for editors", _config_show)
    settings.add_argument("what", choices=["default", "schema"])
    add("version", "print the version", _version)
    return parser


def _add_access(commands: Any, common: argparse.ArgumentParser) -> None:
    """The commands about accounts and the audit log."""

    def group(name: str, text: str, command: Callable[[argparse.Namespace], int]) -> Callable[[str, str], Any]:
        parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")

        def add(action: str, says: str) -> Any:
            added = actions.add_parser(action, help=says, description=f"{says[0].upper()}{says[1:]}.", parents=[common])
            added.set_defaults(command=command)
            return added

        return add

    user = group("user", "add, list and change the accounts of the API", _user)
    new = user("add", "add an account; asks for its password, or prints a one-time link")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--role", choices=["viewer", "analyst", "admin"], default="viewer", help="default: viewer")
    word = user("passwd", "set a password; asks for it, or prints a one-time link. Ends the user's sessions")
    word.add_argument("name", metavar="NAME")
    word.add_argument("--reset-totp", action="store_true", help="take the second factor away too")
    for parser in (new, word):
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--link", action="store_true", help="print a one-time link by which the user chooses it")
        how.add_argument("--stdin", action="store_true", help="read the password from standard input")
    user("list", "every account").add_argument("--json", action="store_true", help="one JSON object a line")
    user("disable", "switch an account off; its sessions and tokens end").add_argument("name", metavar="NAME")
    user("enable", "switch an account on again").add_argument("name", metavar="NAME")
    token = user("token", "make an API token of a user and print it, once; by default it may read, for 90 days")
    token.add_argument("name", metavar="NAME")
    token.add_argument("--label", default="command line", metavar="TEXT", help="what the token is for")
    token.add_argument("--scopes", default="", metavar="A,B", help="rights such as events:read,alerts:triage")
    token.add_argument("--days", type=int, default=90, metavar="N", help="how long it lives (default: 90)")
    audit = group("audit", "read and check the log of what was done by whom", _audit)
    audit("verify", "check the whole chain; names the first row that is wrong (exit code 1)")
    listing = audit("list", "the newest rows")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="how many (default: 50)")
    listing.add_argument("--actor", default="", metavar="NAME", help="only what this user did")
    listing.add_argument(
        "--action", dest="kind", default="", metavar="NAME", help="only this, or what begins so, such as user."
    )
    listing.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_rules(commands: Any, common: argparse.ArgumentParser) -> None:
    text = "import, list, explain and test the rules, and see what they cover"
    rules = commands.add_parser("rules", help=text, description=f"{text[0].upper()}{text[1:]}.")
    actions = rules.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")

    def add(name: str, text: str) -> Any:
        added = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[common])
        added.set_defaults(command=_rules)
        return added

    bring = add("import", "take the rules out of a file, a folder or a SigmaHQ release package")
    bring.add_argument(
        "source", type=Path, metavar="PATH|ZIP", help="a rule file, a folder, or a .zip from SigmaHQ's releases"
    )
    bring.add_argument("--name", metavar="NAME", help="what to call them; an import of that name is replaced")
    bring.add_argument("--to", type=Path, metavar="DIR", help="put them into DIR, not below detection.imported.folder")
    listing = add("list", "every rule that is in use, a line each")
    listing.add_argument("--all", action="store_true", help="those that are switched off too, and why")
    listing.add_argument("--refused", action="store_true", help="what is wrong with those that cannot be used")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = add("show", "one rule as it is written")
    show.add_argument("rule", metavar="RULE", help="short name or id")
    explain = add("explain", "one rule in plain sentences: what it looks for, what tunes it, whether it can fire here")
    explain.add_argument("rule", metavar="RULE", help="short name or id")
    test = add("test", "run one rule over recorded events; prints what it finds")
    test.add_argument("rule", metavar="RULE", help="short name or id, or a rule file")
    test.add_argument(
        "events",
        nargs="+",
        type=Path,
        metavar="EVENTS",
        help="JSON lines, EVTX, pcap or pcapng; a folder with match.jsonl and nomatch.jsonl is checked (exit code 1)",
    )
    cover = add("coverage", "which rules cannot fire on this host and why, and the ATT&CK techniques that are covered")
    cover.add_argument("--json", action="store_true", help="as one JSON object")
    cover.add_argument(
        "--platform", choices=["linux", "windows"], default="", help="judge for a host of that platform, not this one"
    )


def _add_notify(commands: Any, common: argparse.ArgumentParser) -> None:
    text = "send a test message; show what waits to be told, was told or given up"
    notify = commands.add_parser("notify", help=text, description=f"{text[0].upper()}{text[1:]}.")
    actions = notify.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")

    def add(name: str, text: str) -> Any:
        added = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[common])
        added.set_defaults(command=_notify)
        return added

    test = add("test", "send a test message and say what happened; exit code 1 when it was not taken")
    test.add_argument("name", metavar="ROUTE|TARGET", help="a route (each of its targets is told) or one target")
    listing = add("list", "what waits in the outbox, and what was sent or given up lately")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="messages to show (default: 50)")
    listing.add_argument("--json", action="store_true", help="as one JSON object")
