"""YAML with positions and limits: every value knows its line and column, and hostile files end early.

Used for siemd.yaml and for rules. Aliases are followed, but counted: a "billion laughs" file is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from siemd.errors import FileError

MAX_FILE_BYTES = 2 << 20
MAX_NODES = 200_000
MAX_DEPTH = 64
MAX_NUMBER_CHARS = 256

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
Key = str | int


class Document:
    """One YAML document: `data` (dicts, lists, scalars) and where each of its values stands."""

    def __init__(self, path: str, data: Any, node: yaml.Node) -> None:
        self.path = path
        self.data = data
        self._node = node

    def position(self, keys: tuple[Key, ...] = (), *, of_key: bool = False) -> tuple[int, int]:
        """(line, column), from 1, of the value at `keys` (of its key with of_key), or of its nearest known parent."""
        node = self._node
        mark = node.start_mark
        for key in keys:
            found = _child(node, key)
            if found is None:
                break
            key_node, node = found
            mark = (key_node if of_key and key_node is not None else node).start_mark
        return mark.line + 1, mark.column + 1

    def error(self, keys: tuple[Key, ...], message: str, hint: str = "", *, of_key: bool = False) -> FileError:
        """A FileError at the value (or key) at `keys`; to be raised by the caller."""
        line, column = self.position(keys, of_key=of_key)
        return FileError(self.path, line, column, message, hint)

    def error_inside(self, keys: tuple[Key, ...], offset: int, message: str, hint: str = "") -> FileError:
        """A FileError `offset` characters into the text at `keys`; at its start when the text spans lines."""
        node = self._node
        for key in keys:
            found = _child(node, key)
            if found is None:
                return self.error(keys, message, hint)
            node = found[1]
        line, column = self.position(keys)
        if node.start_mark.line == node.end_mark.line:
            column += offset + (1 if getattr(node, "style", None) in ("'", '"') else 0)
        return FileError(self.path, line, column, message, hint)


def read_text(path: Path) -> str:
    """A file's text; raises FileError when it can't be read, is too large or isn't UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise FileError(path, 0, 0, f"larger than {MAX_FILE_BYTES >> 20} MiB", "is this a YAML file?")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise FileError(
            path, 0, 0, f"cannot be read: {error.strerror or error}", "check the path and its rights"
        ) from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileError(path, line, 1, "not UTF-8 text", "save the file as UTF-8") from None


def load_documents(path: Path | str, text: str | None = None) -> list[Document]:
    """Every document of a YAML file (or of `text`, named `path` in errors); empty ones are left out.

    Raises FileError for what is not YAML, a duplicate key, or a file beyond the limits.
    """
    if text is None:
        text = read_text(Path(path))
    documents: list[Document] = []
    loader: Any = None
    visited = 0
    try:
        _check_depth(text, str(path))
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            visited = _check(node, str(path), visited)
            data = loader.construct_document(node)
            if data is not None:
                documents.append(Document(str(path), data, node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if "nesting depth" in f"{error.problem} {error.context}":  # PyYAML's own limit, in newer versions
            raise FileError(path, line, column, f"nested more than {MAX_DEPTH} deep") from None
        raise FileError(path, line, column, f"not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise FileError(path, 1, 1, f"not valid YAML: {' '.join(str(error).split())[:200]}") from None
    except (AttributeError, LookupError):  # PyYAML trusts a tag such as !!int to stand before one
        raise FileError(path, 1, 1, "not valid YAML: a value is not what its tag says") from None
    except RecursionError:
        raise FileError(path, 1, 1, "nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()
    return documents


def _check_depth(text: str, path: str) -> None:
    """Refuse deep nesting while it is still a flat stream of events: composing it recurses in C and would crash."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep(path, event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_deep(path: str, mark: Any) -> FileError:
    return FileError(path, mark.line + 1, mark.column + 1, f"nested more than {MAX_DEPTH} deep")


def _check(root: yaml.Node, path: str, visited: int) -> int:
    """Refuse duplicate keys, depth and size, counting every visit of an aliased node, from `visited` on."""
    stack: list[tuple[yaml.Node, int]] = [(root, 1)]
    while stack:
        node, depth = stack.pop()
        visited += 1
        mark = node.start_mark
        if depth > MAX_DEPTH:  # aliases can nest deeper than the text
            raise _too_deep(path, mark)
        if visited > MAX_NODES:
            raise FileError(path, mark.line + 1, mark.column + 1, f"more than {MAX_NODES} values")
        if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER_CHARS:  # base 60 takes time by the square of it
            raise FileError(path, mark.line + 1, mark.column + 1, f"a number of over {MAX_NUMBER_CHARS} characters")
        if isinstance(node, yaml.SequenceNode):
            stack.extend((child, depth + 1) for child in node.value)
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen and key.value != "<<":
                        mark = key.start_mark
                        raise FileError(
                            path, mark.line + 1, mark.column + 1, f"the key {key.value!r} stands here twice"
                        )
                    seen.add(key.value)
                else:
                    stack.append((key, depth + 1))
                stack.append((value, depth + 1))
    return visited


def _child(node: yaml.Node, key: Key) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value == str(key):
                return key_node, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and 0 <= key < len(node.value):
        return None, node.value[key]
    return None
