# SPDX-License-Identifier: Apache-2.0
"""What became of each frame, and who lost the lost ones.

Both directions are accounted separately.  A frame that the guest's socket took
has *reached* the guest; one whose answer came back is *answered*.  A frame that
was not answered is *lost*: on its way to the guest (`lost_to_guest`) or on its
way back (`lost_from_guest`).  A frame that waited in a queue and came late is
not lost; `longest_silence_ms` shows the waiting.

Where it was lost.  `attribution` counts lost frames by the last place that saw
them, in the order in which frames pass: sender, wire, a port of a host, its PF,
its tap, then inside the guest: standby or primary ("seen, not accepted").
Answers are followed in the other direction.

Who lost it.  Every lost frame is laid to exactly one charge:

    stopped   the guest did not run (a migration's switch-over)
    guest     the guest had closed its paths, or dropped the frame itself
    host      a path of the guest's was open, and the host did not feed it

For a frame sent at T let [T, S+D] be the time in which it would have arrived,
where S is the latest moment at which a capture saw it (T if none did): an
emulated host may hold a frame for long.

 1. `stopped` if that touches the time between the guest's STOP and its RESUME,
    as QEMU's events tell it (mapped from the host's clock; the mapping's
    uncertainty makes the stop longer).  Without such events: between the last
    and the first frame around a jump of the guest's clock.
 2. Towards the guest: `guest` if there may have been a moment in [T, S+D] in
    which no path was open (the mapping of the guest's clock leaves each change
    of a path a range; any moment of it is possible).  `guest`, too, if the
    frame was given to a path that may have been open then: the guest saw it
    arrive there, or the host put it into the guest's tap and that is where it
    stayed (the tap's queue is full when the guest is too slow).  Else `host`:
    a path was open throughout, possibly one that took over from the other
    without a pause, and the frame was not given to it.
 3. From the guest, which remembers when it took the frame: T is that moment, as
    far as the clocks' mapping tells it, and [T, T+D] the answer's way back.
    `host` if the guest's kernel took the answer and sent by one and the same
    path throughout; else `guest`, whose queue was full, which had nothing to
    send by, or whose driver may have dropped what it had queued.

The tolerance D is the time within which 95 % of this run's answers came back,
but at least 20 ms and at most 500 ms; it is part of the result
(`tolerance_ms`).  `lost_by_host` is the number of frames charged to `host`.

`lost_switchover` counts the lost frames, whoever lost them, that were sent from
one second before a STOP until three seconds after the RESUME: the part that an
early announcement makes smaller.
"""
import math
from collections import Counter
from dataclasses import dataclass, field

from . import clocks, guest_events
from .records import version_of

SEEN_STANDBY, SEEN_PRIMARY, ACCEPTED, ANSWERED, DUPLICATES_SHIFT = 1, 2, 4, 8, 4
TOLERANCE_MIN_NS, TOLERANCE_MAX_NS = 20_000_000, 500_000_000
SWITCHOVER_BEFORE_NS, SWITCHOVER_AFTER_NS = 1_000_000_000, 3_000_000_000
CLOCK_JUMP_NS = 30_000_000
MS = 1_000_000

# Places in the order in which a frame to the guest passes them.
_WIRE, _PORT, _PF, _TAP = range(1, 5)


@dataclass(frozen=True)
class SenderInfo:
    number: int
    name: str           # "wire", "bridge@h1", "vf@h2"
    kind: str           # wire, bridge, vf
    host: str           # "" for the wire


@dataclass(frozen=True)
class VmEvent:
    """QEMU's STOP or RESUME of the guest, on the host's clock."""
    host: str
    stamp: int
    name: str


@dataclass
class Capture:
    """What one machine saw; `host` is "" for this one, whose clock is ours."""
    host: str
    seen: list


@dataclass
class Measurement:
    """Everything that was collected in one run."""
    senders: list                                   # [SenderInfo]
    sent: dict                                      # number -> [ns]
    replies: dict                                   # number -> {sequence: [(ns, guest's ns)]}
    noted: dict                                     # number -> bytes, from the guest
    accepted_at: dict = field(default_factory=dict) # number -> {sequence: guest's ms}, of what was not answered
    guest_log: str = ""
    captures: list = field(default_factory=list)    # [Capture]
    vm_events: list = None                          # [VmEvent]; None: not watched
    marks: list = field(default_factory=list)       # [(ns, text)]
    pf_names: dict = field(default_factory=dict)    # host -> interface name
    tap_name: str = ""


