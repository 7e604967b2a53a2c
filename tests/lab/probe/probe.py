#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lab probe - counts the frames that a guest gets, and those it does not.

UDP frames with sequence numbers go to one guest from several senders at once:

    wire        a machine on the wire between the hosts
    bridge@HOST a neighbour on the software switch of a host
    vf@HOST     something that speaks through a VF of a host's PF

each at --rate frames a second, IPv4 and IPv6 in turn.  All senders are on this
machine, so that there is one clock.  The guest's agent sends every frame back
and remembers what it saw, captures on the wire and on the hosts tell how far a
frame came, and QEMU's events when the guest was stopped.  analysis.py says how
lost frames are counted and who they are charged to.

As a library:

    with Probe(rate=200) as probe:
        probe.mark("migrate")
        ...
    print(probe.result["rows"])
"""
import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labtool import state                                                       # noqa: E402
from labtool.addresses import LAB_NETNS, WIRE_SENDER, Host, neighbour, vf_sender  # noqa: E402
from labtool.base import LabError, say                                          # noqa: E402
from labtool.guests import named                                                # noqa: E402
from labtool.paths import BUILD                                                 # noqa: E402
from probe import records                                                       # noqa: E402
from probe.agent import Agent, AgentError                                       # noqa: E402
from probe.analysis import Analysis, Capture, Measurement, SenderInfo, unanswered  # noqa: E402
from probe.host_watch import HostWatch                                          # noqa: E402
from probe.programs import BuildError, build                                    # noqa: E402
from probe.prober import Prober, ProberError                                    # noqa: E402

DEFAULT_RATE = 200
ERRORS = (LabError, AgentError, ProberError, BuildError)


def default_senders(lab):
    """Everything that the running lab has."""
    names = ["wire"] + [f"bridge@{h['name']}" for h in lab["hosts"]]
    return names + [f"vf@{h['name']}" for h in lab["hosts"] if h["vfs"]]


def _resolve(number, name, lab):
    """(SenderInfo, namespace) of a sender's name."""
    if name == "wire":
        return SenderInfo(number, name, "wire", ""), WIRE_SENDER.netns
    kind, _, host_name = name.partition("@")
    host = next((Host(h["number"]) for h in lab["hosts"] if h["name"] == host_name), None)
    makers = {"bridge": neighbour, "vf": vf_sender}
    if not host or kind not in makers:
        raise LabError(f"no such sender: {name} (there are {', '.join(default_senders(lab))})")
    return SenderInfo(number, name, kind, host_name), makers[kind](host).netns


