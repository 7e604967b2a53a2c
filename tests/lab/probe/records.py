# SPDX-License-Identifier: Apache-2.0
"""Reads the files that prober and capture write (frames.h has the format)."""
import struct
from dataclasses import dataclass, field
from pathlib import Path

_HEADER = b"vswitch-probe-1\n"
_RECORD = struct.Struct("<BBBBIQQ")
_SENT, _REPLY, _SEEN, _PLACE = 1, 2, 3, 4
_OUTGOING, _ANSWER = 1, 2


@dataclass(frozen=True)
class Seen:
    """A frame that a capture saw pass an interface; stamp on the file's clock."""
    place: str
    outgoing: bool
    answer: bool
    sender: int
    sequence: int
    stamp: int


@dataclass
class Records:
    """The contents of one file."""
    sent: dict = field(default_factory=dict)     # sender -> [stamp], the sequence is the index
    replies: dict = field(default_factory=dict)  # sender -> {sequence: [(stamp, guest's stamp)]}
    seen: list = field(default_factory=list)     # [Seen]


def version_of(sequence):
    """Senders alternate between the IP versions."""
    return 6 if sequence & 1 else 4


def parse(data):
    if not data.startswith(_HEADER):
        raise ValueError("not a file of the probe")
    # A program that was killed may have left half a record.
    whole = len(_HEADER) + (len(data) - len(_HEADER)) // _RECORD.size * _RECORD.size
    records, places = Records(), {}
    for kind, sender, _version, place, sequence, stamp, extra in _RECORD.iter_unpack(data[len(_HEADER):whole]):
        if kind == _SENT:
            records.sent.setdefault(sender, []).append(stamp)
        elif kind == _REPLY:
            records.replies.setdefault(sender, {}).setdefault(sequence, []).append((stamp, extra))
        elif kind == _SEEN:
            records.seen.append(Seen(places[place], bool(extra & _OUTGOING), bool(extra & _ANSWER),
                                     sender, sequence, stamp))
        elif kind == _PLACE:
            places[place] = struct.pack("<QQ", stamp, extra).rstrip(b"\0").decode()
    return records


def read(path):
    return parse(Path(path).read_bytes())
