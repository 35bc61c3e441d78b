"""Field modifiers: `Field|contains|all: value` becomes tests; what is not understood is refused with its reason."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from siemd.detection import pattern
from siemd.detection.nearest import did_you_mean
from siemd.detection.nodes import (
    Cidr,
    Compare,
    CompareOperator,
    Exists,
    FieldRef,
    Match,
    Node,
    Null,
    Number,
    Regex,
    Test,
    Text,
    TimePart,
    TimeUnit,
    all_of,
    any_of,
    negate,
)
from siemd.detection.regex import compile_regex
from siemd.detection.view import MAX_INTEGER_BITS

COMPARISONS: tuple[CompareOperator, ...] = ("lt", "lte", "gt", "gte")
TIME_UNITS: tuple[TimeUnit, ...] = ("minute", "hour", "day", "week", "month", "year")
PLACES = ("contains", "startswith", "endswith")
ENCODINGS = ("base64", "base64offset", "utf16le", "utf16be", "utf16", "wide", "windash")
REGEX_FLAGS = ("i", "m", "s")
SYNONYMS = {"ignorecase": "i", "multiline": "m", "dotall": "s"}  # what pySigma knows beside the specification
SPECIAL = ("re", "cidr", "exists", "fieldref")
KNOWN = (*PLACES, *ENCODINGS, *COMPARISONS, *TIME_UNITS, *REGEX_FLAGS, *SPECIAL, "all", "cased", "neq", "expand")
_UTF16 = {"utf16le": "utf-16-le", "wide": "utf-16-le", "utf16be": "utf-16-be", "utf16": "utf-16-le"}
MAX_REGEX_CHARACTERS = 4096
MAX_TESTS_PER_VALUE = 4096
MAX_TESTS = 200_000  # of a rule, its condition spelled out
TOO_MANY_TESTS = f"more than {MAX_TESTS} tests, all variants of all values counted"
_PLACEHOLDER = re.compile(r"(?<!\\)%([^%\\\s]{1,100})%")
_NO_PLACEHOLDER = re.compile(r"\\(?=%)")


class BadItem(Exception):
    """A modifier or value that is wrong; `index` of the value in its list, None when the key is to blame."""

    def __init__(self, message: str, hint: str = "", index: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.index = index


class MissingValues(BadItem):
    """A placeholder for which the configuration has no values."""


def build(
    field: str | None, modifiers: list[str], values: list[Any], placeholders: Mapping[str, Sequence[Any]] | None = None
) -> Node:
    """The condition that one line of a selection states; raises BadItem.

    placeholders: what `%name%` stands for under the modifier `expand`; each of its values is enough.
    """
    modifiers = [SYNONYMS.get(name, name) for name in modifiers]
    check(modifiers)
    wanted_all = "all" in modifiers
    negated = "neq" in modifiers
    chain = [name for name in modifiers if name not in ("all", "neq", "expand")]
    convert = _converter(chain)
    items: list[Node] = []
    made = 0
    for index, value in enumerate(values):
        if isinstance(value, list | dict):
            raise BadItem("expected a text, a number, true, false or null", index=index)
        if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
            raise BadItem("a number beyond measure", index=index)
        try:
            spelled = _expand(value, placeholders or {}, "re" in chain) if "expand" in modifiers else [value]
            tests = [test for one in spelled for test in convert(one)]
        except BadItem as error:
            error.index = index
            raise
        if field is None:
            tests = [_keyword(test, index) for test in tests]
        items.append(any_of([Match(field, test) for test in tests]))
        made += len(tests)
        if made > MAX_TESTS:
            raise BadItem(TOO_MANY_TESTS, index=index)
    node = all_of(items) if wanted_all else any_of(items)
    return negate(node) if negated else node


def check(modifiers: list[str]) -> None:
    """Refuse unknown modifiers and doubles."""
    for name in modifiers:
        if name not in KNOWN:
            raise BadItem(f"unknown modifier {name!r}", did_you_mean(name, KNOWN))
        if modifiers.count(name) > 1:
            raise BadItem(f"the modifier {name!r} stands here twice")


def _expand(value: Any, placeholders: Mapping[str, Sequence[Any]], is_regex: bool) -> list[Any]:
    """The value with its placeholders filled in, in every combination; values may hold wildcards (not in a regex).

    A per cent sign behind a backslash is plain.
    """
    if not isinstance(value, str):
        return [value]
    texts = [""]
    for index, piece in enumerate(_PLACEHOLDER.split(value)):
        choices: Sequence[Any] = [_NO_PLACEHOLDER.sub("", piece)]
        if index % 2:
            choices = placeholders.get(piece) or ()
            if not choices:
                hint = f"give them in siemd.yaml: detection: {{placeholders: {{{piece}: [...]}}}}"
                raise MissingValues(f"the placeholder %{piece}% has no values", hint)
            if is_regex:
                choices = [re.escape(str(choice)) for choice in choices]
        if len(texts) * len(choices) > MAX_TESTS_PER_VALUE:
            raise BadItem("the placeholders multiply this value beyond measure")
        texts = [f"{text}{choice}" for text in texts for choice in choices]
    return list(texts)


def _converter(chain: list[str]) -> Callable[[Any], list[Test]]:
    """How a single value becomes tests (any of which is enough) under these modifiers."""
    special = [name for name in chain if name in SPECIAL]
    units = [name for name in TIME_UNITS if name in chain]
    comparisons = [name for name in COMPARISONS if name in chain]
    rest = set(chain) - set(special) - set(units) - set(comparisons)
    if len(special) > 1 or len(units) > 1 or len(comparisons) > 1:
        raise BadItem(f"the modifiers {', '.join(special or units or comparisons)} exclude each other")
    if special and (units or comparisons):
        raise BadItem(f"the modifiers {special[0]} and {(units or comparisons)[0]} exclude each other")
    allowed: set[str] = set()
    if special == ["re"]:
        allowed = {*REGEX_FLAGS, *PLACES}
    elif special == ["fieldref"]:
        allowed = {*PLACES, "cased"}
    elif not special and not units and not comparisons:
        allowed = {*PLACES, *ENCODINGS, "cased"}
    wrong = sorted(rest - allowed)
    if wrong:
        what = (special or units or comparisons or ["re"])[0]
        if wrong[0] in REGEX_FLAGS:
            raise BadItem(f"the modifier {wrong[0]!r} is a flag of 're'", "write Field|re|i")
        raise BadItem(f"the modifier {wrong[0]!r} cannot be combined with {what!r}")
    if special == ["re"]:
        return lambda value: [_regex(value, [name for name in chain if name in REGEX_FLAGS], _place(chain))]
    if special == ["cidr"]:
        return lambda value: [_cidr(value)]
    if special == ["exists"]:
        return lambda value: [_exists(value)]
    if special == ["fieldref"]:
        return lambda value: [_fieldref(value, chain)]
    if units:
        return lambda value: [_time_part(units[0], comparisons, value)]
    if comparisons:
        return lambda value: [Compare(comparisons[0], _number(value))]
    return lambda value: _texts(value, chain)


def _texts(value: Any, chain: list[str]) -> list[Test]:
    """Plain values and the string modifiers, applied from left to right."""
    if value is None:
        if chain:
            raise BadItem(f"null cannot be combined with the modifier {chain[0]!r}")
        return [Null()]
    if isinstance(value, int | float) and not isinstance(value, bool) and not chain:
        return [Number(value)]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    values: list[pattern.Value] = [pattern.parse(text)]
    for name in chain:
        if name != "cased":
            values = [variant for one in values for variant in _apply(name, one)]
        if len(values) > MAX_TESTS_PER_VALUE:
            raise BadItem("the modifiers multiply this value beyond measure")
    return list(dict.fromkeys(pattern.as_test(one, "cased" in chain) for one in values))


def _apply(name: str, value: pattern.Value) -> list[pattern.Value]:
    if name in PLACES:
        return [pattern.surround(value, before=name != "startswith", after=name != "endswith")]
    if name == "windash":
        variants = pattern.dash_variants(value)
        if variants is None:
            raise BadItem(f"'windash' on more than {pattern.MAX_DASHES} dashes is not supported")
        return list(variants)
    data = pattern.plain_bytes(value)
    if data is None:
        raise BadItem(f"the modifier {name!r} cannot encode wildcards", r"write \* for a star, and put 'contains' last")
    if name == "base64":
        return [pattern.encode_base64(data)]
    if name == "base64offset":
        return list(pattern.encode_base64_offsets(data))
    try:
        encoded = data.decode("utf-8").encode(_UTF16[name])
    except UnicodeError:
        raise BadItem(f"the modifier {name!r} needs a text") from None
    return [b"\xff\xfe" + encoded if name == "utf16" else encoded]


def _place(chain: list[str]) -> str:
    """Where in the value's text something has to stand; empty when no modifier says so."""
    kinds = [name for name in PLACES if name in chain]
    if len(kinds) > 1:
        raise BadItem(f"the modifiers {kinds[0]} and {kinds[1]} exclude each other")
    return kinds[0] if kinds else ""


