# SPDX-License-Identifier: Apache-2.0
"""Other machines' clocks in terms of ours.

A moment on another machine (a guest, a host) is known to lie between two of
ours when a frame that we stamped passed there: not before we sent it, not after
we had its answer.  Such a *witness* (theirs, not_before, not_after) bounds every
other moment of that machine, too: what happened there later happened at least
as much later here, because time does not run backwards on either side.  A guest
that is stopped (a migration's switch-over) only makes "later here" larger.  So

    ours(t) >= not_before + (t - theirs)   for every witness with theirs <= t
    ours(t) <= not_after  - (theirs - t)   for every witness with theirs >= t

are bounds and not guesses, and the best of them are within a frame's transit.
Clocks of emulated machines are calibrated badly; DRIFT is allowed for.
"""
import bisect
import math

DRIFT = 0.005


class ClockMap:
    """Bounds of another clock's moments on ours, from witnesses (all in ns)."""

    def __init__(self, witnesses):
        witnesses = sorted(witnesses)
        self._times = [theirs for theirs, _, _ in witnesses]
        # Integers throughout: wall clock nanoseconds do not fit a float.
        self._base = self._times[0] if witnesses else 0
        self._not_before, best = [], -math.inf
        for theirs, not_before, _ in witnesses:
            best = max(best, not_before - self._forward(theirs - self._base))
            self._not_before.append(best)
        self._not_after, best = [], math.inf
        for theirs, _, not_after in reversed(witnesses):
            best = min(best, not_after - self._forward(theirs - self._base))
            self._not_after.append(best)
        self._not_after.reverse()

    @staticmethod
    def _forward(difference):
        return int(difference * (1 - DRIFT))

    def bounds(self, theirs):
        """(earliest, latest) of our clock; infinite where no witness bounds it."""
        since_base = self._forward(theirs - self._base)
        before = bisect.bisect_right(self._times, theirs)
        after = bisect.bisect_left(self._times, theirs)
        earliest = self._not_before[before - 1] + since_base if before else -math.inf
        latest = self._not_after[after] + since_base if after < len(self._times) else math.inf
        return earliest, max(earliest, latest)


def guest_witnesses(sent, replies):
    """Answers bear the guest's stamp of the moment when it answered."""
    return [(guest, sent[sender][sequence], stamp)
            for sender, by_sequence in replies.items()
            for sequence, answers in by_sequence.items()
            for stamp, guest in answers]


def host_witnesses(sent, replies, seen):
    """A frame or its answer on a host is between our sending and our receiving it."""
    found = []
    for one in seen:
        stamps = sent.get(one.sender, ())
        if one.sequence >= len(stamps):
            continue
        answers = replies.get(one.sender, {}).get(one.sequence)
        found.append((one.stamp, stamps[one.sequence], max(s for s, _ in answers) if answers else math.inf))
    return found
