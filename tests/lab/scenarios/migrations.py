# SPDX-License-Identifier: Apache-2.0
"""Migrations that succeed."""
import re

from .bench import ABSENT, G1, MIGRATION_SECONDS, SYNTHETIC, VF, expect
from .traffic import Traffic

# How much longer than the guest itself stands still nobody may be answered.  Without
# help it is 16 s: the VF's MAC filter is live on the destination before the guest is.
_SWITCH_OVER_GAP = 4


def _move(bench, source, target, command):
    """Migrates g1; the seconds that it stood still between the two hosts."""
    bench.succeed(source, command.format(uri=target.uri))
    expect(bench.where() == target, f"after `{command}` g1 is not on {target.name}")
    bench.await_path(target, VF if target.vfs else SYNTHETIC)
    bench.await_path(source, ABSENT)
    stopped = re.search(r"Total downtime: +(\d+) +ms", target.out(f"virsh domjobinfo {G1.name} --completed"))
    expect(stopped, f"libvirt on {target.name} does not say how long the guest stood still")
    return int(stopped.group(1)) / 1000


def _there_and_back(bench, command):
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        stopped = []
        for source, target in ((bench.h1, bench.h2), (bench.h2, bench.h1)):
            stopped.append(_move(bench, source, target, command))
            traffic.await_replies()
    bench.note(f"the guest itself stood still for {' and '.join(f'{s:.1f} s' for s in stopped)}")
    traffic.expect_gap_below(max(stopped) + _SWITCH_OVER_GAP)


def plain(bench):
    """`virsh migrate` by anybody: on a VF on the other host afterwards, and back."""
    _there_and_back(bench, "virsh -q migrate --live g1 {uri}")


def vswitch(bench):
    """`vswitch migrate`: on a VF on the other host afterwards, and back."""
    _there_and_back(bench, "vswitch migrate g1 {uri}")


def there_and_back(bench):
    """There, back and there again, each as soon as libvirt says that the last one is done."""
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        for source, target in ((bench.h1, bench.h2), (bench.h2, bench.h1), (bench.h1, bench.h2)):
            bench.succeed(source, f"virsh -q migrate --live {G1.name} {target.uri}", MIGRATION_SECONDS)
        bench.await_path(bench.h2, VF)
        bench.await_path(bench.h1, ABSENT)
        traffic.await_replies()


def no_sriov(bench):
    """`vswitch migrate` to a host without SR-IOV: reachable there, the reason is shown; a VF again on the way back."""
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        stopped = _move(bench, bench.h1, bench.h2, "vswitch migrate g1 {uri}")
        traffic.await_replies()
        nic = bench.nic(bench.h2)
        expect(nic["reason"] == "no-sriov", f"the reason for having no VF is shown as {nic['reason']!r}, not no-sriov")
        bench.note(f"h2 says: {nic['reason_sentence']}; {nic['remedy']}")
        stopped = max(stopped, _move(bench, bench.h2, bench.h1, "vswitch migrate g1 {uri}"))
        traffic.await_replies()
    traffic.expect_gap_below(stopped + _SWITCH_OVER_GAP)
