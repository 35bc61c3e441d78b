"""The API described by itself: OpenAPI as JSON, and as a page that needs no script and nothing from elsewhere."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar._openapi.plugin import OpenAPIPlugin
from litestar.openapi.config import OpenAPIConfig

from siemd import __version__
from siemd.web.access.roles import RIGHTS, Right
from siemd.web.application import right_of, routes
from siemd.web.problems import MEDIA_TYPE, Problem
from siemd.web.services import TheServices

_SECURITY: dict[str, Any] = {
    "session": {"type": "apiKey", "in": "cookie", "name": "__Host-siemd", "description": "siemd_session on loopback"},
    "token": {"type": "http", "scheme": "bearer", "description": "An API token, siemd_…"},
}
_METHODS = ("get", "post", "put", "patch", "delete")


@get("/api/v1/openapi.json", opt={"right": Right.PUBLIC}, include_in_schema=False)
async def openapi_json(request: Request[Any, Any, Any], services: TheServices) -> Response[bytes]:
    """The description of the API, OpenAPI 3.1."""
    document = await asyncio.to_thread(describe, request.app, services.web.base_path)
    return Response(msgspec.json.encode(document), media_type="application/json")


@get("/api/v1/docs", opt={"right": Right.PUBLIC}, include_in_schema=False)
async def openapi_page(request: Request[Any, Any, Any], services: TheServices) -> Response[bytes]:
    """The same as a page for people."""
    document = await asyncio.to_thread(describe, request.app, services.web.base_path)
    return Response(page(document).encode(), media_type="text/html")


def describe(app: Litestar, base_path: str) -> dict[str, Any]:
    """The OpenAPI document with what Litestar can't know: rights, kinds of login, and problems as answers."""
    known = getattr(app.state, "openapi", None)
    if known is not None:
        return known  # type: ignore[no-any-return]
    plugin = app.plugins.get(OpenAPIPlugin)
    plugin._openapi_config = OpenAPIConfig(  # as if it served it, which openapi_config=… makes it do
        title="siemd",
        version=__version__,
        description="Every time is RFC 3339 in UTC; every error is a problem of RFC 9457.",
        use_handler_docstrings=True,
    )
    document: dict[str, Any] = msgspec.to_builtins(plugin.provide_openapi_schema())
    document["servers"] = [{"url": base_path or "/"}]
    rights = {(path, method.lower()): right_of(handler) for path, method, handler in routes(app)}
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    schemas = components.setdefault("schemas", {})
    _made, parts = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    schemas.update(parts)
    problem = {
        "description": "A problem",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method not in operations:
                continue
            operation, right = operations[method], rights[path, method]
            operation["x-siemd-right"] = right.value
            operation["security"] = [] if right is Right.PUBLIC else [{"session": []}, {"token": []}]
            operation["responses"].pop("400", None)
            operation["responses"]["default"] = problem
    app.state["openapi"] = document
    return document


def page(document: dict[str, Any]) -> str:
    """The document as HTML; everything that is not markup of ours is escaped."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>siemd API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="../../static/style.css"></head><body><main>'
    )
    info = document["info"]
    parts = [head, f"<h1>siemd API {escape(info['version'])}</h1><p>{escape(info['description'])} "]
    parts.append('As JSON: <a href="openapi.json">openapi.json</a>.</p>')
    for path, operations in sorted(document["paths"].items()):
        parts += [_operation(path, method, operations[method]) for method in _METHODS if method in operations]
    parts.append("<h2>Schemas</h2>")
    for name, schema in sorted(document["components"]["schemas"].items()):
        text = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
        parts.append(
            f'<details id="{escape(name)}"><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>'
        )
    parts.append("</main></body></html>")
    return "".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    right = operation["x-siemd-right"]
    roles: list[str] = [role for role, rights in RIGHTS.items() if right in rights] or ["anybody"]
    rows = [
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        f"<td>{escape(_type(parameter.get('schema', {})))}</td><td>{escape(parameter.get('description', ''))}</td></tr>"
        for parameter in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        rows.append(f"<tr><td>body</td><td>JSON</td><td>{escape(_type(body))}</td><td></td></tr>")
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    summary = operation.get("description") or operation.get("summary", "")
    return (
        f"<section><h2><span class=method>{method.upper()}</span> <code>{escape(path)}</code></h2><p>{escape(summary)}"
        f"</p><p class=right>right <code>{escape(right)}</code>: {', '.join(roles)}</p>{table}</section>"
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "oneOf" in schema or "anyOf" in schema:
        return " or ".join(_type(part) for part in schema.get("oneOf") or schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    return str(schema.get("format") or schema.get("type", "anything"))


HANDLERS = [openapi_json, openapi_page]
