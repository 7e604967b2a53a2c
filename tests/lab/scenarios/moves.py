# SPDX-License-Identifier: Apache-2.0
"""One host: a NIC gets a VF, gives it back, and its guest reboots."""
import json

from labtool.base import wait_for

from .bench import MOVE_SECONDS, SYNTHETIC, VF, G1, expect
from .traffic import Traffic

# A guest needs a moment between closing its VF and using its other NIC.
_GUEST_OWN_GAP = 3


def acquire(bench):
    """A NIC on the synthetic path is moved to a VF while everybody talks to it."""
    bench.ready(SYNTHETIC)
    with Traffic(bench) as traffic:
        traffic.await_replies()
        bench.succeed(bench.h1, "vswitch nic acquire g1")
        bench.await_path(bench.h1, VF)
        traffic.await_replies()
    traffic.expect_gap_below(_GUEST_OWN_GAP)


def release(bench):
    """A NIC leaves its VF, stays away as long as it is held, and gets one again."""
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        bench.succeed(bench.h1, "vswitch nic release g1 --hold")
        bench.await_path(bench.h1, SYNTHETIC)
        traffic.await_replies()
        nic = bench.nic(bench.h1)
        expect(nic["held"] and nic["reason"] == "held", f"a held NIC says so, but not this one: {nic}")
        bench.succeed(bench.h1, "vswitch nic acquire g1")
        bench.await_path(bench.h1, VF)
        traffic.await_replies()
    traffic.expect_gap_below(_GUEST_OWN_GAP)


def guest_reboot(bench):
    """A guest is reset while it is on a VF; it can be reached again, and is on a VF again."""
    for path, label in ((SYNTHETIC, "control: guest reset, synthetic path"), (VF, "guest reset, on a VF")):
        bench.ready(path)
        boots = _boots(bench)
        with Traffic(bench, label=label) as traffic:
            traffic.await_replies()
            bench.succeed(bench.h1, "virsh -q reset g1")
            wait_for("the guest to boot again", lambda n=boots: _boots(bench) > n, 120)
            traffic.await_replies(seconds=60)
            bench.await_path(bench.h1, path)
            traffic.await_replies()


def _boots(bench):
    """How often the guest's init has finished, by its console."""
    log = f"/var/log/libvirt/qemu/{G1.name}-serial.log"
    return int(bench.h1.out(f"grep -c 'GUEST READY' {log} || true"))


def two_nics(bench):
    """A guest with two NICs: each gets a VF of its own, and one is released without the other."""
    first, second = "g1/ua-net0", "g1/ua-net1"
    bench.run_daemon(bench.h1)
    bench.stop_guests()
    bench.start_guest(G1, bench.h1, nics=2)
    _await_paths(bench, {first: "vf", second: "vf"})
    expect(len(set(_nics(bench, "vf").values())) == 2, "the two NICs have the same VF")
    bench.succeed(bench.h1, f"vswitch nic release {second} --hold")
    _await_paths(bench, {first: "vf", second: "synthetic"})
    bench.stop_guests()


def _nics(bench, key):
    """{NIC: what the daemon says of it under `key`}."""
    shown = json.loads(bench.succeed(bench.h1, "vswitch --json nic list"))
    return {nic["nic"]: nic[key] for nic in shown["nics"]}


def _await_paths(bench, paths):
    wait_for(f"the paths {paths}", lambda: _nics(bench, "path") == paths, MOVE_SECONDS)
