# SPDX-License-Identifier: Apache-2.0
"""Is the guest really on a VF?  Asked of the guest, of the host, and of the frames themselves.

A daemon that says "vf" proves nothing: this is what the demo's exit code stands for.
"""
from dataclasses import dataclass, field

from labtool.base import wait_for
from probe.agent import AgentError
from probe.analysis import SEEN_PRIMARY, SEEN_STANDBY

PATH_SECONDS, GUEST_SECONDS = 120, 60
WATCH_SECONDS = 5
_SETTLE_NS = 1_000_000_000      # frames sent so shortly before the end may be under way when it is over


@dataclass
class Stay:
    """A time in which the guest should have been on a VF of a host; `missing` says what speaks against it."""
    host: str
    vf: str = ""
    began: int = 0
    ended: int = 0
    missing: list = field(default_factory=list)


def observe(bench, live, host):
    """Waits until the guest should be on a VF of the host, then looks from both sides while traffic flows."""
    bench.await_path(host, "vf")
    wait_for(f"the guest to say that its VF works on {host.name}", bench.on_vf, GUEST_SECONDS)
    stay = Stay(host.name)
    tap_before, stay.began = _frames_out_of_tap(bench, host), live.now()
    live.watch(WATCH_SECONDS)
    stay.ended, tap_after = live.now(), _frames_out_of_tap(bench, host)
    if tap_after != tap_before:
        stay.missing.append(f"{tap_after - tap_before} frames of the guest came out of its tap on {host.name}, "
                            "not of its VF")
    _ask_host(bench, host, stay)
    _ask_guest(bench, stay)
    return stay


def _frames_out_of_tap(bench, host):
    return int(bench.sh(host, "cat /sys/class/net/$TAP/statistics/rx_packets"))


def _ask_host(bench, host, stay):
    nic = bench.nic(host) or {}
    stay.vf = nic.get("vf", "")
    if nic.get("path") != "vf" or not stay.vf:
        stay.missing.append(f"vswitch on {host.name} does not show the NIC on a VF")
        return
    vectors = int(bench.sh(host, f"ls /sys/bus/pci/devices/{stay.vf}/msi_irqs 2>/dev/null | wc -l"))
    if not vectors:
        stay.missing.append(f"VF {stay.vf} of {host.name} has no interrupts: no driver of the guest has it open")


def _ask_guest(bench, stay):
    try:
        with bench.agent() as agent:
            links = agent.links()
    except AgentError as err:
        stay.missing.append(f"the guest could not be asked on {stay.host}: {err}")
        return
    if not any(link.role == "primary" and link.enslaved and link.up and link.running for link in links):
        stay.missing.append(f"inside the guest no VF was in use on {stay.host}")


def check_frames(stay, analysis):
    """Adds what the frames of that time speak against it: the guest notes by which NIC it saw each."""
    primary = standby = 0
    for sender, stamps in analysis.m.sent.items():
        noted = analysis.m.noted.get(sender, b"")
        for flags in (noted[i] for i, stamp in enumerate(stamps[:len(noted)])
                      if stay.began <= stamp < stay.ended - _SETTLE_NS):
            primary += bool(flags & SEEN_PRIMARY)
            standby += bool(flags & SEEN_STANDBY)
    if not primary:
        stay.missing.append(f"the guest saw no frame come by its VF on {stay.host}")
    if standby:
        stay.missing.append(f"the guest saw {standby} frames come by its virtio NIC while on its VF of {stay.host}")


def verdict(stays, wanted):
    """Sentences, one for each thing that is missing; [] when the guest was where it should have been."""
    seen = [stay.host for stay in stays]
    missing = [sentence for stay in stays for sentence in stay.missing]
    if seen != wanted:
        missing.append(f"the guest should have been on a VF of {', then '.join(wanted)}, "
                       f"but it was seen on one of {', then '.join(seen) or 'no host'}")
    return missing