@dataclass(frozen=True)
class Loss:
    """One lost frame."""
    sender: int
    sequence: int
    sent: int
    direction: str      # "to" or "from" the guest
    charge: str         # stopped, guest, host
    place: str          # the last one that saw it


def unanswered(sent, replies, noted):
    """{number: [sequence]} of frames that reached the guest and whose answers are lost."""
    return {number: [sequence for sequence, flags in enumerate(flags_of_all[:len(sent.get(number, ()))])
                     if flags & ACCEPTED and sequence not in replies.get(number, ())]
            for number, flags_of_all in noted.items()}


class Analysis:
    """The judgement over a measurement; the properties are computed once, in order."""

    def __init__(self, measurement):
        self.m = measurement
        self.guest_clock = clocks.ClockMap(clocks.guest_witnesses(measurement.sent, measurement.replies))
        self.host_clocks = {
            capture.host: clocks.ClockMap(clocks.host_witnesses(measurement.sent, measurement.replies, capture.seen))
            for capture in measurement.captures if capture.host}
        self.tolerance = _tolerance(measurement)
        self.path_changes, self.sending_changes = self._place_changes()
        self.stops, self._hosts = self._find_stops()
        self._places = self._collect_places()
        self.losses = list(self._find_losses())

    # --- the guest's time in ours

    def _place_changes(self):
        """[(earliest, latest, synthetic open, VF open)] and [(earliest, latest, path for sending)] on our clock."""
        events = guest_events.parse_log(self.m.guest_log)
        return [[((-math.inf, -math.inf) if i == 0 else self.guest_clock.bounds(stamp)) + tuple(state)
                 for i, (stamp, *state) in enumerate(changes)]
                for changes in (guest_events.path_changes(events), guest_events.sending_changes(events))]

    def _find_stops(self):
        """[(begin, end)] in which the guest did not run, and [(from when on, host)] where it ran."""
        if self.m.vm_events is None:
            return list(_clock_jumps(self.m)), []
        placed = sorted((self._host_bounds(event) + (event.name, event.host) for event in self.m.vm_events),
                        key=lambda bounds: bounds[0])
        stops, ran, begin = [], [], None
        for earliest, latest, name, host in placed:
            if name == "STOP" and begin is None:
                begin = earliest
                ran = ran or [(-math.inf, host)]
            elif name == "RESUME" and begin is not None:
                stops.append((begin, latest))
                ran.append((latest, host))
                begin = None
        return stops + ([(begin, math.inf)] if begin is not None else []), ran

    def _ran_on(self, host, moment):
        """Whether the guest ran on a host then, as far as QEMU's events tell."""
        known = [name for since, name in self._hosts if since <= moment]
        return not known or known[-1] == host

    def _host_bounds(self, event):
        clock = self.host_clocks.get(event.host)
        return clock.bounds(event.stamp) if clock else (-math.inf, math.inf)

    # --- where frames were seen

    def _rank(self, host, place):
        if not host:
            return _WIRE
        if place == self.m.pf_names.get(host):
            return _PF
        return _TAP if place == self.m.tap_name else _PORT

    def _collect_places(self):
        """(sender, sequence, answer) -> [(rank, stamp, text, latest moment on our clock, host)], if not answered."""
        found = {}
        for capture in self.m.captures:
            for one in capture.seen:
                if one.sequence in self.m.replies.get(one.sender, ()):
                    continue
                rank = self._rank(capture.host, one.place)
                text = f"{one.place} of {capture.host}" if capture.host else one.place
                # Answers pass the places in the other direction.
                latest = self.host_clocks[capture.host].bounds(one.stamp)[1] if capture.host else one.stamp
                found.setdefault((one.sender, one.sequence, one.answer), []).append(
                    (-rank if one.answer else rank, one.stamp, text, latest, capture.host))
        return found

    def _last_place_to_guest(self, sender, sequence, noted):
        if noted & (SEEN_STANDBY | SEEN_PRIMARY):
            seen = [name for bit, name in ((SEEN_STANDBY, "standby"), (SEEN_PRIMARY, "primary")) if noted & bit]
            return f"guest's {' and '.join(seen)}"
        return max(self._places.get((sender, sequence, False), [(0, 0, "sender")]))[2]

    def _last_place_from_guest(self, sender, sequence):
        return max(self._places.get((sender, sequence, True), [(0, 0, "guest")]))[2]

    # --- who lost what

    def _find_losses(self):
        for info in self.m.senders:
            noted = self.m.noted.get(info.number, b"")
            replies = self.m.replies.get(info.number, {})
            for sequence, sent in enumerate(self.m.sent.get(info.number, ())):
                if sequence not in replies:
                    yield self._judge(info.number, sequence, sent, noted[sequence] if sequence < len(noted) else 0)

    def _judge(self, sender, sequence, sent, noted):
        if noted & ACCEPTED:
            return Loss(sender, sequence, sent, "from", self._charge_from_guest(sender, sequence, sent, noted),
                        self._last_place_from_guest(sender, sequence))
        places = self._places.get((sender, sequence, False), [])
        under_way = max((latest for *_, latest, _ in places if math.isfinite(latest)), default=sent)
        into_tap = any(rank == _TAP and self._ran_on(host, latest) for rank, *_, latest, host in places)
        return Loss(sender, sequence, sent, "to", self._charge_to_guest(sent, under_way, noted, into_tap),
                    self._last_place_to_guest(sender, sequence, noted))

    def _stopped(self, begin, end):
        return any(begin <= resumed and end >= stopped for stopped, resumed in self.stops)

    def _charge_to_guest(self, sent, under_way, noted, into_tap):
        end = max(sent, under_way) + self.tolerance
        if self._stopped(sent, end):
            return "stopped"
        states = _possible(self.path_changes, sent, end)
        if not all(synthetic or vf for synthetic, vf in states):
            return "guest"
        was_fed = any(synthetic and (into_tap or noted & SEEN_STANDBY) or vf and noted & SEEN_PRIMARY
                      for synthetic, vf in states)
        return "guest" if was_fed else "host"

    def _charge_from_guest(self, sender, sequence, sent, noted):
        begin, end = self._taken(sender, sequence, sent)
        end += self.tolerance
        if self._stopped(begin, end):
            return "stopped"
        ways = _possible(self.sending_changes, begin, end)
        return "host" if noted & ANSWERED and len(ways) == 1 and ways != [("none",)] else "guest"

    def _taken(self, sender, sequence, sent):
        """(earliest, latest) moment at which the guest took a frame; the tolerance when it was not asked."""
        millisecond = self.m.accepted_at.get(sender, {}).get(sequence)
        if millisecond is None:
            return sent, sent + self.tolerance
        return (max(sent, self.guest_clock.bounds(millisecond * MS)[0]),
                self.guest_clock.bounds((millisecond + 1) * MS)[1])

    # --- results

    def rows(self):
        """One dict per sender and IP version, and per sender with version "all"."""
        by_sender = {}
        for loss in self.losses:
            by_sender.setdefault(loss.sender, []).append(loss)
        for info in self.m.senders:
            losses = by_sender.get(info.number, [])
            for version in ("all", 4, 6):
                chosen = [l for l in losses if version in ("all", version_of(l.sequence))]
                yield self._row(info, version, chosen)

    def _row(self, info, version, losses):
        stamps = self.m.sent.get(info.number, [])
        sequences = [s for s in range(len(stamps)) if version in ("all", version_of(s))]
        replies = self.m.replies.get(info.number, {})
        gaps = _gaps(sequences, stamps, {l.sequence for l in losses})
        to_guest = sum(l.direction == "to" for l in losses)
        charges = Counter(l.charge for l in losses)
        return {
            "sender": info.kind, "name": info.name, "host": info.host, "version": version,
            "sent": len(sequences),
            "reached": len(sequences) - to_guest,
            "answered": len(sequences) - len(losses),
            "lost": len(losses),
            "lost_to_guest": to_guest,
            "lost_from_guest": len(losses) - to_guest,
            "lost_by_host": charges["host"],
            "lost_by_guest": charges["guest"],
            "lost_stopped": charges["stopped"],
            "lost_switchover": sum(self._around_switchover(l.sent) for l in losses),
            "duplicates": _duplicates(sequences, self.m.noted.get(info.number, b""), replies),
            "gaps": [{"start_ms": self._since_start(start), "length_ms": length, "frames": frames}
                     for start, length, frames in gaps],
            "longest_gap_ms": max((length for _, length, _ in gaps), default=0),
            "longest_silence_ms": _longest_silence(sequences, stamps, replies),
            "attribution": _attribution(losses),
        }

    def _around_switchover(self, sent):
        return any(stopped - SWITCHOVER_BEFORE_NS <= sent <= resumed + SWITCHOVER_AFTER_NS
                   for stopped, resumed in self.stops)

    @property
    def start(self):
        return min((stamps[0] for stamps in self.m.sent.values() if stamps), default=0)

    def _since_start(self, moment):
        return round((moment - self.start) / MS, 1) if math.isfinite(moment) else None

    def timeline(self):
        """Marks, the guest's paths and stops, in ms since the first frame."""
        paths = [{"from_ms": [self._since_start(earliest), self._since_start(latest)],
                  "synthetic_open": synthetic, "vf_open": vf}
                 for earliest, latest, synthetic, vf in self.path_changes]
        return {"marks": [{"at_ms": self._since_start(at), "text": text} for at, text in self.m.marks],
                "paths": paths,
                "stops": [{"from_ms": self._since_start(begin), "to_ms": self._since_start(end)}
                          for begin, end in self.stops]}

    def result(self):
        """Everything, fit for JSON."""
        return {"tolerance_ms": round(self.tolerance / MS, 1), "rows": list(self.rows()), **self.timeline()}


