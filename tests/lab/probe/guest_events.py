# SPDX-License-Identifier: Apache-2.0
"""The guest's log, and which of the guest's paths were open when.

The *synthetic path* is open while no primary is registered: net_failover throws
away what the standby gets while there is one.  The *VF path* is open while a
primary is registered, up and running.

Beginning and end are taken from the kernel's stamps at the functions that make
them (see guest-agent.c).  The VF takes over when it has been opened: the
standby is still heard then, and the VF already receives.  That it runs is
announced by the driver's watchdog later (igbvf: up to two seconds, after a
false announcement at the very start), so a VF that is announced to run within
RUNNING_DELAY_NS counts as open since it took over.  One that never runs leaves
the guest deaf, and does not count as open.

What the guest sends goes by the VF if that runs, else by the standby if that
runs, else nowhere.

Without the kernel's stamps rtnetlink's notices are taken, which are late by what
opening and closing take.
"""
from dataclasses import dataclass

STANDBY, PRIMARY = "standby", "primary"
RUNNING_DELAY_NS = 5_000_000_000


@dataclass(frozen=True)
class GuestEvent:
    stamp: int          # guest's clock, ns
    kind: str
    fields: dict

    def flag(self, name):
        return self.fields.get(name) == "1"


def parse_log(text):
    """Events in the order of their stamps; traced ones were written later than they happened."""
    events = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or not words[0].isdigit():
            continue
        fields = dict(word.split("=", 1) for word in words[2:] if "=" in word)
        events.append(GuestEvent(int(words[0]), words[1], fields))
    return sorted(events, key=lambda event: event.stamp)


class _Paths:
    """Follows the events."""

    def __init__(self, traced):
        self._traced = traced
        self._primaries = {}    # index -> last link event
        self._standby = None    # last link event
        self._registering = False
        self._registered = False
        self._closing = False

    def take(self, event):
        role = event.fields.get("role")
        if event.kind == "link" and role == PRIMARY:
            self._link(event)
        elif event.kind == "link" and role == STANDBY:
            self._standby = event
        elif event.kind == "gone" and role == PRIMARY:
            self._primaries.pop(event.fields["index"], None)
        elif event.kind == "trace":
            self._trace(event.fields["point"], event.fields.get("result", "0") == "0")
        if not self._traced:
            self._registered = self._enslaved()

    def begin(self):
        """What was there before the log began left no trace."""
        self._registered = self._enslaved()

    def _enslaved(self):
        return any(primary.flag("enslaved") for primary in self._primaries.values())

    def _link(self, event):
        before = self._primaries.get(event.fields["index"])
        if before and before.flag("up") != event.flag("up"):
            self._closing = not event.flag("up")
        self._primaries[event.fields["index"]] = event

    def _trace(self, point, succeeded):
        if point == "registering":
            self._registering = True
        elif point == "vf_opened" and self._registering and succeeded:
            self._registered, self._closing = True, False
        elif point == "registered":
            self._registering, self._registered = False, succeeded
        elif point in ("vf_removing", "vf_closing"):
            self._closing = True
        elif point == "unregistered":
            self._registered, self._closing = False, False
            # Notices of this one's end are still to come; the next one has another index.
            self._primaries.clear()

    def state(self):
        """(synthetic path open, VF registered and not closing, a VF is announced to run, path for sending)"""
        running = any(_usable(primary) for primary in self._primaries.values())
        attached = self._registered and not self._closing
        sends_by = "vf" if attached and running else "synthetic" if _usable(self._standby) else "none"
        return not self._registered, attached, running, sends_by


def _usable(link):
    return bool(link) and link.flag("enslaved") and link.flag("up") and link.flag("running")


def _states(events):
    """[(stamp, *_Paths.state())], one for each change."""
    paths = _Paths(not any(event.kind == "trace-missing" for event in events))
    states = []
    for event in events:
        if event.kind == "begin":
            paths.begin()
            states.append((event.stamp, *paths.state()))
            continue
        paths.take(event)
        if states and paths.state() != states[-1][1:]:
            states.append((event.stamp, *paths.state()))
    return states


def _runs_soon(states, at, deadline):
    """Whether the VF that is attached in states[at] is announced to run, now or until the deadline."""
    for stamp, _, attached, running, _ in states[at:]:
        if not attached:
            return False
        if running:
            return stamp <= deadline
    return False


def path_changes(events):
    """[(guest's stamp, synthetic open, VF open)]; the first one holds since before the log began."""
    states = _states(events)
    changes, took_over = [], None
    for i, (stamp, synthetic, attached, running, _) in enumerate(states):
        if not attached:
            took_over = None
        elif took_over is None:
            took_over = stamp
        now = (synthetic, attached and (running or _runs_soon(states, i, took_over + RUNNING_DELAY_NS)))
        if not changes or changes[-1][1:] != now:
            changes.append((stamp, *now))
    return changes


def sending_changes(events):
    """[(guest's stamp, "vf", "synthetic" or "none")]: by which path the guest sends."""
    changes = []
    for stamp, *_, sends_by in _states(events):
        if not changes or changes[-1][1] != sends_by:
            changes.append((stamp, sends_by))
    return changes
