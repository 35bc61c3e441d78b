"""Tries of rules on a time range of the store: started, looked at and cancelled."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from siemd.detection.trial import Setup
from siemd.errors import UserError
from siemd.events import now_us
from siemd.web.access.roles import Right
from siemd.web.api.rules import Tuning, entry_of
from siemd.web.asking import time_range
from siemd.web.problems import not_found
from siemd.web.services import Caller, Services, TheServices, actor
from siemd.web.trials import RuleTest

TEST = {"right": Right.TEST_RULES}


class NewTest(msgspec.Struct, forbid_unknown_fields=True):
    """What to try: a rule by its name or id, as tuned now or otherwise; or source, a Sigma rule of one's own.

    start and end: RFC 3339, or relative such as -24h; end empty: until now.
    """

    rule: Annotated[str, Meta(max_length=200)] = ""
    source: Annotated[str, Meta(max_length=200_000)] = ""
    tuning: Tuning | None = None
    start: Annotated[str, Meta(max_length=40)] = "-24h"
    end: Annotated[str, Meta(max_length=40)] = ""


@post("/api/v1/rule-tests", opt=TEST, tags=["rules"], status_code=202)
async def start_test(
    data: JSONBody[NewTest], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> RuleTest:
    """Try a rule on the past, in the background; one at a time a person."""
    if bool(data.rule) == bool(data.source):
        raise UserError("a test wants either rule or source", "give one of them")
    start_us, end_us = time_range(data.start, data.end, services.web.limits.time_range_s)
    setup = Setup(services.config.detection, data.rule, data.source, await _overlay(services, data))
    test = services.trials.start(principal.user_id, setup, start_us, now_us() if end_us is None else end_us)
    await services.audit.record(actor(request, principal), "rule.tested", test.rule, start=test.start, end=test.end)
    return test


@get("/api/v1/rule-tests", opt=TEST, tags=["rules"], sync_to_thread=False)
def list_tests(principal: Caller, services: TheServices) -> list[RuleTest]:
    """One's own tries, the newest first."""
    return services.trials.of(principal.user_id)


@get("/api/v1/rule-tests/{test_id:str}", opt=TEST, tags=["rules"], sync_to_thread=False)
def show_test(test_id: FromPath[str], principal: Caller, services: TheServices) -> RuleTest:
    """How far one is, and what it found."""
    test = services.trials.get(principal.user_id, test_id)
    if test is None:
        raise not_found("test")
    return test


@delete("/api/v1/rule-tests/{test_id:str}", opt=TEST, status_code=204, tags=["rules"], sync_to_thread=False)
def cancel_test(test_id: FromPath[str], principal: Caller, services: TheServices) -> None:
    """Cancel one, or forget it when it has ended."""
    if not services.trials.cancel(principal.user_id, test_id):
        raise not_found("test")


async def _overlay(services: Services, data: NewTest) -> str:
    """The text of the API's overlay as it would be with the tuning; empty when that changes nothing."""
    book = services.rulebook
    if data.source:
        if data.tuning is not None:
            raise UserError("a draft is tuned in its own text", "leave tuning out")
        return ""
    rules = (await book.rules()).find(data.rule)
    if not rules:
        raise not_found("rule")
    if data.tuning is None:
        return ""
    entry = entry_of(rules[0], data.rule, data.tuning)
    return await asyncio.to_thread(book.overlay.text_with, entry)


HANDLERS = [start_test, list_tests, show_test, cancel_test]
