"""Errors as RFC 9457 problems: what went wrong, in words for a person, without a word of the inside."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from siemd.errors import StoreError, UserError
from siemd.logger import get_logger
from siemd.storage.columns import BadQuery
from siemd.storage.database import QueryTimeout

MEDIA_TYPE = "application/problem+json"


class FieldError(msgspec.Struct, omit_defaults=True):
    """What is wrong with one part of a request. where: body, query, path or header."""

    message: str
    key: str = ""
    where: str = ""


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457. type: `about:blank`, or a word of ours that programs may act on; request_id finds it in siemd's log."""

    title: str
    status: int
    detail: str = ""
    type: str = "about:blank"
    request_id: str = ""
    errors: list[FieldError] = []


class Refused(HTTPException):
    """What a handler raises to answer with a problem.

    kind: a short word such as `step-up-required`; detail: a sentence that says what to do; errors: of what it is about,
    one by one.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        headers: dict[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail=detail, status_code=status, headers=headers)
        self.kind = kind
        self.errors = list(errors)


def not_found(what: str) -> Refused:
    """There is no such thing, or not for whom asks."""
    return Refused(404, f"there is no such {what}")


def problem_of(error: Exception) -> tuple[Problem, dict[str, str]]:
    """The problem that an exception amounts to, and headers to go with it."""
    if isinstance(error, Refused):
        kind = f"urn:siemd:problem:{error.kind}" if error.kind else "about:blank"
        problem = _problem(error.status_code, error.detail, kind)
        problem.errors = error.errors
        return problem, _headers(error)
    if isinstance(error, ValidationException):
        problem = _problem(422, "the request is not what this place expects")
        problem.errors = [_field_error(extra) for extra in error.extra or [] if isinstance(extra, dict)]
        return problem, {}
    if isinstance(error, HTTPException):
        detail = error.detail if error.status_code < 500 and error.status_code not in (404, 405) else ""
        return _problem(error.status_code, detail[:300]), _headers(error)
    if isinstance(error, StoreError):
        text = "the store does not answer now; try again"
        if isinstance(error, QueryTimeout):
            text = "the store did not answer in time; ask for less, or for a shorter time"
        return _problem(503, text, "urn:siemd:problem:store"), {"Retry-After": "2"}
    if isinstance(error, RecursionError):  # a body of ten thousand brackets, which is all that gets as deep
        return _problem(400, "the body is nested too deeply"), {}
    if isinstance(error, BadQuery):
        problem = _problem(422, str(error)[:1000])
        problem.errors = [FieldError(error.message[:300], error.field, "query")] if error.field else []
        return problem, {}
    if isinstance(error, UserError):  # what a person asked for can't be done, and the sentence says why
        return _problem(422, str(error)[:1000]), {}
    return _problem(500, "siemd made a mistake; its log says more"), {}


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's handler for every exception."""
    problem, headers = problem_of(error)
    if problem.status == 405:
        path = request.scope["path"]
        allowed = (methods for pattern, methods in request.app.state["methods"] if pattern.fullmatch(path))
        headers = {"Allow": next(allowed, "GET")}
    problem.request_id = str(request.scope.get("siemd_request_id", ""))
    log = get_logger("siemd.web")
    if problem.status == 500:
        log.error("web.bug", request_id=problem.request_id, path=request.scope["path"][:200], exc_info=error)
    elif problem.status == 503:
        log.warning("web.unavailable", request_id=problem.request_id, reason=str(error))
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def _problem(status: int, detail: str, kind: str = "about:blank") -> Problem:
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, type=kind)


def _headers(error: HTTPException) -> dict[str, str]:
    return {name: str(value) for name, value in (error.headers or {}).items()}


def _field_error(extra: dict[str, Any]) -> FieldError:
    source = extra.get("source", "")
    return FieldError(
        message=str(extra.get("message", ""))[:300],
        key=str(extra.get("key", "")),
        where=str(getattr(source, "value", source)),
    )
