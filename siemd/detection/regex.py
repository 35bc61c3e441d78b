"""Regular expressions of rules, which must not take long on any text that an attacker writes.

RE2 searches in linear time and understands nearly all of PCRE; it reads the classes \\d, \\w, \\s and \\b as ASCII, as
PCRE does. Python's engine is quicker to call, so it takes short ASCII texts for patterns on which it can't take long;
there both say the same. What RE2 refuses (look-around, back-references) Python's engine does alone, on less of a text;
such a pattern must not repeat what can be read in several ways, for then a few dozen signs keep it busy for years.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

MAX_TEXT = 65_536  # characters; what follows is not searched
MAX_BACKTRACKING_TEXT = 2_048  # the same for patterns that RE2 refuses
MAX_UNTAMED_TEXT = 512  # the same for those of them that may take long
QUICK_TEXT = 256
FEW_REPEATS = 16
MAX_WAYS = 32
MEMORY_BYTES = 8 << 20  # of one pattern at most
_SIGNS = (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY)
_TEXT_END = re.compile(r"(?<!\\)((?:\\\\)*)\\Z")  # Python's name for what RE2 calls \z
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)

Search = Callable[[str], bool]


def parse_regex(expression: str) -> Any:
    """The pattern's parts as Python's engine reads them; None when it reads them otherwise than PCRE, or not at all."""
    if "[[:" in expression:  # a class such as [[:digit:]], which Python takes for signs
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are meant for authors of Python code
            return _parser.parse(expression)
    except (re.error, ValueError, OverflowError, RecursionError):
        return None


@lru_cache(16_384)
def compile_regex(expression: str) -> Search:
    """Whether the pattern is found in a text. Raises re.error for what is no pattern, or one that may never end."""
    parsed = parse_regex(expression)
    linear = _linear(expression)
    if parsed is None and linear is not None:
        return lambda text: linear(text[:MAX_TEXT])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backtracking = re.compile(expression).search
    if linear is None:
        if parsed is None or _may_run_wild(parsed):
            raise re.error(
                "only a backtracking engine knows this, which may search for ever: it repeats what has several readings"
            )
        limit = MAX_BACKTRACKING_TEXT if _is_tame(parsed) else MAX_UNTAMED_TEXT
        return lambda text: backtracking(text[:limit]) is not None
    # for PCRE and Python `$` is also before a line's end that ends the text, for RE2 it is not
    cuts = _constants.AT_END in _anchors(parsed) and not parsed.state.flags & re.MULTILINE
    quick = _is_tame(parsed)

    def search(text: str) -> bool:
        if quick and len(text) <= QUICK_TEXT and text.isascii():
            return backtracking(text) is not None
        found = linear(text[:MAX_TEXT])
        if not found and cuts and text.endswith("\n") and len(text) <= MAX_TEXT:
            found = linear(text[:-1])
        return found

    return search


def _linear(expression: str) -> Search | None:
    """The pattern for RE2; None if it has what RE2 lacks."""
    import re2  # costs memory and time that rules without a regex do not need

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MEMORY_BYTES
    try:
        search = re2.compile(_TEXT_END.sub(r"\1\\z", expression), options).search
    except re2.error:
        return None

    def found(text: str) -> bool:
        try:
            return search(text) is not None
        except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 can't hold
            return search(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")) is not None

    return found


def _anchors(parsed: Any) -> set[Any]:
    """The anchors anywhere in a pattern."""
    found: set[Any] = set()
    for operation, argument in _operations(parsed):
        if operation is _constants.AT:
            found.add(argument)
    return found


def _is_tame(parsed: Any) -> bool:
    """Whether backtracking costs at most a small multiple of the square of a text's length.

    At most one sign may repeat without end, and what else is optional may be so in few ways.
    """
    endless, ways = 0, 1
    for operation, argument in _operations(parsed):
        if operation in _REPEATS:
            least, most, body = argument
            if most > FEW_REPEATS:
                endless += 1
            else:
                ways *= 1 + most - least
            if most > 1 and not _is_sign(body):
                return False
        elif operation is _constants.BRANCH:
            ways *= len(argument[1])
    return endless <= 1 and ways <= MAX_WAYS


def _may_run_wild(parsed: Any) -> bool:
    """Whether something that can be read in several ways is repeated: then the ways multiply with every sign."""
    for operation, argument in _operations(parsed):
        if operation in _REPEATS and argument[1] > 1:
            for inner, more in _operations(argument[2]):
                if inner is _constants.BRANCH or (inner in _REPEATS and more[0] != more[1]):
                    return True
    return False


def _is_sign(body: Any) -> bool:
    return len(body) == 1 and body[0][0] in _SIGNS


def _operations(parsed: Any) -> list[tuple[Any, Any]]:
    """All operations of a pattern, those inside others too."""
    found: list[tuple[Any, Any]] = []
    for operation, argument in parsed:
        found.append((operation, argument))
        if operation is _constants.SUBPATTERN:
            found += _operations(argument[3])
        elif operation is _constants.ATOMIC_GROUP:
            found += _operations(argument)
        elif operation is _constants.BRANCH:
            for one in argument[1]:
                found += _operations(one)
        elif operation in _REPEATS:
            found += _operations(argument[2])
        elif operation in (_constants.ASSERT, _constants.ASSERT_NOT):
            found += _operations(argument[1])
        elif operation is _constants.GROUPREF_EXISTS:
            for one in argument[1:]:
                found += _operations(one) if one is not None else []
    return found
