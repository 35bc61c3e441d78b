"""siemd.yaml to typed configuration: every key documented at its default, every mistake with file, line and column."""

from __future__ import annotations

import difflib
import os
import re
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from siemd.detection import DetectionConfig
from siemd.detection.config import BUILTIN, IMPORTED
from siemd.errors import UserError
from siemd.notify import CHANNELS
from siemd.notify.config import NotifyConfig, TargetConfig, mistakes
from siemd.resources import default_path
from siemd.sources import SOURCES
from siemd.storage import StorageConfig
from siemd.units import Bytes, Clock, Seconds
from siemd.web.config import WebConfig
from siemd.yamlfile import Document, load_documents

SourcesConfig = msgspec.defstruct(
    "SourcesConfig",
    [(name, source.Config, msgspec.field(default_factory=source.Config)) for name, source in SOURCES.items()],
    kw_only=True,
    forbid_unknown_fields=True,
    namespace={"__doc__": "Where events come from."},
)

ENVIRONMENT_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class LogConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """siemd's own log (JSON lines; pretty on a terminal) and alerts.jsonl."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important lines to write.")
    ] = "info"
    file: Annotated[str, Meta(description="The log file; auto: siemd.log in data_dir.")] = "auto"
    alerts_file: Annotated[
        str, Meta(description="One JSON line for each state of an alert; auto: alerts.jsonl in data_dir.")
    ] = "auto"
    max_bytes: Annotated[Bytes, Meta(description="A file that reaches this size is rotated.")] = msgspec.field(
        name="max_size", default=Bytes(32 << 20)
    )
    keep_files: Annotated[int, Meta(description="How many rotated files are kept.", ge=0, le=1000)] = 5


class PipelineConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The channels between the stages."""

    queue_events: Annotated[
        int, Meta(description="Events that each channel holds before it slows its sources.", ge=16, le=10_000_000)
    ] = 50_000
    shutdown_grace_s: Annotated[
        Seconds, Meta(description="How long a stop may take to store what was accepted, before it is forced.")
    ] = msgspec.field(name="shutdown_grace", default=Seconds(30))


