# SPDX-License-Identifier: Apache-2.0
"""From events to what a newcomer can follow: lines of a timeline, and which path was in use when.

Nothing here knows of hosts or clocks: events go in, in the order of their time.
The same code tells the story while it happens and draws it afterwards.
"""
from dataclasses import dataclass

from .events import COMMAND, MOVE, QEMU, WIRE

SYNTHETIC, BOTH, VF, NONE, PAUSED = "synthetic", "both", "vf", "none", "paused"

# situation: (what is printed, the label in the picture)
_MOVES = {
    "synthetic": ("traffic over the software switch of {host}", "software switch of {host}"),
    "preparing": ("a VF is made ready for the guest", "VF made ready"),
    "offering": ("both paths deliver: the software switch, and VF {vf}", "both paths deliver"),
    "on-vf": ("traffic on VF {vf} of {host}", "on VF of {host}"),
    "withdrawing": ("guest asked to let go of VF {vf}; both paths deliver", "asked to let go"),
    "withdrawn": ("guest has let go of the VF: traffic over the software switch of {host}", "let go of the VF"),
    "expected": ("the guest is expected", "{host} expects it"),
    "arriving": ("the guest's state is here: frames for it are led to {host} from now on", "{host} takes its frames"),
    "handed-over": ("the guest has left: no frame is led to it here any more", ""),
}
_RETURNED = ("VF is free again", "")
_MIGRATION = {
    "active": ("memory is being copied to the other host", "copying memory"),
    "failed": ("the migration has failed", "migration failed"),
    "cancelled": ("the migration was cancelled", "migration cancelled"),
}
_PATHS = {SYNTHETIC: "software switch of {host}", BOTH: "both paths on {host}", VF: "VF of {host}",
          NONE: "no path on {host}", PAUSED: "guest stands still between the hosts"}


@dataclass(frozen=True)
class Line:
    """One line of the timeline."""
    at: int
    host: str
    text: str
    label: str          # short, for the picture; empty when it is not worth a label there


@dataclass(frozen=True)
class Span:
    """A time in which the guest's frames went one way."""
    begin: int
    end: int
    path: str
    host: str
    vf: str = ""

    @property
    def text(self):
        return _PATHS[self.path].format(host=self.host)


class Story:
    """Takes events in order; `lines` and `spans(end)` tell what they mean together."""

    def __init__(self, guest, host, path, begin):
        self.lines = []
        self.pauses = []            # [(begin, end)] in which the guest stood still between two hosts
        self._guest = guest
        self._runs_on = host
        self._paths = {host: path}
        self._vfs = {}
        self._before = {}           # host -> its last situation
        self._stopped_at = None
        self._announced = True      # nobody waits for an announcement
        self._changes = []
        self._note_path(begin)

    def take(self, event):
        """The lines that the event adds."""
        tell = {MOVE: self._move, QEMU: self._qemu, WIRE: self._wire, COMMAND: self._command}[event.kind]
        words = tell(event)
        self._note_path(event.at)
        if not words:
            return []
        line = Line(event.at, event.host, *words)
        self.lines.append(line)
        return [line]

    def spans(self, end):
        """[Span] from the beginning until `end`, without empty ones."""
        ends = [begin for begin, *_ in self._changes[1:]] + [end]
        return [Span(begin, until, *rest) for (begin, *rest), until in zip(self._changes, ends) if until > begin]

    def _note_path(self, at):
        host = self._runs_on
        path = PAUSED if self._stopped_at is not None else self._paths.get(host, NONE)
        now = (path, host, self._vfs.get(host, "") if path in (VF, BOTH) else "")
        if not self._changes or self._changes[-1][1:] != now:
            self._changes.append((at, *now))

    def _move(self, event):
        before = self._before.get(event.host)
        self._before[event.host] = event.what
        self._paths[event.host] = event.path
        if event.vf:
            self._vfs[event.host] = event.vf
        text, label = _MOVES.get(event.what, ("", ""))
        if event.what == "synthetic" and before in ("returning", "withdrawn"):
            text, label = _RETURNED
        if event.what == "expected" and event.vf:
            text = f"the guest is expected, VF {event.vf} is kept for it"
        return (text.format(host=event.host, vf=event.vf), label.format(host=event.host)) if text else None

    def _qemu(self, event):
        if event.what == "STOP" and event.host == self._runs_on:
            self._stopped_at = event.at
            self._announced = False
            return f"{self._guest} is paused for the hand-over", "paused"
        if event.what == "RESUME" and self._stopped_at is not None:
            return self._resume(event)
        if event.what == "MIGRATION" and event.host == self._runs_on:
            return _MIGRATION.get(event.detail)
        return None

    def _resume(self, event):
        seconds = (event.at - self._stopped_at) / 1e9
        self.pauses.append((self._stopped_at, event.at))
        self._stopped_at, self._runs_on = None, event.host
        return (f"{self._guest} runs on {event.host} (paused for the hand-over: {seconds:.1f} s)",
                f"runs on {event.host}")

    def _wire(self, event):
        """The first announcement of a host after a hand-over has begun; more follow, and QEMU's own."""
        if self._announced:
            return None
        self._announced = True
        return f"announced on the wire by {event.host}: switches send frames for the guest there", "announced"

    def _command(self, event):
        return event.what, event.detail