def _regex(value: Any, flags: list[str], place: str) -> Regex:
    """The expression is found anywhere, unless `startswith` or `endswith` ties it to an end of the value."""
    if is_number(value):
        value = str(value)
    if not isinstance(value, str):
        raise BadItem("expected a regular expression")
    if len(value) > MAX_REGEX_CHARACTERS:
        raise BadItem(f"a regular expression of more than {MAX_REGEX_CHARACTERS} characters")
    if place == "startswith":
        value = rf"\A(?:{value})"
    elif place == "endswith":
        value = rf"(?:{value})\Z"
    expression = _with_flags(flags, value)
    try:
        try:
            compile_regex(expression)
        except re.error:
            inline = re.search(r"\(\?([ims]+)\)", value)
            if inline is None or inline.start() == 0:
                raise
            # the engine for what RE2 refuses takes flags only in front
            value = value[: inline.start()] + value[inline.end() :]
            expression = _with_flags([*flags, *inline[1]], value)
            compile_regex(expression)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise BadItem(f"not a regular expression: {error}") from None
    return Regex(expression)


def _with_flags(flags: list[str], expression: str) -> str:
    return f"(?{''.join(dict.fromkeys(flags))}){expression}" if flags else expression


def _cidr(value: Any) -> Cidr:
    try:
        network = ipaddress.ip_network(value if isinstance(value, str) else "", strict=False)
    except ValueError:
        raise BadItem("expected a network such as 10.0.0.0/8 or fe80::/10") from None
    return Cidr(network.version, int(network.network_address), int(network.netmask))


