"""Rules are taken out of folders and packages; a hostile package changes nothing."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, load_ruleset, package
from siemd.detection.config import IMPORTED, ImportedConfig
from siemd.detection.package import import_rules, name_of
from siemd.detection.rulefolders import IMPORT_MARK
from siemd.errors import UserError

RULE = b"title: t\nlogsource: {product: windows}\ndetection:\n  s: {A: x}\n  condition: s\n"


def packed(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in entries:
            file.writestr(name, data)
    return path


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def refused(source: Path, folder: Path) -> str:
    """The error's text; nothing of the import may be left anywhere."""
    before = files_below(folder.parent)
    with pytest.raises(UserError) as caught:
        import_rules(source, folder)
    assert files_below(folder.parent) == before
    return str(caught.value)


def test_a_single_rule_is_taken_too(tmp_path: Path) -> None:
    source = tmp_path / "odd_rule.yml"
    source.write_bytes(RULE)
    done = import_rules(source, tmp_path / "rules" / name_of(source))
    assert (done.folder.name, done.files) == ("odd_rule", 1)
    assert files_below(done.folder) == [IMPORT_MARK, "odd_rule.yml"]
    source.write_bytes(b"title: x\n")
    assert "holds no Sigma rule" in refused(source, tmp_path / "rules" / "other")


def test_a_package_is_taken_with_its_folders(tmp_path: Path) -> None:
    source = packed(
        tmp_path / "sigma_core.zip",
        ("rules/windows/a.yml", RULE),
        ("rules/b.yaml", RULE),
        ("README.md", b"hello"),
        ("tests/other.yml", b"title: x\njobs: {}\n"),
        (".github/workflow.yml", RULE),
    )
    done = import_rules(source, tmp_path / "rules" / name_of(source))
    assert done.folder == tmp_path / "rules" / "sigma_core"
    assert (done.files, done.other, done.passed_over, done.replaced) == (2, 1, 2, False)
    assert files_below(done.folder) == [IMPORT_MARK, "rules/b.yaml", "rules/windows/a.yml"]
    assert (done.folder / "rules/b.yaml").read_bytes() == RULE
    assert [path.name for path in (tmp_path / "rules").iterdir()] == ["sigma_core"]


