"""What siemd.yaml may hold, told from the typed configuration itself: the documented file and its JSON Schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml
from msgspec import inspect

from siemd.config import Config
from siemd.units import Bytes, Clock, Seconds

_PLAIN: dict[type[Any], str] = {
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.NoneType: "null",
}


_SECRETIVE = ("notify.", "storage.url", "web.oidc.")  # what stands there may be a password, or have one in it


def default_yaml() -> str:
    """siemd.yaml with every key at its default and what it means; config/siemd.yaml is exactly this text."""
    lines = [
        "# siemd.yaml: every key, at its default. Keep only what you change; unknown keys are refused.",
        "# Durations: 500ms, 10s, 5m, 2h, 30d. Sizes: 64KiB, 32MiB, 1GiB. ${NAME} is replaced from the environment.",
        "# `siemd check` tells whether this file and the rules are right; `siemd config schema` helps editors.",
    ]
    _document(inspect.type_info(Config), Config(), lines, 0)
    return "\n".join(lines) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of siemd.yaml, for editors."""
    schema = _schema(inspect.type_info(Config), Config())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "siemd.yaml", **schema}


class Key(msgspec.Struct):
    """A key of siemd.yaml as it is in force, and its default; both as YAML writes them."""

    key: str
    value: str
    default: str


def keys_in_force(config: Config) -> list[Key]:
    """Every key that can't hold a secret, such as `storage.retention.logs`."""
    default = Config(data_dir=config.data_dir)
    default.settle()
    return [key for key in _keys(inspect.type_info(Config), config, default, "") if not key.key.startswith(_SECRETIVE)]


def _keys(info: Any, config: Any, default: Any, prefix: str) -> Iterator[Key]:
    for field in info.fields:
        kind, _description = _unwrap(field.type)
        value, usual = getattr(config, field.name), getattr(default, field.name)
        name = prefix + field.encode_name
        if isinstance(kind, inspect.StructType):
            yield from _keys(kind, value, usual, f"{name}.")
        else:
            yield Key(name, _scalar(value), _scalar(usual))


def _unwrap(kind: Any) -> tuple[Any, str]:
    """A type without its metadata, and the description found there."""
    description = ""
    while isinstance(kind, inspect.Metadata):
        description = (kind.extra_json_schema or {}).get("description", description)
        kind = kind.type
    if isinstance(kind, inspect.StructType) and not description:
        description = (kind.cls.__doc__ or "").strip().split("\n\n")[0]
    return kind, " ".join(description.split())


def _document(info: Any, defaults: Any, lines: list[str], depth: int) -> None:
    """Append a struct's keys to `lines`, each under its description."""
    pad = "  " * depth
    for field in info.fields:
        kind, description = _unwrap(field.type)
        value = getattr(defaults, field.name)
        if depth == 0 or isinstance(kind, inspect.StructType):
            lines.append("")
        wrapped = textwrap.wrap(description, 110 - len(pad), break_long_words=False)
        lines.extend(f"{pad}# {line}" for line in wrapped)
        if isinstance(kind, inspect.StructType):
            lines.append(f"{pad}{field.encode_name}:")
            _document(kind, value, lines, depth + 1)
        elif structs := _items(kind):
            lines.append(f"{pad}{field.encode_name}: {_scalar(value)}")
            _document_items(kind, structs, lines, pad)
        elif isinstance(value, dict) and value:
            lines.append(f"{pad}{field.encode_name}:")
            lines.extend(f"{pad}  {_scalar(key)}: {_scalar(item)}" for key, item in value.items())
        else:
            lines.append(f"{pad}{field.encode_name}: {_scalar(value)}")


def _items(kind: Any) -> list[Any]:
    """The structs that a list or a mapping holds, or that may stand where nothing is by default."""
    if isinstance(kind, inspect.ListType | inspect.DictType):
        item, _ = _unwrap(kind.item_type if isinstance(kind, inspect.ListType) else kind.value_type)
        found = item.types if isinstance(item, inspect.UnionType) else [item]
    else:
        found = kind.types if isinstance(kind, inspect.UnionType) else []
    return [struct for struct in (_unwrap(one)[0] for one in found) if isinstance(struct, inspect.StructType)]


