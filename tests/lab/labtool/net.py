"""Namespaces, bridges, taps and senders on this machine.

All of the lab's names begin with `vlab`, so what a killed lab left behind is
found by name.  Senders `nb` and `vf` are a host's tap moved into a namespace of
its own once QEMU has opened it; the wire sender is a veth into bridge `wire`.
"""
import contextlib
import os
import signal
import time

from . import image
from .addresses import LAB_NETNS, WIRE_SENDER, all_guests, neighbour, vf_sender
from .base import LabError, run, wait_for

_WIRE_PORT = "wire-sender"
_MGMT_IP = "10.99.0.1/24"
_ALL_HOST_NETS = ("wire", "wire2", "mgmt", "nb", "vf")
_BRIDGE_OF_NET = {"wire": "wire", "wire2": "wire", "mgmt": "mgmt"}


def _batch(netns, lines):
    run(["ip", "-n", netns, "-batch", "-"], stdin="\n".join(lines) + "\n")


def _new_netns(name):
    run(["ip", "netns", "add", name])
    # Only the lab's own frames should be seen: no autoconfiguration, no address checking.
    for key in ("accept_dad", "autoconf", "accept_ra", "router_solicitations"):
        run(["ip", "netns", "exec", name, "sh", "-c",
             f"echo 0 > /proc/sys/net/ipv6/conf/default/{key}"])
    _batch(name, ["link set lo up"])


def create(hosts):
    _new_netns(LAB_NETNS)
    run(["ip", "netns", "exec", LAB_NETNS, "sh", "-c",
         "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"])
    lines = []
    for bridge in ("wire", "mgmt"):
        lines += [f"link add {bridge} type bridge mcast_snooping 0", f"link set {bridge} up"]
    lines.append(f"addr add {_MGMT_IP} dev mgmt")
    for host in hosts:
        lines += [f"tuntap add {host.tap(net)} mode tap" for net in _ALL_HOST_NETS]
        lines += [f"link set {host.tap(net)} master {bridge} up" for net, bridge in _BRIDGE_OF_NET.items()]
    _batch(LAB_NETNS, lines)
    _new_netns(WIRE_SENDER.netns)
    _batch(LAB_NETNS, [f"link add {_WIRE_PORT} type veth peer name {WIRE_SENDER.ifname}",
                       f"link set {_WIRE_PORT} master wire up",
                       f"link set {WIRE_SENDER.ifname} netns {WIRE_SENDER.netns}"])
    _configure(WIRE_SENDER)


def add_senders(host, with_vf):
    """Moves the taps of a started host to its senders' namespaces."""
    senders = [("nb", neighbour(host))] + ([("vf", vf_sender(host))] if with_vf else [])
    for net, sender in senders:
        _new_netns(sender.netns)
        _batch(LAB_NETNS, [f"link set {host.tap(net)} netns {sender.netns} name {sender.ifname}"])
        _configure(sender)
    return [sender for _, sender in senders]


def _configure(sender):
    dev = sender.ifname
    lines = [f"link set {dev} address {sender.mac}", f"link set {dev} up",
             f"addr add {sender.ip4}/24 dev {dev}",
             f"addr add {sender.ip6}/64 dev {dev} nodad"]
    for guest in all_guests():
        lines += [f"neigh replace {ip} lladdr {guest.mac} dev {dev} nud permanent"
                  for ip in (guest.ip4, guest.ip6)]
    _batch(sender.netns, lines)


def existing():
    """Names of the lab's namespaces that exist."""
    out = run(["ip", "netns", "list"]).stdout
    names = [line.split()[0] for line in out.splitlines() if line.strip()]
    return [n for n in names if n == LAB_NETNS or n.startswith(LAB_NETNS + "-")]


def _pids(names):
    return [int(p) for n in names for p in run(["ip", "netns", "pids", n], check=False).stdout.split()]


def destroy():
    """Ends everything that runs in the lab's namespaces and removes them."""
    names = existing()
    for pid in _pids(names):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for("the lab's processes to end", lambda: not _pids(names), 15, interval=0.1)
    for name in names:
        end = time.monotonic() + 10
        while run(["ip", "netns", "del", name], check=False).returncode:
            if time.monotonic() > end:
                raise LabError(f"cannot remove network namespace {name}")
            time.sleep(0.2)


def ping(sender, ip, timeout=1):
    """True when one echo request from a sender is answered."""
    argv = ["ip", "netns", "exec", sender.netns, *image.program("ping"), "-n", "-q", "-c", "1", "-W", str(timeout), ip]
    return run(argv, check=False, timeout=timeout + 10).returncode == 0