def _exists(value: Any) -> Exists:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        value = value.lower() == "true"
    if not isinstance(value, bool):
        raise BadItem("expected true or false")
    return Exists(value)


def _fieldref(value: Any, chain: list[str]) -> FieldRef:
    if not isinstance(value, str) or not value:
        raise BadItem("expected the name of another field")
    cased = "cased" in chain
    match _place(chain):
        case "contains":
            return FieldRef(value, "contains", cased)
        case "startswith":
            return FieldRef(value, "startswith", cased)
        case "endswith":
            return FieldRef(value, "endswith", cased)
    return FieldRef(value, "equals", cased)


def _time_part(unit: str, comparisons: list[CompareOperator], value: Any) -> TimePart:
    number = _number(value)
    if not math.isfinite(number) or number != int(number):
        raise BadItem("expected a whole number")
    name: TimeUnit = next(known for known in TIME_UNITS if known == unit)
    return TimePart(name, int(number), comparisons[0] if comparisons else "eq")


def is_number(value: Any) -> bool:
    """Whether YAML gave a number (true and NaN are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _number(value: Any) -> int | float:
    if isinstance(value, str):
        try:
            value = float(value) if "." in value else int(value)
        except ValueError:
            pass
    if not is_number(value):
        raise BadItem("expected a number")
    number: int | float = value
    return number


def _keyword(test: Test, index: int) -> Test:
    """A keyword is searched inside every value of the event, so its text need not fill a value."""
    if isinstance(test, Regex):
        return test
    if isinstance(test, Number):
        return pattern.as_test(pattern.surround((str(test.value),), before=True, after=True), cased=False)
    if not isinstance(test, Text):
        raise BadItem("a keyword is a text, a number or a regular expression", index=index)
    if test.kind == "glob":
        return pattern.as_test(pattern.surround(test.parts, before=True, after=True), test.cased)
    return pattern.as_test(pattern.surround((test.literal,), before=True, after=True), test.cased)
