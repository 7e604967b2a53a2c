# SPDX-License-Identifier: Apache-2.0
"""What the two hosts and the wire tell, in one form and on one clock."""
import json
import re
from dataclasses import dataclass

MOVE, QEMU, WIRE, COMMAND = "move", "qemu", "wire", "command"

_MOVE = re.compile(r"(\S+) -> (\S+), path ([^\s,:]+)(?:, VF ([0-9a-f:.]+[0-9a-f]))?")
_QEMU = re.compile(r"event (\S+) at (\d+)\.(\d+) for domain '?([^':]+)'?(?:: (.*))?")


@dataclass(frozen=True)
class Event:
    """kind MOVE: vswitchd moved the NIC to situation `what`; QEMU: its event `what`; WIRE: an announcement;
    COMMAND: something the demo did, in words."""
    at: int             # ns, our monotonic clock; in what parse() returns: the host's clock
    host: str
    kind: str
    what: str
    path: str = ""      # MOVE: synthetic, both, vf, none
    vf: str = ""        # MOVE: its PCI address
    detail: str = ""    # QEMU, MIGRATION: the status


def parse(line, host, domain):
    """The event of this domain that a line of `vswitch monitor --json` or virsh's tells; None for other lines."""
    return _parse_vswitch(line, host, domain) if line.startswith("{") else _parse_qemu(line, host, domain)


def _parse_vswitch(line, host, domain):
    try:
        told = json.loads(line)
        at, kind, subject, sentence = (told[k] for k in ("realtime_usec", "kind", "subject", "sentence"))
    except (ValueError, KeyError):
        return None
    found = _MOVE.match(sentence)
    if kind != "move" or subject.partition("/")[0] != domain or not found:
        return None
    return Event(at * 1000, host, MOVE, found[2], path=found[3], vf=found[4] or "")


def _parse_qemu(line, host, domain):
    found = _QEMU.match(line)
    if not found or found[4] != domain:
        return None
    try:
        detail = json.loads(found[5] or "{}").get("status", "")
    except ValueError:
        detail = ""
    return Event(int(found[2]) * 1_000_000_000 + int(found[3].ljust(9, "0")), host, QEMU, found[1], detail=detail)
