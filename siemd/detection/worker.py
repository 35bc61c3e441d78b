"""A process that matches plain rules for the daemon: rules and events come in on stdin, matches go out on stdout.

Frames: length and kind (see `Kind`), then the payload. It ends when stdin does, whatever it is doing, so it never
outlives the daemon; signals that stop a daemon and its children together leave it to that.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import threading
from enum import IntEnum
from typing import BinaryIO

import msgspec
import psutil

from siemd.detection.matcher import Matcher
from siemd.detection.matching import Matches, match
from siemd.events import Event

HEADER = struct.Struct("<IB")
SWITCH_S = 0.001  # threads that only move bytes must not wait long for one that matches
EVENTS_TO_BYTES = msgspec.msgpack.Encoder()
BYTES_TO_EVENTS = msgspec.msgpack.Decoder(list[Event])
BYTES_TO_MATCHES = msgspec.msgpack.Decoder(Matches)


class Kind(IntEnum):
    """What a frame holds. RULES are pickled (our own daemon made them); READY answers when they are compiled."""

    RULES = 1
    EVENTS = 2
    READY = 3
    MATCHES = 4
    FAILED = 5


def read_frame(stream: BinaryIO) -> tuple[Kind, bytes] | None:
    """The next frame; None at the end."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    length, kind = HEADER.unpack(header)
    payload = stream.read(length)
    return (Kind(kind), payload) if len(payload) == length else None


def frame_of(kind: Kind, payload: bytes = b"") -> bytes:
    """A frame as it is sent."""
    return HEADER.pack(len(payload), kind) + payload


def write_frame(stream: BinaryIO, kind: Kind, payload: bytes = b"") -> None:
    """Send a frame; OSError when nobody reads any more."""
    stream.write(frame_of(kind, payload))
    stream.flush()


def main() -> None:
    """Work until stdin ends."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    frames, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that prints may come between the answers
    threading.Thread(target=_end_with, args=(psutil.Process(os.getppid()),), daemon=True).start()
    matcher = Matcher(())
    while (frame := read_frame(frames)) is not None:
        kind, payload = frame
        try:
            if kind is Kind.RULES:
                matcher = Matcher(pickle.loads(payload))  # noqa: S301 - from our own parent
                write_frame(answers, Kind.READY)
            else:
                found = match(matcher, BYTES_TO_EVENTS.decode(payload))
                write_frame(answers, Kind.MATCHES, EVENTS_TO_BYTES.encode(found))
        except BrokenPipeError:
            break
        except Exception as error:  # the daemon does it itself, and meets the fault where it is told
            write_frame(answers, Kind.FAILED, repr(error).encode(errors="replace"))
    os._exit(0)


def _end_with(parent: psutil.Process) -> None:
    """End when the daemon does, whatever is being matched. Its thread only sleeps: one that read the frames would have
    to wait for the interpreter's lock at every piece of them."""
    parent.wait()
    os._exit(0)


if __name__ == "__main__":
    main()