def test_a_folder_is_taken_without_links_and_hidden_files(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    (source / "deep").mkdir(parents=True)
    (source / ".git").mkdir()
    (source / "deep" / "a.yml").write_bytes(RULE)
    (source / ".git" / "b.yml").write_bytes(RULE)
    (tmp_path / "secret.yml").write_bytes(RULE)
    (source / "link.yml").symlink_to(tmp_path / "secret.yml")
    (source / "loop").symlink_to(source)
    if hasattr(os, "mkfifo"):
        os.mkfifo(source / "pipe.yml")
    done = import_rules(source, tmp_path / "rules" / "mine")
    assert files_below(done.folder) == [IMPORT_MARK, "deep/a.yml"]


def test_an_import_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "rules" / "x"
    import_rules(packed(tmp_path / "1.zip", ("old.yml", RULE)), target)
    assert import_rules(packed(tmp_path / "2.zip", ("new.yml", RULE)), target).replaced
    assert files_below(tmp_path / "rules") == [f"x/{IMPORT_MARK}", "x/new.yml"]


def test_a_failed_import_leaves_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "rules" / "x"
    import_rules(packed(tmp_path / "1.zip", ("old.yml", RULE)), target)
    refused(packed(tmp_path / "2.zip", ("new.yml", RULE), ("../evil.yml", RULE)), target)
    assert (target / "old.yml").exists()


def test_what_siemd_did_not_import_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "rules"
    target.mkdir()
    (target / "precious.yml").write_bytes(RULE)
    assert "would be replaced" in refused(packed(tmp_path / "1.zip", ("a.yml", RULE)), target)


def test_a_broken_rule_is_taken_too_so_that_it_is_told(tmp_path: Path) -> None:
    source = packed(tmp_path / "p.zip", ("a.yml", b"title: [\ndetection: x\n"))
    assert import_rules(source, tmp_path / "x").files == 1


HOSTILE_NAMES = [
    "../evil.yml",
    "rules/../../evil.yml",
    "/etc/evil.yml",
    "C:/evil.yml",
    "c:evil.yml",
    "..\\evil.yml",
    "rules\\..\\evil.yml",
    "rules/nul.yml",
    "COM1.yml",
    "a//b.yml",
    "./a.yml",
    "a\x01.yml",
    "rules /a.yml",
    "rules./a.yml",
    "x" * 500 + ".yml",
    "/".join(["d"] * 30) + "/a.yml",
    "../readme.md",
    "CONIN$.yml",
    "conout$.yml",
    "COM¹.yml",
    "x/LPT³.yml",
    "aux .yml",
    "com1 /x.yml",
    "nul .x.yml",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_lead_elsewhere_refuse_the_package(tmp_path: Path, name: str) -> None:
    info = zipfile.ZipInfo("x")
    info.filename = name  # ZipInfo itself would tidy it
    text = refused(packed(tmp_path / "p.zip", ("good.yml", RULE), (info, RULE)), tmp_path / "rules" / "x")
    assert "nothing was imported" in text


def test_a_link_in_a_package_is_passed_over(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.yml")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    done = import_rules(packed(tmp_path / "p.zip", (link, b"/etc/passwd"), ("a.yml", RULE)), tmp_path / "x")
    assert (done.files, done.passed_over) == (1, 1)
    assert not (done.folder / "link.yml").is_symlink()


def test_doubles_refuse_the_package(tmp_path: Path) -> None:
    text = refused(packed(tmp_path / "p.zip", ("a.yml", RULE), ("A.YML", RULE)), tmp_path / "x")
    assert "stands there twice" in text


def test_bombs_are_refused(tmp_path: Path) -> None:
    large = RULE + b"#" * (3 << 20)
    assert "larger than" in refused(packed(tmp_path / "1.zip", ("a.yml", large)), tmp_path / "x")
    dense = RULE + b"#" * (1 << 20)
    assert "packed more than" in refused(packed(tmp_path / "2.zip", ("a.yml", dense)), tmp_path / "x")
    lzma = packed(tmp_path / "3.zip", ("a.yml", RULE), compression=zipfile.ZIP_LZMA)
    assert "cannot be read within limits" in refused(lzma, tmp_path / "x")


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "p.zip", ("a.yml", RULE + b"x: " + b"#" * (3 << 20)))
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 10)  # the uncompressed size in the directory
    path.write_bytes(data)
    refused(path, tmp_path / "x")


def test_limits_on_files_and_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = packed(tmp_path / "p.zip", *((f"{n}.yml", RULE) for n in range(5)))
    monkeypatch.setattr(package, "MAX_FILES", 4)
    assert "more than 4 files" in refused(source, tmp_path / "x")
    monkeypatch.setattr(package, "MAX_FILES", 1)
    assert "more than 4 entries" in refused(source, tmp_path / "x")
    monkeypatch.setattr(package, "MAX_FILES", 100)
    monkeypatch.setattr(package, "MAX_TOTAL_BYTES", 3 * len(RULE))
    assert "MiB of YAML" in refused(source, tmp_path / "x")


def test_what_is_no_package_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip at all")
    assert "no whole zip" in refused(tmp_path / "a.zip", tmp_path / "x")
    assert "does not exist" in refused(tmp_path / "none", tmp_path / "x")
    assert "holds no Sigma rule" in refused(packed(tmp_path / "e.zip"), tmp_path / "x")
    folder = tmp_path / "source"
    folder.mkdir()
    with pytest.raises(UserError, match="lies inside of"):
        import_rules(folder, folder / "x")


def test_a_damaged_package_is_told(tmp_path: Path) -> None:
    path = packed(tmp_path / "p.zip", ("a.yml", os.urandom(2000).hex().encode() + b"\n" + RULE))
    data = bytearray(path.read_bytes())
    data[200:220] = b"\xff" * 20
    path.write_bytes(data)
    assert "no whole zip" in refused(path, tmp_path / "x")


IMPORT = """
import os, sys
from pathlib import Path
from siemd.detection import DetectionConfig, load_ruleset, package
from siemd.detection.config import IMPORTED, ImportedConfig
step, source, folder = sys.argv[1:]
def stop(*_):
    print("there", flush=True)
    sys.stdin.readline()
original = package._fill
def fill(*arguments):
    original(*arguments)
    if step == "filled":
        stop()
package._fill = fill
rename = Path.rename
def renamed(self, target):
    result = rename(self, target)
    if step == "moved" and Path(target).name.endswith(".replaced"):
        stop()
    return result
Path.rename = renamed
package.import_rules(Path(source), Path(folder))
"""


@pytest.fixture
def stopped_import(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts another process that imports new.yml to tmp_path/rules/x and waits at a step, until its stdin ends."""
    source = packed(tmp_path / "new.zip", ("new.yml", RULE))
    processes: list[subprocess.Popen[str]] = []

    def start(step: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORT, step, source, tmp_path / "rules" / "x"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout
        assert process.stdout.readline() == "there\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_two_imports_at_once_do_not_mix(tmp_path: Path, stopped_import: Callable[[str], subprocess.Popen[str]]) -> None:
    target = tmp_path / "rules" / "x"
    other = stopped_import("filled")
    with pytest.raises(UserError, match="another import"):
        import_rules(packed(tmp_path / "2.zip", ("mine.yml", RULE)), target)
    other.communicate("go on\n")
    assert other.returncode == 0
    assert files_below(tmp_path / "rules") == [f"x/{IMPORT_MARK}", "x/new.yml"]


@pytest.mark.parametrize("step", ["filled", "moved"])
def test_an_import_that_was_killed_leaves_nothing_behind(
    tmp_path: Path, stopped_import: Callable[[str], subprocess.Popen[str]], step: str
) -> None:
    target = tmp_path / "rules" / "x"
    import_rules(packed(tmp_path / "1.zip", ("old.yml", RULE)), target)
    killed = stopped_import(step)
    killed.kill()
    killed.communicate()
    with pytest.raises(UserError, match="no Sigma rule"):
        import_rules(packed(tmp_path / "2.zip", ("a.txt", RULE)), target)
    assert files_below(tmp_path / "rules") == [f"x/{IMPORT_MARK}", "x/old.yml"]
    assert import_rules(packed(tmp_path / "3.zip", ("mine.yml", RULE)), target).replaced
    assert files_below(tmp_path / "rules") == [f"x/{IMPORT_MARK}", "x/mine.yml"]


@pytest.mark.parametrize(
    ("name", "linked"), [(IMPORTED, False), ("rules", False), ("rules/x", False), ("rules/x", True)]
)
def test_loading_puts_back_what_a_killed_import_moved_aside(
    tmp_path: Path, stopped_import: Callable[[str], subprocess.Popen[str]], name: str, linked: bool
) -> None:
    target = tmp_path / "rules" / "x"
    if linked:
        (tmp_path / "rules").mkdir()
        (tmp_path / "disk").mkdir()
        target.symlink_to(tmp_path / "disk" / "y")
    import_rules(packed(tmp_path / "1.zip", ("old.yml", RULE)), target)
    killed = stopped_import("moved")
    imported = ImportedConfig(folder=str(tmp_path / "rules"))
    config = DetectionConfig(rules=[name if name == IMPORTED else str(tmp_path / name)], imported=imported)
    going_on = load_ruleset(config)
    assert going_on.rules == []
    assert not [one for one in going_on.warnings if "ended halfway" in str(one)]
    killed.kill()
    killed.communicate()
    ruleset = load_ruleset(config)
    assert [Path(rule.path).name for rule in ruleset.rules] == ["old.yml"]
    (warning,) = ruleset.warnings
    assert "an import was ended halfway, the rules that it was to replace are in use again" in str(warning)
    assert load_ruleset(config).warnings == []
    assert files_below(target.resolve().parent) == [
        f"{target.resolve().name}/{one}" for one in (IMPORT_MARK, "old.yml")
    ]


def test_an_import_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders first, then the names; only then goes what was replaced."""
    written: set[int] = set()
    steps: list[tuple[str, bool]] = []
    sync, rename, remove = os.fsync, Path.rename, shutil.rmtree

    def fsync(descriptor: int) -> None:
        sync(descriptor)
        written.add(os.fstat(descriptor).st_ino)

    def renamed(self: Path, target: Path) -> Path:
        if self.name.endswith(".importing"):
            written.discard(self.parent.stat().st_ino)
            below = [self, *self.rglob("*")]
            steps.append(("placed", all(one.stat().st_ino in written for one in below)))
        return rename(self, target)

    def removed(path: Path, **more: bool) -> None:
        if Path(path).exists() and Path(path).name.endswith(".replaced"):
            steps.append(("removed", Path(path).parent.stat().st_ino in written))
        remove(path, **more)

    source = packed(tmp_path / "1.zip", ("a.yml", RULE), ("deep/er/b.yml", RULE))
    import_rules(source, tmp_path / "rules" / "x")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(shutil, "rmtree", removed)
    import_rules(source, tmp_path / "rules" / "x")
    folders_too = os.name != "nt"
    assert [name for name, _ in steps] == ["placed", "removed"]
    assert [done for _, done in steps] == [folders_too, folders_too]


def test_a_link_to_the_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "rules").mkdir()
    link = tmp_path / "rules" / "x"
    link.symlink_to(tmp_path / "disk" / "x")
    for name in ("a.yml", "b.yml", "c.yml"):
        import_rules(packed(tmp_path / "p.zip", (name, RULE)), link)
        assert files_below(tmp_path / "disk") == [f"x/{IMPORT_MARK}", f"x/{name}"]
    assert link.is_symlink()
    assert [path.name for path in link.parent.iterdir()] == ["x"]


def test_a_folder_without_end_is_told(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.joinpath(*["a"] * (package.MAX_DEPTH + 1)).mkdir(parents=True)
    (source / "a.yml").write_bytes(RULE)
    assert "deep" in refused(source, tmp_path / "rules" / "x")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/in\xff"))
    folder.mkdir()
    (folder / "a.yml").write_bytes(RULE)
    assert import_rules(folder, tmp_path / "rules" / "x").files == 1
    (folder / os.fsdecode(b"b\xff.yml")).write_bytes(RULE)
    assert "is no UTF-8" in refused(folder, tmp_path / "rules" / "x")


def test_an_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "p.zip", ("q", b""), ("a.yml", RULE))
    path.write_bytes(path.read_bytes().replace(b"q", b"\0"))
    assert "has no name" in refused(path, tmp_path / "x")


def test_a_package_beyond_measure_is_not_opened(tmp_path: Path) -> None:
    """Its directory alone would fill the memory."""
    path = packed(tmp_path / "p.zip", ("a.yml", RULE))
    data = path.read_bytes()
    with path.open("wb") as file:
        file.truncate(package.MAX_PACKAGE_BYTES)
        file.seek(0, os.SEEK_END)
        file.write(data)
    assert "larger than 32 MiB" in refused(path, tmp_path / "x")


@pytest.mark.parametrize(
    ("source", "name"),
    [("sigma_core++.zip", "sigma_core"), ("a b (1).ZIP", "a-b-1"), ("…", "rules"), ("Règles", "Regles")],
)
def test_the_name_of_an_import(tmp_path: Path, source: str, name: str) -> None:
    assert name_of(tmp_path / source) == name


def test_an_entry_whose_name_ends_at_once_is_refused(tmp_path: Path) -> None:
    source = packed(tmp_path / "p.zip", ("a.yml", RULE))
    source.write_bytes(source.read_bytes().replace(b"a.yml", b"\0.yml"))  # a name ends at a zero
    assert "has no name" in refused(source, tmp_path / "rules" / "p")


@given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=8))
@example(noise=b"\x00\x00\x90\x90\x94\xa0", place=160, change=b"\x00")
def test_any_bytes_are_imported_or_refused(noise: bytes, place: int, change: bytes) -> None:
    import tempfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.yml", RULE + noise)
    data = bytearray(buffer.getvalue())
    data[place : place + len(change)] = change
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "p.zip")
        path.write_bytes(data)
        try:
            import_rules(path, Path(folder, "rules", "x"))
        except UserError:
            pass
        outside = {one.name for one in Path(folder).iterdir()} - {"p.zip", "rules"}
        assert not outside
