# SPDX-License-Identifier: Apache-2.0
"""A host's clock in terms of ours, by asking it for the time.

An answer was given between the moment of the question and that of the answer's
arrival; the middle is taken, and half of that time is how wrong it can be.
Clocks of emulated hosts drift, so the question is repeated all the while, and
moments between two answers are mapped between the two.
"""
import bisect
import subprocess
import threading
import time
from dataclasses import dataclass

from labtool import hosts
from labtool.base import LabError

BURST = 5               # questions at a time, the quickest answer counts
AGAIN_SECONDS = 2
_SCRIPT = "while read -r _; do echo $EPOCHREALTIME; done"


@dataclass(frozen=True, order=True)
class Sample:
    theirs: int         # ns, the host's clock
    offset: int         # ns to be added for ours
    error: int          # ns, half of the round trip


class Mapping:
    """The pure part: samples in, moments mapped."""

    def __init__(self):
        self._samples = []

    def add(self, asked, theirs, answered):
        """One exchange; returns the sample."""
        sample = Sample(theirs, (asked + answered) // 2 - theirs, (answered - asked) // 2)
        bisect.insort(self._samples, sample)
        return sample

    def ours(self, theirs):
        """Our time of a moment on the host's clock."""
        after = bisect.bisect_left(self._samples, theirs, key=lambda sample: sample.theirs)
        if after == 0:
            return theirs + self._samples[0].offset
        if after == len(self._samples):
            return theirs + self._samples[-1].offset
        first, second = self._samples[after - 1], self._samples[after]
        share = (theirs - first.theirs) / (second.theirs - first.theirs)
        return theirs + first.offset + round((second.offset - first.offset) * share)

    def accuracy(self):
        """ns: no moment next to a sample is further off than this."""
        return max(sample.error for sample in self._samples)


class HostClock:
    """Asks a host from start() until stop()."""

    def __init__(self, host):
        self._host = host
        self._mapping = Mapping()
        self._process = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def start(self):
        self._process = subprocess.Popen(hosts.ssh_argv(self._host) + [f"bash -c '{_SCRIPT}'"], text=True, bufsize=1,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self._ask()
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._process.kill()
        self._process.wait()

    def ours(self, theirs):
        return self._mapping.ours(theirs)

    def accuracy(self):
        return self._mapping.accuracy()

    def _exchange(self):
        asked = time.monotonic_ns()
        self._process.stdin.write("\n")
        answer = self._process.stdout.readline()
        answered = time.monotonic_ns()
        seconds, _, fraction = answer.strip().partition(".")
        if not fraction:
            raise LabError(f"{self._host.name} does not tell the time: {answer!r}")
        return asked, int(seconds + fraction.ljust(9, "0")), answered

    def _ask(self):
        self._mapping.add(*min((self._exchange() for _ in range(BURST)), key=lambda e: e[2] - e[0]))

    def _repeat(self):
        try:
            while not self._stop.wait(AGAIN_SECONDS):
                self._ask()
        except (LabError, OSError, ValueError):
            pass    # the host went away, or stop() did its work: the samples so far remain
