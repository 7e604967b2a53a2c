# SPDX-License-Identifier: Apache-2.0
"""What the daemon asks of the kernel, by strace."""
import contextlib
import re
from dataclasses import dataclass, field

_FILE = "/run/lab-strace"
_PID = "/run/lab-strace.pid"
_OPTIONS = f"-f -C -yy -s 64 -o {_FILE}"
_SENT = re.compile(r"^\d+ +(?:sendto|sendmsg|write|writev)\(")
_WRITE_REQUEST = re.compile(r"nlmsg_type=(RTM_(?:NEW|SET|DEL)\w+)")
_READ_REQUEST = re.compile(r"nlmsg_type=(RTM_GET\w+)")
_OPEN_FOR_WRITING = re.compile(r'openat\([^"]*"(/(?:sys|proc/sys)/[^"]+)", O_(?:WRONLY|RDWR)')
_VECTORS = re.compile(r'openat\([^"]*"[^"]*msi_irqs[^"]*"')
# To the other end of a stream socket, which strace shows as [own->peer].
_TO_PEER = re.compile(r"(?:sendto|sendmsg|write|writev)\(\d+<UNIX-STREAM:\[\d+->(\d+)[^>]*>.*= (\d+)$")
# Header and nothing else: libvirt's keepalive, which the library answers by itself.
_KEEPALIVE_BYTES = 28


@dataclass
class Result:
    netlink_writes: list = field(default_factory=list)
    netlink_reads: int = 0
    sysfs_writes: list = field(default_factory=list)
    vectors_reads: int = 0
    libvirt_calls: int = 0
    summary: str = ""


def parse(text, libvirt=frozenset()):
    """From strace's output, its summary included; `libvirt` are the inodes of its server's sockets."""
    calls, _, summary = text.partition("% time")
    found = Result(summary=f"% time{summary}".strip() if summary else "")
    for line in calls.splitlines():
        if _SENT.match(line):
            found.netlink_writes += _WRITE_REQUEST.findall(line)
            found.netlink_reads += len(_READ_REQUEST.findall(line))
        found.sysfs_writes += _OPEN_FOR_WRITING.findall(line)
        found.vectors_reads += bool(_VECTORS.search(line))
        sent = _TO_PEER.search(line)
        if sent and sent.group(1) in libvirt and int(sent.group(2)) > _KEEPALIVE_BYTES:
            found.libvirt_calls += 1
    return found


class Trace:
    def __init__(self, node):
        self._node = node
        self._text = ""
        self._libvirt = frozenset()

    def collect(self):
        self._text = self._node.out(f"cat {_FILE}")

    def note_libvirt(self):
        """Remembers which sockets are libvirt's."""
        connections = self._node.out("ss -xHn src /run/libvirt/libvirt-sock").splitlines()
        self._libvirt = frozenset(line.split()[5] for line in connections)

    def result(self):
        return parse(self._text, self._libvirt)


@contextlib.contextmanager
def from_start(bench, node):
    """Restarts the daemon under strace, and ends that with the block."""
    node.ssh("lab-daemon stop")
    # -D: the daemon itself is what lab-daemon started, so that it can stop it.
    node.ssh(f"mkdir -p /run/lab-trace; rm -f {_FILE}\n"
             f"printf '#!/bin/sh\\nexec strace -D {_OPTIONS} /usr/sbin/vswitchd \"$@\"\\n' > /run/lab-trace/vswitchd\n"
             "chmod +x /run/lab-trace/vswitchd; PATH=/run/lab-trace:$PATH lab-daemon start", timeout=90)
    trace = Trace(node)
    try:
        yield trace
    finally:
        node.ssh("lab-daemon stop", timeout=90)
        trace.collect()
        bench.run_daemon(node)


@contextlib.contextmanager
def attached(node):
    """Looks at the running daemon for the time of the block."""
    process = node.background(f"echo $$ > {_PID}; exec strace {_OPTIONS} -p $(cat /run/lab-vswitchd.pid)")
    trace = Trace(node)
    trace.note_libvirt()
    try:
        yield trace
    finally:
        node.ssh(f"kill -INT $(cat {_PID})")
        process.wait(timeout=30)
        trace.collect()
