# SPDX-License-Identifier: Apache-2.0
"""The cases that are compared.

Each has two parts: prepare() brings guest, hosts and tables into the state in
which it begins and returns the guest's host; act() is what is measured, and
ends when the guest is where the case wants it.
"""
from dataclasses import dataclass
from typing import Callable

from labtool.base import wait_for

from .bench import MOVE_SECONDS, UNPLUG_SECONDS, VF_SECONDS


@dataclass(frozen=True)
class Case:
    letter: str
    title: str
    prepare: Callable       # (bench) -> Host
    act: Callable           # (bench, probe, host)
    vswitch: bool           # needs the project on the hosts


# --- (a) virtio only

# Follows QEMU's events on a host and carries out a command at one of them. With a NIC that has VFs the PF's list has
# to follow the guest; an operator's script that is as quick as can be, so that the control loses no frame by it.
_AT_EVENT = """
setsid bash -c 'stdbuf -oL virsh -q qemu-monitor-event --loop | while read -r _ event _; do
    [ "$event" = {event} ] && {{ {command}; break; }}
done' >/run/compare-event.out 2>&1 </dev/null &
echo $! >/run/compare-event.pid
"""
_END_AT_EVENT = "kill -- -$(cat /run/compare-event.pid) 2>/dev/null; rm -f /run/compare-event.pid; true"


# The emulated igb hands a PF its own broadcasts back. So QEMU's announcement on the destination, which comes in by
# the tap, comes in by the uplink again, and the bridge looks for the guest there until it speaks. No real card does
# that; the control is kept from it.
_ARRIVE = ("bridge fdb add $M dev $PF self; "
           "tc filter add dev $PF ingress pref 7 protocol all flower skip_hw src_mac $M action drop")


def _prepare_virtio(bench):
    home = bench.by_hand()
    away = bench.other(home)
    bench.sh(away, "tc qdisc add dev $PF clsact\nexport M PF\n" +
             _AT_EVENT.format(event="FAILOVER_NEGOTIATED", command=_ARRIVE))
    bench.sh(home, "export M PF\n" + _AT_EVENT.format(event="STOP", command="bridge fdb del $M dev $PF self"))
    return home


def _migrate_virtio(bench, probe, home):
    bench.migrate(home, bench.other(home))
    probe.mark("migrated")
    for host in bench.hosts:
        bench.sh(host, _END_AT_EVENT)


# --- (b) libvirt and QEMU alone

def _prepare_libvirt_vf(bench):
    home = bench.by_hand()
    bench.attach_vf(home)
    bench.copy_vf_xml(home, bench.other(home))
    # What the bridge has learned of the guest's time on the tap would keep its neighbours from the VF for minutes.
    bench.sh(home, "bridge fdb del $M dev $TAP master; bridge fdb del $M dev $PF self")
    return home


def _migrate_teaming(bench, probe, home):
    bench.migrate(home, bench.other(home))
    probe.mark("migrated")
    wait_for("the guest on a VF of the other host", bench.on_vf, VF_SECONDS)


# --- (c) the kernel's documentation (Documentation/networking/net_failover.rst)

_DOCUMENTED_SOURCE = """
set -e
virsh -q domif-setlink $GUEST $TAP up
virsh -q detach-device $GUEST {vf_file} --live
ip link set $PF vf $VF mac 00:00:00:00:00:00
bridge fdb add $M dev $PF self
bridge fdb replace $M dev $TAP master static
virsh migrate --live $GUEST {uri}
bridge fdb del $M dev $PF self
# The tap went away with the guest, and its entry with it.
bridge fdb del $M dev $TAP master 2>/dev/null || true
"""
_DOCUMENTED_DESTINATION = """
bridge fdb del $M dev $PF self
bridge fdb del $M dev $TAP master 2>/dev/null
set -e
virsh -q attach-device $GUEST {vf_file} --live
virsh -q domif-setlink $GUEST $TAP down
"""


def _prepare_documented(bench):
    home = _prepare_libvirt_vf(bench)
    bench.sh(home, "virsh -q domif-setlink $GUEST $TAP down")
    return home


