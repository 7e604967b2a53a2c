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
    """[(Host, name of its PF)] of the running lab."""
    return [(Host(h["number"]), h["pf"]) for h in load()["hosts"]]


def raw(host, pf):
    """The script's output on one host."""
    return hosts.ssh(host, f"pf={pf} bridge={BRIDGE}\n{_SCRIPT.read_text()}").stdout


def collect(names=None):
    """Snapshots of the named hosts, or of all, in the lab's order."""
    chosen = [(host, pf) for host, pf in lab_hosts() if not names or host.name in names]
    unknown = set(names or []) - {host.name for host, _ in chosen}
    if unknown:
        raise LabError(f"no such host: {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor() as pool:
        outputs = list(pool.map(lambda pair: raw(*pair), chosen))
    return [parse(host.name, pf, text) for (host, pf), text in zip(chosen, outputs)]
