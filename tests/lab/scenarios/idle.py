# SPDX-License-Identifier: Apache-2.0
"""A daemon that has nothing to do costs nothing."""
import time

from labtool.base import wait_for

from . import strace
from .bench import expect

_SECONDS = 60


def idle(bench):
    """60 s with the guest on its VF: at most one cheap read per VF and second, no writes, no questions to libvirt."""
    bench.ready()
    bench.run_daemon(bench.h1, "")      # the log of a debugging daemon is not part of the question
    # The confirmation of a move counts frames for a while; that is no idleness yet.
    wait_for("the daemon to wait for nothing", lambda: bench.nic(bench.h1)["deadline_usec"] == 0, 60, interval=2)
    with strace.attached(bench.h1) as trace:
        end = time.monotonic() + _SECONDS
        wait_for("the time to pass", lambda: time.monotonic() >= end, _SECONDS + 5, interval=1)
    found = trace.result()
    bench.note(f"{found.vectors_reads} vector reads, {found.netlink_reads} netlink reads and "
               f"{len(found.netlink_writes)} writes in {_SECONDS} s")
    bench.note(found.summary)
    expect(found.vectors_reads <= _SECONDS + 2, f"{found.vectors_reads} reads of the vectors in {_SECONDS} s: "
                                                "one a second is enough for one VF")
    expect(found.vectors_reads > 0, "nobody looked at the vectors: a VF that is lost would not be noticed")
    expect(not found.netlink_writes, f"an idle daemon wrote to the kernel: {found.netlink_writes}")
    expect(not found.sysfs_writes, f"an idle daemon wrote to sysfs: {found.sysfs_writes}")
    expect(found.libvirt_calls == 0, f"an idle daemon asked libvirt {found.libvirt_calls} times")
