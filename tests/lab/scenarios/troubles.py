# SPDX-License-Identifier: Apache-2.0
"""Guests, cards and daemons that do what they should not: the guest stays reachable, the reason is shown.

Where frames are lost, the same is done to the guest on the synthetic path: the control.
"""
from checktool import baseline
from checktool.collect import collect
from labtool.addresses import vf_sender
from labtool.base import wait_for

from .bench import G1, MIGRATION_SECONDS, SYNTHETIC, VF, expect, lab_command
from .traffic import Traffic

# Short ones, so that what is given up is given up within a scenario.
_TIMEOUTS = "timeouts { guest-driver = 8 unplug = 5 back-off = 600 }"
_FAST = 0.05            # seconds between a sender's pings where a gap is measured
_HEALTHY_GAP = 1.0      # nothing is wrong with the path: what an emulated host loses now and then


def _ill_guest(bench, ill):
    bench.stop_guests()
    bench.configure(bench.h1, _TIMEOUTS)
    bench.undo.callback(bench.stop_guests)
    bench.start_guest(G1, bench.h1, ill=ill)


def no_vf_driver(bench):
    """A guest without a driver for the VF: reachable all the time, on the synthetic path, and it says why."""
    _ill_guest(bench, "no-vf-driver")
    with Traffic(bench, label="guest without a VF driver, VF tried and taken away") as traffic:
        traffic.await_replies()
        bench.await_reason(bench.h1, "guest-driver-missing")
        bench.await_path(bench.h1, SYNTHETIC)
        traffic.await_replies(count=20)
    traffic.expect_gap_below(_HEALTHY_GAP)
    nic = bench.nic(bench.h1)
    bench.note(f"h1 says: {nic['reason_sentence']}; {nic['remedy']}")


def keeps_vf(bench):
    """A guest that never lets go of its VF: asked again, then left on it, reachable; a reboot takes it off."""
    _ill_guest(bench, "keeps-vf")
    bench.await_path(bench.h1, VF)
    with Traffic(bench, label="guest that refuses to unplug") as traffic:
        traffic.await_replies()
        bench.succeed(bench.h1, "vswitch nic release g1 --hold --no-wait")
        bench.await_reason(bench.h1, "unplug-refused")
        bench.await_path(bench.h1, VF)
        traffic.await_replies(count=20)
        nic = bench.nic(bench.h1)
        bench.note(f"h1 says: {nic['reason_sentence']}; {nic['remedy']}")
    traffic.expect_gap_below(_HEALTHY_GAP)


def carrier_lost(bench):
    """The cable of the PF is pulled while the guest is on its VF: over the bond's other port, and back again."""
    node = bench.h1
    bench.ready(SYNTHETIC)
    # A VF of a port without a cable reaches nobody but its own card.
    without = {vf_sender(node.host).name}
    bench.undo.callback(lab_command, "carrier", node.name, node.pf, "on")
    with Traffic(bench, label="control: carrier lost and back, synthetic path", interval=_FAST, without=without) as traffic:
        _pull_and_plug(bench, node, traffic, SYNTHETIC)
    bench.succeed(node, "vswitch nic acquire g1")
    bench.await_path(node, VF)
    with Traffic(bench, label="carrier lost and back, on a VF", interval=_FAST, without=without) as traffic:
        _pull_and_plug(bench, node, traffic, VF)


def _pull_and_plug(bench, node, traffic, path):
    traffic.await_replies()
    for state, active in (("off", node.pfs[1]), ("on", node.pfs[0])):
        lab_command("carrier", node.name, node.pf, state)
        wait_for(f"{active} to be the active port",
                 lambda a=active: node.out("cat /sys/class/net/bond0/bonding/active_slave") == a, 30)
        traffic.await_replies()
        bench.await_path(node, path)
        if path == VF:
            wait_for("a VF of the active port", lambda a=active: bench.nic(node)["pf"] == a, 60)
            bench.await_path(node, path)
        traffic.await_replies()


