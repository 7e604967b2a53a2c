# SPDX-License-Identifier: Apache-2.0
"""Reads the hosts: one script, one ssh call each, all at once."""
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labtool import hosts
from labtool.addresses import BRIDGE, Host
from labtool.base import LabError
from labtool.state import load

from .snapshot import parse

_SCRIPT = Path(__file__).with_name("collect.bash")


def lab_hosts():
    """[(Host, names of its PFs, the bridge's port towards the wire)] of the running lab."""
    return [(Host(h["number"]), h["pfs"], h["port"]) for h in load()["hosts"]]


def raw(host, pfs, port):
    """The script's output on one host."""
    return hosts.ssh(host, f"pfs='{' '.join(pfs)}' port={port} bridge={BRIDGE}\n{_SCRIPT.read_text()}").stdout


def collect(names=None):
    """Snapshots of the named hosts, or of all, in the lab's order."""
    chosen = [entry for entry in lab_hosts() if not names or entry[0].name in names]
    unknown = set(names or []) - {host.name for host, _, _ in chosen}
    if unknown:
        raise LabError(f"no such host: {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor() as pool:
        outputs = list(pool.map(lambda entry: raw(*entry), chosen))
    return [parse(host.name, pfs, port, text) for (host, pfs, port), text in zip(chosen, outputs)]
