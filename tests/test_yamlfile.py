"""YAML with positions, and the ends that hostile files come to."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from siemd.errors import FileError
from siemd.yamlfile import MAX_DEPTH, MAX_FILE_BYTES, load_documents, read_text

TEXT = """\
sources:
  sniffer:
    interface: eth0
    "odd key": [1, 2,
      three]
  ? 7
  : seven
"""


@pytest.mark.parametrize(
    ("keys", "place", "key_place"),
    [
        ((), (1, 1), (1, 1)),
        (("sources",), (2, 3), (1, 1)),
        (("sources", "sniffer", "interface"), (3, 16), (3, 5)),
        (("sources", "sniffer", "odd key", 2), (5, 7), (5, 7)),
        (("sources", 7), (7, 5), (6, 5)),
        (("sources", "sniffer", "no such"), (3, 5), (2, 3)),
        (("sources", "sniffer", "odd key", 9), (4, 16), (4, 5)),
    ],
)
def test_every_value_knows_its_place(
    keys: tuple[str | int, ...], place: tuple[int, int], key_place: tuple[int, int]
) -> None:
    (document,) = load_documents("siemd.yaml", TEXT)
    assert document.position(keys) == place
    assert document.position(keys, of_key=True) == key_place


def test_an_error_names_file_line_and_column() -> None:
    (document,) = load_documents("siemd.yaml", TEXT)
    error = document.error(("sources", "sniffer", "interface"), "there is no eth0", "try `any`")
    assert str(error) == "siemd.yaml:3:16: there is no eth0; try `any`"


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, 2, "not valid YAML"),
        ("a: 1\n  b: 2\n", 2, 4, "not valid YAML"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, 3, "stands here twice"),
        ("a: &x {b: 1}\nc: *nobody\n", 2, 4, "not valid YAML"),
        ("a: !!python/object/apply:os.system [id]\n", 1, 4, "not valid YAML"),
        ("a: \x00\n", 1, 1, "not valid YAML"),
        ("a: 2001-99-99\n", 1, 1, "not valid YAML"),
        ("a: 1\n? [1]\n: 2\n", 2, 3, "not valid YAML"),
        ("a: !!timestamp soon\n", 1, 1, "not valid YAML: a value is not what its tag says"),
        ("a: !!bool maybe\n", 1, 1, "not valid YAML: a value is not what its tag says"),
        ("a: !!int ''\n", 1, 1, "not valid YAML: a value is not what its tag says"),
        ("a: !!float '_'\n", 1, 1, "not valid YAML: a value is not what its tag says"),
    ],
)
def test_says_where_a_file_is_broken(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(FileError) as caught:
        load_documents("x.yml", text)
    error = caught.value
    assert words in error.message
    assert (error.line, error.column) == (line, column), str(error)


def test_billion_laughs_are_refused() -> None:
    bomb = 'a0: &a0 ["lol", "lol"]\n' + "".join(
        f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(12)
    )
    with pytest.raises(FileError, match="more than 200000 values"):
        load_documents("x.yml", bomb)


def test_laughs_in_a_key_are_counted_too() -> None:
    """The keys of an ordered map may be mappings, and merging multiplies what they hold."""
    merged = "? a0\n    : &a0 {x: 1}\n" + "".join(
        f"    ? a{n + 1}\n    : &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 9)}]}}\n" for n in range(12)
    )
    with pytest.raises(FileError, match="more than 200000 values"):
        load_documents("x.yml", f"!!omap\n- ? {merged.strip()}\n  : 1\n")


def test_many_documents_count_as_one_file() -> None:
    with pytest.raises(FileError, match="more than 200000 values"):
        load_documents("x.yml", "---\na\n" * 200_001)


@pytest.mark.parametrize("number", ["1" + ":1" * 500_000, "1" * 5_000, "1" + ":1" * 500_000 + ".5"])
def test_a_number_beyond_measure_is_refused(number: str) -> None:
    """YAML 1.1 has numbers of base 60, which took minutes."""
    with pytest.raises(FileError, match=r"x\.yml:1:4: a number of over 256 characters"):
        load_documents("x.yml", f"a: {number}")


def test_a_structure_that_holds_itself_is_refused() -> None:
    with pytest.raises(FileError, match="nested more than"):
        load_documents("x.yml", "a: &a [1, *a]\n")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, 200_000])
def test_depth_is_limited(depth: int) -> None:
    with pytest.raises(FileError, match="nested"):
        load_documents("x.yml", "[" * depth + "]" * depth)


def test_files_are_limited_and_must_be_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\n")
    assert load_documents(path)[0].data == {"a": "é"}
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(FileError, match=r"x\.yml:2:1: not UTF-8"):
        read_text(path)
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(FileError, match="larger than 2 MiB"):
        read_text(path)
    with pytest.raises(FileError, match="cannot be read"):
        read_text(tmp_path)
    with pytest.raises(FileError, match="cannot be read"):
        read_text(tmp_path / "none.yml")


def test_documents_and_empty_ones() -> None:
    assert [document.data for document in load_documents("x", "---\na: 1\n---\n---\n- 2\n")] == [{"a": 1}, [2]]
    assert load_documents("x", "") == []
    assert load_documents("x", "# only a comment\n") == []


text = st.text(st.characters(exclude_characters="\x85", exclude_categories=["Cs"]), max_size=20)  # PyYAML folds U+0085
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), text),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text("abcXYZ09_", min_size=1, max_size=8), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(plain.filter(lambda value: value is not None))
def test_reads_what_yaml_writes(value: object) -> None:
    (document,) = load_documents("x", yaml.safe_dump(value, allow_unicode=True))
    assert document.data == value


@given(st.text(st.sampled_from("a1 \n\t:-[]{},&*!|>'\"#%@`?~<=.\\\0é"), max_size=60))
def test_any_text_ends_in_data_or_a_place(text: str) -> None:
    try:
        documents = load_documents("x.yml", text)
    except FileError as error:
        assert error.line >= 1
        assert error.column >= 1
        assert "\n" not in str(error)
    else:
        for document in documents:
            assert document.position(("a", 0)) >= (1, 1)


@given(st.binary(max_size=60))
def test_any_bytes_end_in_data_or_a_place(data: bytes) -> None:
    try:
        load_documents("x.yml", data.decode("utf-8", "replace"))
    except FileError as error:
        assert "Traceback" not in str(error)