def _possible(changes, begin, end):
    """The states that may have held at some moment of a time; changes: [(earliest, latest, *state)]."""
    return [tuple(state) for i, (earliest, _, *state) in enumerate(changes)
            if earliest <= end and (i + 1 == len(changes) or changes[i + 1][1] >= begin)]


def _tolerance(measurement):
    trips = sorted(min(stamp for stamp, _ in answers) - measurement.sent[sender][sequence]
                   for sender, by_sequence in measurement.replies.items()
                   for sequence, answers in by_sequence.items())
    usual = trips[len(trips) * 95 // 100] if trips else TOLERANCE_MAX_NS
    return min(max(usual, TOLERANCE_MIN_NS), TOLERANCE_MAX_NS)


def _clock_jumps(measurement):
    """Times in which the guest's clock stood still, found by what passed before and after."""
    witnesses = sorted(clocks.guest_witnesses(measurement.sent, measurement.replies))
    latest_offset, last_end = math.inf, 0
    for guest, not_before, not_after in witnesses:
        if not_before - guest > latest_offset + CLOCK_JUMP_NS:
            yield last_end, not_after
            latest_offset = math.inf
        latest_offset = min(latest_offset, not_after - guest)
        last_end = not_before


def _gaps(sequences, stamps, lost):
    """[(sent stamp of the first lost frame, length in ms, frames)].

    A gap's length is the time from the last frame before it that was answered to the next one that was,
    by when they were sent.
    """
    gaps, run, before = [], [], None
    for sequence in sequences:
        if sequence in lost:
            run.append(sequence)
            continue
        if run:
            gaps.append(_gap(stamps, run, before, sequence))
        run, before = [], sequence
    if run:
        gaps.append(_gap(stamps, run, before, run[-1]))
    return gaps


def _gap(stamps, run, before, after):
    begin = stamps[run[0] if before is None else before]
    return stamps[run[0]], round((stamps[after] - begin) / MS, 1), len(run)


def _duplicates(sequences, noted, replies):
    """Frames taken more than once by the guest, or answers that came more than once."""
    count = 0
    for sequence in sequences:
        again = noted[sequence] >> DUPLICATES_SHIFT if sequence < len(noted) else 0
        count += max(again, len(replies.get(sequence, ())) - 1)
    return count


def _longest_silence(sequences, stamps, replies):
    """Longest time without any answer, in ms, from the first frame to the last one sent."""
    if not sequences:
        return 0
    begin, end = stamps[sequences[0]], stamps[sequences[-1]]
    arrivals = sorted(stamp for s in sequences for stamp, _ in replies.get(s, ()))
    moments = [begin] + [a for a in arrivals if a < end] + [end]
    return round(max(b - a for a, b in zip(moments, moments[1:])) / MS, 1) if len(moments) > 1 else 0


def _attribution(losses):
    """[{direction, charge, place, frames}], the largest first."""
    counted = Counter((l.direction, l.charge, l.place) for l in losses)
    return [{"direction": direction, "charge": charge, "last_seen": place, "frames": frames}
            for (direction, charge, place), frames in counted.most_common()]