def _document_items(kind: Any, structs: list[Any], lines: list[str], pad: str) -> None:
    """What an item may say, as comments, each key at its default or `(required)`."""
    if isinstance(kind, inspect.DictType):
        inner, opening = "  ", ["NAME:"]
    else:
        inner, opening = "  ", ["-"] if isinstance(kind, inspect.ListType) else []
    for struct in structs:
        lines.extend(f"{pad}#   {line}" for line in opening)
        body: list[str] = []
        _document_struct(struct, body)
        lines.extend(f"{pad}#   {inner}{line}".rstrip() for line in body)


def _document_struct(struct: Any, body: list[str], *, told: bool = False) -> None:
    """Append a struct's keys, under what it is for unless that was told."""
    _, description = _unwrap(struct)
    body.extend(f"# {line}" for line in ([] if told else textwrap.wrap(description, 96)))
    if struct.tag_field is not None:
        body.append(f"{struct.tag_field}: {struct.tag}")
    for field in struct.fields:
        kind, description = _unwrap(field.type)
        body.extend(f"# {line}" for line in textwrap.wrap(description, 96, break_long_words=False))
        if field.default_factory is not msgspec.NODEFAULT:
            value = field.default_factory()
        else:
            value = field.default
        name = field.encode_name
        if isinstance(kind, inspect.StructType):
            body.append(f"{name}:")
            inner: list[str] = []
            _document_struct(kind, inner, told=bool(description))
            body.extend(f"  {line}" for line in inner)
        else:
            body.append(f"{name}: {'(required)' if value is msgspec.NODEFAULT else _scalar(value)}")
            if inside := _items(kind):
                _document_items(kind, inside, body, "")


def _scalar(value: Any) -> str:
    style = '"' if isinstance(value, str) and "\n" in value else None
    text = yaml.safe_dump(_plain(value), default_flow_style=True, default_style=style, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    """A default as YAML and JSON hold it: durations and sizes as people write them."""
    return msgspec.to_builtins(value, enc_hook=str)


def _schema(kind: Any, default: Any = msgspec.UNSET) -> dict[str, Any]:
    kind, description = _unwrap(kind)
    result: dict[str, Any] = {"description": description} if description else {}
    if isinstance(kind, inspect.StructType):
        properties = {f.encode_name: _schema(f.type, getattr(default, f.name, msgspec.UNSET)) for f in kind.fields}
        required = [f.encode_name for f in kind.fields if f.required]
        if kind.tag_field is not None:
            properties = {kind.tag_field: {"description": "Which channel this is.", "const": kind.tag}} | properties
            required.insert(0, kind.tag_field)
        result |= {"type": "object", "properties": properties, "additionalProperties": False}
        return {**result, "required": required} if required else result
    if isinstance(kind, inspect.UnionType):
        result["anyOf"] = [_schema(member) for member in kind.types]
    elif isinstance(kind, inspect.LiteralType):
        result["enum"] = list(kind.values)
    elif isinstance(kind, inspect.ListType):
        result |= {"type": "array", "items": _schema(kind.item_type)}
    elif isinstance(kind, inspect.DictType):
        result |= {"type": "object", "additionalProperties": _schema(kind.value_type)}
    elif isinstance(kind, inspect.CustomType):
        examples = {Seconds: ["10s", "5m"], Bytes: ["32MiB", "1GiB"], Clock: ["22:00"]}
        result |= {"type": ["string", "number"], "examples": examples.get(kind.cls, [])}
    else:
        result["type"] = _PLAIN[type(kind)]
        bounds = {"minimum": getattr(kind, "ge", None), "maximum": getattr(kind, "le", None)}
        result |= {name: bound for name, bound in bounds.items() if bound is not None}
    if default is not msgspec.UNSET:
        result["default"] = _plain(default)
    return result