class Config(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The whole of siemd.yaml."""

    host: Annotated[str, Meta(description="This host's name in every event; auto: its host name.")] = "auto"
    data_dir: Annotated[
        str,
        Meta(
            description="Where the store, the spool and the logs are. auto: $STATE_DIRECTORY (set by systemd), else "
            "/var/lib/siemd for root, else ~/.local/state/siemd; on Windows %ProgramData%\\siemd."
        ),
    ] = "auto"
    sources: SourcesConfig = msgspec.field(default_factory=SourcesConfig)  # type: ignore[valid-type]
    detection: DetectionConfig = msgspec.field(default_factory=DetectionConfig)
    storage: StorageConfig = msgspec.field(default_factory=StorageConfig)
    notify: NotifyConfig = msgspec.field(default_factory=NotifyConfig)
    pipeline: PipelineConfig = msgspec.field(default_factory=PipelineConfig)
    log: LogConfig = msgspec.field(default_factory=LogConfig)
    web: WebConfig = msgspec.field(default_factory=WebConfig)

    @property
    def file(self) -> Path | None:
        """The file that it was read from; None when there was none, so that every key has its default."""
        found: Path | None = self.__dict__.get("_file")
        return found

    @file.setter
    def file(self, path: Path) -> None:
        self.__dict__["_file"] = path

    def host_name(self) -> str:
        """The name that events carry."""
        return socket.gethostname() if self.host == "auto" else self.host

    def data_path(self) -> Path:
        """The data directory as an absolute path; not made here."""
        if self.data_dir != "auto":
            return Path(self.data_dir).expanduser().absolute()
        if state := os.environ.get("STATE_DIRECTORY"):
            return Path(state.split(":")[0])
        if sys.platform == "win32":
            return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "siemd"
        if os.geteuid() == 0:
            return Path("/var/lib/siemd")
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "siemd"

    def settle(self) -> None:
        """Fill in what depends on data_dir: where imported rules are, and what the API writes."""
        if self.detection.imported.folder == "auto":
            self.detection.imported.folder = str(self.data_path() / "rules")
        if self.detection.managed == "auto":
            self.detection.managed = str(self.data_path())

    def log_path(self) -> Path:
        """siemd's own log."""
        return self.data_path() / "siemd.log" if self.log.file == "auto" else Path(self.log.file).absolute()

    def alerts_path(self) -> Path:
        """The alerts as JSON lines."""
        given = self.log.alerts_file
        return self.data_path() / "alerts.jsonl" if given == "auto" else Path(given).absolute()


def load_config(path: Path | None, *, keep_unset: bool = False) -> Config:
    """The configuration in `path`, or in the default place if a file is there, or all defaults.

    keep_unset: leave a ${NAME} that the environment lacks as it stands, for who can do without what it names.
    Relative paths are taken from the file's folder. Raises FileError for every mistake.
    """
    if path is None:
        path = default_path()
        if not path.exists():
            return Config()
    documents = load_documents(path)
    if len(documents) > 1:
        raise documents[1].error((), "a second YAML document", "siemd.yaml is one document: remove the `---`")
    config = parse_config(documents[0], keep_unset=keep_unset) if documents else Config()
    config.file = path.absolute()
    return config


def parse_config(document: Document, *, keep_unset: bool = False) -> Config:
    """The configuration that a document states; raises FileError at the first mistake."""
    if not isinstance(document.data, dict):
        raise document.error((), "expected keys such as `sources:` and `storage:`", "see config/siemd.yaml")
    data = _expand(document, document.data, (), keep_unset)
    info = cast("msgspec.inspect.StructType", msgspec.inspect.type_info(Config))
    _refuse_unknown(document, data, info, ())
    _check_targets(document, data)
    try:
        config = msgspec.convert(data, Config, dec_hook=_decode)
    except msgspec.ValidationError as error:
        message, keys = _split_path(str(error))
        raise document.error(keys, f"{'.'.join(map(str, keys))}: {message}") from None
    if not keep_unset:  # a secret that is not there can't be judged
        for where, problem, hint in mistakes(config.notify):
            raise document.error(("notify", *where), f"notify.{'.'.join(map(str, where))}: {problem}", hint)
    detection = config.detection
    for paths in (detection.rules, detection.overlay, detection.suppressions):
        paths[:] = [_beside(document.path, path) for path in paths]
    if detection.imported.folder != "auto":
        detection.imported.folder = _beside(document.path, detection.imported.folder)
    tls = config.web.tls
    tls.certificate, tls.key = (path and _beside(document.path, path) for path in (tls.certificate, tls.key))
    judged = [(("web",), config.web)] + [(("sources", name), getattr(config.sources, name)) for name in SOURCES]
    for where, part in judged:
        if (mistake := getattr(part, "problem", lambda: None)()) is not None:
            key, message, hint = mistake
            raise document.error((*where, key), f"{'.'.join((*where, key))}: {message}", hint)
    return config


def _check_targets(document: Document, data: dict[str, Any]) -> None:
    """Say which target a mistake is in: of a value in a mapping msgspec does not tell the key."""
    notify = data.get("notify")
    targets = notify.get("targets") if isinstance(notify, dict) else None
    for name, target in targets.items() if isinstance(targets, dict) else ():
        try:
            msgspec.convert(target, TargetConfig, dec_hook=_decode)
        except msgspec.ValidationError as error:
            message, keys = _split_path(str(error).replace(" - at `$`", ""))
            where = ("notify", "targets", name, *keys)
            hint = f"known are {', '.join(CHANNELS)}" if keys == ("channel",) or "`channel`" in message else ""
            raise document.error(where, f"{'.'.join(map(str, where))}: {message}", hint) from None


def _decode(kind: type[Any], value: object) -> Any:
    if kind in (Seconds, Bytes, Clock):
        return kind.parse(value)
    raise NotImplementedError(kind)


def _expand(document: Document, value: Any, keys: tuple[str | int, ...], keep_unset: bool) -> Any:
    """Replace ${NAME} in every string from the environment."""
    if isinstance(value, dict):
        named = {"on" if key is True else key: item for key, item in value.items()}  # YAML reads `on:` as true
        return {key: _expand(document, item, (*keys, key), keep_unset) for key, item in named.items()}
    if isinstance(value, list):
        return [_expand(document, item, (*keys, index), keep_unset) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            if keep_unset:
                return match[0]
            hint = f"set it before siemd starts, for example `export {name}=…`"
            raise document.error(keys, f"the environment has no {name}", hint)
        return os.environ[name]

    return ENVIRONMENT_NAME.sub(replace, value)


def _refuse_unknown(document: Document, data: Any, kind: Any, keys: tuple[str | int, ...]) -> None:
    """Refuse keys that no struct knows, naming the nearest one that exists."""
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    if isinstance(kind, msgspec.inspect.ListType) and isinstance(data, list):
        for index, item in enumerate(data):
            _refuse_unknown(document, item, kind.item_type, (*keys, index))
    elif isinstance(kind, msgspec.inspect.DictType) and isinstance(data, dict):
        for key, item in data.items():
            _refuse_unknown(document, item, kind.value_type, (*keys, key))
    elif isinstance(kind, msgspec.inspect.UnionType) and isinstance(data, dict):
        structs = [one for one in kind.types if isinstance(one, msgspec.inspect.StructType)]
        kind = next((one for one in structs if one.tag_field is None or one.tag == data.get(one.tag_field)), kind)
    if not isinstance(kind, msgspec.inspect.StructType) or not isinstance(data, dict):
        return
    fields = {field.encode_name: field.type for field in kind.fields}
    if kind.tag_field is not None:
        fields[kind.tag_field] = msgspec.inspect.StrType()
    for key, value in data.items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, 1, 0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(fields)}"
            where = ".".join(map(str, keys)) or "siemd.yaml"
            raise document.error((*keys, key), f"unknown key `{key}` in {where}", hint, of_key=True)
        _refuse_unknown(document, value, fields[key], (*keys, key))


def _split_path(message: str) -> tuple[str, tuple[str | int, ...]]:
    """msgspec's `… - at `$.a.b[0]`` as a sentence and keys."""
    text, _, path = message.partition(" - at `$")
    keys: list[str | int] = []
    for name, index in re.findall(r"\.([^.\[`]+)|\[(\d+)\]", path):
        keys.append(name or int(index))
    return text[:1].lower() + text[1:], tuple(keys)


def _beside(config_path: str, folder: str) -> str:
    return (
        folder
        if folder in (BUILTIN, IMPORTED)
        else str((Path(config_path).parent / Path(folder).expanduser()).absolute())
    )


def require_data_dir(config: Config) -> Path:
    """Make the data directory, readable by its owner alone; raises UserError when that can't be done."""
    path = config.data_path()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise UserError(
            f"the data directory {path} cannot be made: {error.strerror}", "set data_dir in siemd.yaml"
        ) from None
    return path
