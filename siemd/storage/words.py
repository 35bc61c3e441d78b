"""Free text of a question: words that must all stand in a row, in quotes together, with a minus not at all."""

from __future__ import annotations

import re
from typing import NamedTuple

from siemd.storage.columns import BadQuery, word_columns
from siemd.storage.conditions import json_inner
from siemd.storage.database import Dialect
from siemd.storage.dialects import Sql, both, either, escaped, like, negated
from siemd.storage.values import clean_text

MAX_CHARS = 1000
MAX_WORDS = 10
_BETWEEN = "\x01"  # no word holds it that is looked for in joined texts
_WORD = re.compile(r'(-?)(?:"([^"]*)("|$)|(\S+))')


class Word(NamedTuple):
    """A word or phrase. wanted: whether rows must hold it, or must not."""

    text: str
    wanted: bool


def parse_words(text: str) -> list[Word]:
    """The words in `failed "log on" -backup`; BadQuery when they are too many or too long. Any text is words."""
    if len(text) > MAX_CHARS:
        raise BadQuery(f"the words have more than {MAX_CHARS} characters", field="words")
    found = []
    for minus, phrase, _quote, word in _WORD.findall(clean_text(text)):
        content = phrase or word
        if content.strip():
            found.append(Word(content, not minus))
    if len(found) > MAX_WORDS:
        raise BadQuery(f"at most {MAX_WORDS} words can be looked for at a time", field="words")
    return found


def words_condition(dialect: Dialect, table: str, words: str) -> Sql:
    """Every wanted word stands somewhere in a row's texts, without regard to case, and no other does."""
    parts = []
    columns = word_columns(table) if words else []
    for word in parse_words(words):
        inner = json_inner(word.text)
        whole = inner == word.text and _BETWEEN not in word.text
        if dialect == "mysql" and whole and len(columns) > 1:  # half the work: the texts are made lower case at once
            joined = f"CONCAT_WS(CHAR(1 USING utf8mb4), {', '.join(column.name for column in columns)})"
            found = [like(dialect, Sql(joined), f"%{escaped(word.text)}%")]
        else:
            texts = [(column, word.text if column.kind == "text" else inner) for column in columns]
            found = [like(dialect, Sql(column.name), f"%{escaped(text)}%") for column, text in texts]
        parts.append(either(found) if word.wanted else negated(either(found)))
    return both(parts)