class Probe:
    """Measures from __enter__ to __exit__; `result` and `analysis` are there afterwards."""

    def __init__(self, senders=None, rate=DEFAULT_RATE, guest="g1"):
        self._lab = state.load()
        self._hosts = [Host(h["number"]) for h in self._lab["hosts"]]
        self._guest = named(guest)
        self._senders = [_resolve(i, name, self._lab)
                         for i, name in enumerate(senders or default_senders(self._lab))]
        self._rate = rate
        # Frames of an earlier run that are still under way must not count.
        self._run = int(time.time()) & 0x7fffffff
        self._marks = []
        self._watches = []
        self._exit = contextlib.ExitStack()
        self.agent = None
        self.analysis = None
        self.result = None

    def mark(self, text):
        """Notes what happens now, for the timeline."""
        self._marks.append((time.monotonic_ns(), text))

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            programs = build(BUILD.with_name(f"{BUILD.name}-probe"))
            self._directory = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="vswitch-probe-")))
            self.agent = undo.enter_context(Agent(WIRE_SENDER.netns, self._guest.ip4))
            for host in self._hosts:
                watch = HostWatch(host, self._guest.name)
                watch.start(self._run, programs["capture"])
                undo.callback(self._abandon, watch)
                self._watches.append(watch)
            self.agent.reset(self._run, 60)
            self._prober = Prober(
                programs["prober"], self._run, self._directory / "records", self._rate,
                self._guest.ip4, self._guest.ip6,
                [(info.number, netns) for info, netns in self._senders],
                [(LAB_NETNS, host.tap("wire")) for host in self._hosts])
            undo.callback(self._prober.kill)
            self._prober.start()
            self._exit = undo.pop_all()
        return self

    def __exit__(self, failed, *_):
        with self._exit:
            if not failed:
                self._finish()

    def _abandon(self, watch):
        if watch in self._watches:
            watch.abandon()

    def _finish(self):
        complaints = [self._prober.stop()]
        own = records.read(self._directory / "records")
        captures, vm_events = [Capture("", own.seen)], []
        while self._watches:
            capture, events, complaint = self._watches[-1].stop()
            self._watches.pop()
            captures.append(capture)
            vm_events += events
            complaints.append(complaint)
        noted = {info.number: self.agent.noted(info.number, 60) for info, _ in self._senders}
        self.analysis = Analysis(Measurement(
            senders=[info for info, _ in self._senders], sent=own.sent, replies=own.replies, noted=noted,
            accepted_at={number: self.agent.accepted_at(number, sequences, 60)
                         for number, sequences in unanswered(own.sent, own.replies, noted).items()},
            guest_log=self.agent.log(60), captures=captures, vm_events=vm_events, marks=self._marks,
            pf_names={h["name"]: h["pf"] for h in self._lab["hosts"]}, tap_name=self._guest.tap))
        self.result = {"rate": self._rate, "guest": self._guest.name,
                       "complaints": [c for c in complaints if c], **self.analysis.result()}


# --- showing it

_COLUMNS = [("sender", "name", 10), ("IP", "version", 4), ("sent", "sent", 7), ("reached", "reached", 8),
            ("back", "answered", 7), ("lost", "lost", 6), ("host's", "lost_by_host", 7),
            ("guest's", "lost_by_guest", 8), ("stopped", "lost_stopped", 8), ("dup", "duplicates", 5),
            ("gap ms", "longest_gap_ms", 9), ("silent ms", "longest_silence_ms", 10)]


def table(rows):
    """Rows as text for people."""
    lines = ["".join(title.rjust(width) for title, _, width in _COLUMNS)]
    for row in rows:
        lines.append("".join(str(row[key]).rjust(width) for _, key, width in _COLUMNS))
    return "\n".join(lines)


def attribution(rows):
    """Where the frames of each sender were lost."""
    return "\n".join(f"  {row['name']:>10}: {part['frames']:5} {part['direction']:>4} the guest, "
                     f"charged to {part['charge']}, last seen at {part['last_seen']}"
                     for row in rows if row["version"] == "all" for part in row["attribution"])


def _wait(probe, duration, stop_file):
    """Until the time is over, the file appears or Ctrl-C."""
    end = time.monotonic() + duration if duration else float("inf")
    with contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < end and not (stop_file and os.path.exists(stop_file)):
            time.sleep(0.1)


def _parser():
    parser = argparse.ArgumentParser(prog="lab probe", description="measure frame loss")
    parser.add_argument("--senders", help="wire,bridge@h1,vf@h1,... (default: all there are)")
    parser.add_argument("--rate", type=int, default=DEFAULT_RATE,
                        help="frames a second from each (default: %(default)s)")
    parser.add_argument("--duration", type=float, help="seconds (default: until Ctrl-C)")
    parser.add_argument("--stop-file", help="ends when this file appears")
    parser.add_argument("--guest", default="g1")
    parser.add_argument("--json", metavar="FILE")
    return parser


def main(argv):
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Probe(args.senders.split(",") if args.senders else None, args.rate, args.guest) as probe:
            say("probing")
            _wait(probe, args.duration, args.stop_file)
            say("collecting")
    except ERRORS as err:
        print(f"lab probe: {err}", file=sys.stderr)
        return 1
    print(table(probe.result["rows"]))
    print(attribution(probe.result["rows"]))
    for complaint in probe.result["complaints"]:
        print(f"note: {complaint}")
    if args.json:
        Path(args.json).write_text(json.dumps(probe.result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
