# SPDX-License-Identifier: Apache-2.0
"""Light pings from all kinds of senders while something happens.

Five a second from each: enough to see a path that is dead, little enough not to
disturb an emulated host.  How many frames exactly a move costs, and who is to
blame for each, is the probe's business (tests/lab/compare), not asked here.
"""
import re
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from labtool import image
from labtool.addresses import WIRE_SENDER, neighbour, vf_sender
from labtool.base import wait_for

from .bench import G1, expect

_INTERVAL = 0.2
_REPLY = re.compile(r"icmp_seq=(\d+) ttl")


def _senders(nodes):
    found = [WIRE_SENDER]
    for node in nodes:
        found.append(neighbour(node.host))
        if node.vfs:
            found.append(vf_sender(node.host))
    return found


@dataclass(frozen=True)
class Loss:
    """A row of the table: what the senders lost while something happened."""
    label: str
    interval: float
    lost: dict      # sender -> frames
    gap: float      # seconds, the longest


def table(losses):
    """The rows as lines; the kinds of senders are the columns, a host's and its neighbour's own are added up."""
    kinds = ("wire", "nb", "vf")
    head = ["", "frames/s", *("wire", "bridge", "VFs"), "longest gap"]
    rows = [[loss.label, f"{1 / loss.interval:.0f}",
             *(str(sum(n for name, n in loss.lost.items() if name.startswith(kind))) for kind in kinds),
             f"{loss.gap:.1f} s"] for loss in losses]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [f"{row[0]:<{widths[0]}}  " + "  ".join(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:]))
            for row in [head, *rows]]


class _Pinger:
    def __init__(self, sender, ip, directory, interval):
        self.sender = sender
        self._output = Path(directory, sender.name)
        argv = ["ip", "netns", "exec", sender.netns, *image.program("ping"), "-n", "-i", str(interval), ip]
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self._final = None

    def replies(self):
        """Sequence numbers that were answered, in their order; a second answer to one is no new reply."""
        if self._final is not None:
            return self._final
        return sorted({int(n) for n in _REPLY.findall(self._output.read_text(errors="replace"))})

    def end(self):
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self._final = self.replies()


def _gaps(replies):
    """Lengths of the runs of missing numbers; ping counts from 1."""
    return [b - a - 1 for a, b in zip([0, *replies], replies) if b > a + 1]


class Traffic:
    """Pings g1 from everywhere, from __enter__ to __exit__; with a label the losses become a row of the table.

    `without`: names of senders that cannot reach it by what is being done to them.
    """

    def __init__(self, bench, guest=G1, label="", interval=_INTERVAL, without=()):
        self._senders = [s for s in _senders(bench.nodes.values()) if s.name not in without]
        self._bench = bench
        self._guest = guest
        self._label = label
        self._interval = interval
        self._pingers = []

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="vswitch-scenario-")
        self._pingers = [_Pinger(s, self._guest.ip4, self._directory.name, self._interval) for s in self._senders]
        return self

    def __exit__(self, failed, *_):
        for pinger in self._pingers:
            pinger.end()
        self._bench.note(self.summary())
        if self._label and failed is None:
            self._bench.losses.append(Loss(self._label, self._interval, self.lost(), self.longest_gap()))
        self._directory.cleanup()

    def await_replies(self, seconds=30, count=3):
        """Waits until every sender has so many new answers: all of them reach the guest now."""
        before = {p: len(p.replies()) for p in self._pingers}
        for pinger in self._pingers:
            wait_for(f"answers of {self._guest.name} to {pinger.sender.name}",
                     lambda p=pinger: len(p.replies()) >= before[p] + count, seconds)

    def lost(self):
        """{sender: frames lost between two answered ones}."""
        return {p.sender.name: sum(_gaps(p.replies())) for p in self._pingers}

    def longest_gap(self):
        """Seconds that the worst-off sender went without an answer."""
        return max(max(_gaps(p.replies()), default=0) for p in self._pingers) * self._interval

    def expect_gap_below(self, seconds):
        longest = self.longest_gap()
        expect(longest <= seconds, f"a sender got no answer for {longest:.1f} s, at most {seconds:g} s are expected: "
                                   f"{self.summary()}")

    def summary(self):
        lost = ", ".join(f"{name} {count}" for name, count in self.lost().items())
        return f"pings lost: {lost}; longest gap {self.longest_gap():.1f} s"