def numvfs_zero(bench):
    """Somebody writes 0 to sriov_numvfs while the guest is on a VF: synthetic, and on a VF again when there are some."""
    node = bench.h1
    bench.ready()
    bench.undo.callback(_make_vfs_again, bench, node)
    with Traffic(bench, label="sriov_numvfs = 0 behind our back", without={vf_sender(node.host).name}) as traffic:
        traffic.await_replies()
        # The kernel waits in here until the guest has let go.
        done = bench.command(node, f"sh -c 'echo 0 > /sys/class/net/{node.pf}/device/sriov_numvfs'", 120)
        bench.note(f"the write ended with {done.code} {done.text}")
        bench.await_path(node, SYNTHETIC)
        bench.await_reason(node, "no-vfs")
        traffic.await_replies()
        node.ssh("lab-vfs", timeout=120)
        bench.await_path(node, VF)
        traffic.await_replies()


def _make_vfs_again(bench, node):
    """New VFs have new made-up MACs: what a VF was like before has to be looked at again."""
    node.ssh("lab-vfs", timeout=120)
    bench.stop_guests()
    baseline.save(collect([node.name]))


def libvirtd_restarted(bench):
    """libvirtd is restarted while guests run: nothing moves, and everything is known again."""
    node = bench.h1
    bench.ready()
    with Traffic(bench, label="libvirtd restarted") as traffic:
        traffic.await_replies()
        node.ssh("pid=$(cat /run/libvirtd.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.1; done; libvirtd -d")
        bench.await_daemon(node, 60)
        wait_for("the daemon to know where the guest is", lambda: bench.nic(node)["situation"] == "on-vf", 60)
        bench.await_path(node, VF)
        traffic.await_replies(count=10)
    traffic.expect_gap_below(_HEALTHY_GAP)


def _size(node):
    """(resident KiB, open files) of the daemon."""
    pid = "$(cat /run/lab-vswitchd.pid)"
    rss, files = node.out(f"sed -n 's/VmRSS:[[:space:]]*\\([0-9]*\\) .*/\\1/p' /proc/{pid}/status; ls /proc/{pid}/fd | wc -l").split()
    return int(rss), int(files)


def _migrate_a_plain_guest(bench, times):
    """The control: a guest that is none of vswitch's business."""
    for node in (bench.h1, bench.h2):
        bench.run_daemon(node)
    bench.stop_guests()
    bench.start_guest(G1, bench.h1, "plain")
    source, target = bench.h1, bench.h2
    with Traffic(bench, label=f"control: {times} live migrations, a guest with virtio only") as traffic:
        traffic.await_replies()
        for _ in range(times):
            bench.succeed(source, f"virsh -q migrate --live {G1.name} {target.uri}", MIGRATION_SECONDS)
            traffic.await_replies()
            source, target = target, source
    bench.stop_guests()


def five_migrations(bench):
    """Five live migrations back and forth under traffic: on a VF each time, no leak, and no daemon grows."""
    _migrate_a_plain_guest(bench, 5)
    bench.ready()
    sizes = {}
    with Traffic(bench, label="5 live migrations, on a VF") as traffic:
        traffic.await_replies()
        source, target = bench.h1, bench.h2
        for number in range(5):
            bench.succeed(source, f"virsh -q migrate --live {G1.name} {target.uri}", MIGRATION_SECONDS)
            bench.await_path(target, VF)
            traffic.await_replies()
            # The first two warm up caches and connections of both daemons.
            sizes[number] = {node: _size(node) for node in (source, target)}
            source, target = target, source
    for node in (bench.h1, bench.h2):
        before, after = sizes[1][node], sizes[4][node]
        bench.note(f"vswitchd on {node.name}: {before[0]} KiB and {before[1]} files after two migrations, "
                   f"{after[0]} KiB and {after[1]} files after five")
        expect(after[1] <= before[1], f"vswitchd on {node.name} has {after[1]} open files, it had {before[1]}")
        expect(after[0] <= before[0] + 512, f"vswitchd on {node.name} has grown from {before[0]} to {after[0]} KiB")