def _migrate_documented(bench, probe, home):
    away = bench.other(home)
    # "An appropriate FDB entry is added" on the destination before the migration starts.
    bench.feed_synthetic(away)
    bench.migrate(home, away, _DOCUMENTED_SOURCE.format(vf_file=bench.vf_file, uri=bench.uri(away)))
    probe.mark("migrated")
    bench.sh(away, _DOCUMENTED_DESTINATION.format(vf_file=bench.vf_file), timeout=MOVE_SECONDS)
    wait_for("the guest on a VF of the other host", bench.on_vf, VF_SECONDS)
    bench.sh(away, "virsh -q domif-setlink $GUEST $TAP up")


# --- (d) ... (g) vswitch

def _prepare_on_vf(bench):
    home = bench.managed()
    if bench.path(home) != "vf":
        bench.acquire(home)
    wait_for("the guest on its VF", bench.on_vf, VF_SECONDS)
    return home


def _prepare_held(bench):
    home = bench.managed()
    bench.release(home)
    return home


def _migrate_plain(bench, probe, home):
    away = bench.other(home)
    bench.migrate(home, away)
    _await_arrival(bench, probe, away)


def _migrate_vswitch(bench, probe, home):
    away = bench.other(home)
    bench.migrate(home, away, f"vswitch migrate $GUEST {bench.uri(away)}")
    _await_arrival(bench, probe, away)


def _await_arrival(bench, probe, away):
    probe.mark("migrated")
    bench.await_path(away, "vf")
    wait_for("the guest on a VF of the other host", bench.on_vf, VF_SECONDS)


def _acquire(bench, probe, home):
    bench.acquire(home)
    probe.mark("on VF")


def _release(bench, probe, home):
    bench.release(home)
    probe.mark("synthetic")


# --- (h) the guest's own floor

_OFFER_BOTH = """
set -e
bridge fdb replace $M dev $PF self
tc qdisc add dev $PF clsact
tc filter add dev $PF ingress pref 7 protocol all flower skip_hw dst_mac $M action mirred egress redirect dev $TAP
tc filter add dev $PF egress pref 7 protocol all flower skip_hw dst_mac $M action mirred egress mirror dev $TAP
bridge fdb replace $M dev $PF master static sticky
"""
# What ends every release: without it a neighbour's frames would go on to reach the guest twice. The rules go, the
# qdisc stays: to add or take away a qdisc, even this one, the kernel stops the device's queues for a moment and drops
# what is in them.
_OFFER_SYNTHETIC = """
bridge fdb replace $M dev $TAP master static sticky
for way in ingress egress; do tc filter del dev $PF $way pref 7; done
"""


def _prepare_floor(bench):
    home = bench.by_hand()
    bench.attach_vf(home)
    bench.sh(home, _OFFER_BOTH)
    return home


def _drop_vf(bench, probe, home):
    probe.agent.drop_vf()
    wait_for("the guest without a primary", lambda: not probe.agent.has_primary(), UNPLUG_SECONDS, interval=0.05)
    bench.sh(home, _OFFER_SYNTHETIC)
    probe.mark("VF dropped")


CASES = {case.letter: case for case in (
    Case("a", "virtio only, virsh migrate", _prepare_virtio, _migrate_virtio, False),
    Case("b", "libvirt/QEMU teaming alone, virsh migrate", _prepare_libvirt_vf, _migrate_teaming, False),
    Case("c", "the kernel documentation's script", _prepare_documented, _migrate_documented, False),
    Case("d", "vswitch, virsh migrate", _prepare_on_vf, _migrate_plain, True),
    Case("e", "vswitch migrate", _prepare_on_vf, _migrate_vswitch, True),
    Case("f", "vswitch acquire", _prepare_held, _acquire, True),
    Case("g", "vswitch release", _prepare_on_vf, _release, True),
    Case("h", "the guest drops its VF itself, both paths fed", _prepare_floor, _drop_vf, False),
)}
