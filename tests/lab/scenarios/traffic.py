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


class _Pinger:
    def __init__(self, sender, ip, directory):
        self.sender = sender
        self._output = Path(directory, sender.name)
        argv = ["ip", "netns", "exec", sender.netns, *image.program("ping"), "-n", "-i", str(_INTERVAL), ip]
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
    """Pings g1 from everywhere, from __enter__ to __exit__."""

    def __init__(self, bench, guest=G1):
        self._nodes = list(bench.nodes.values())
        self._bench = bench
        self._guest = guest
        self._pingers = []

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="vswitch-scenario-")
        self._pingers = [_Pinger(s, self._guest.ip4, self._directory.name) for s in _senders(self._nodes)]
        return self

    def __exit__(self, failed, *_):
        for pinger in self._pingers:
            pinger.end()
        self._bench.note(self.summary())
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
        return max(max(_gaps(p.replies()), default=0) for p in self._pingers) * _INTERVAL

    def expect_gap_below(self, seconds):
        longest = self.longest_gap()
        expect(longest <= seconds, f"a sender got no answer for {longest:.1f} s, at most {seconds:g} s are expected: "
                                   f"{self.summary()}")

    def summary(self):
        lost = ", ".join(f"{name} {count}" for name, count in self.lost().items())
        return f"pings lost: {lost}; longest gap {self.longest_gap():.1f} s"
