# SPDX-License-Identifier: Apache-2.0
"""On a host: a capture of the probe's frames, and QEMU's events of the guest.

Both run from start() to stop() and write to the host's memory file system.
What they wrote comes back through the share that every host has as /lab.
"""
import re
import shlex
import shutil

from labtool import hosts as lab_hosts
from labtool.paths import SHARE

from . import records
from .analysis import Capture, VmEvent

_ON_HOST = "/run/vswitch-probe"
_SHARED = "probe"       # below the share

# Whatever an earlier probe that was killed left running is ended first.
_START = """
dir={dir}
mkdir -p $dir; cd $dir
for pid in $(cat pids 2>/dev/null); do kill $pid 2>/dev/null; done
rm -f pids records events out
cp /lab/{shared}/capture .
setsid ./capture {run} records >out 2>&1 </dev/null & echo $! >pids
setsid stdbuf -oL virsh -q qemu-monitor-event --loop >events 2>&1 </dev/null & echo $! >>pids
for try in $(seq 100); do grep -q ready out && exit 0; sleep 0.1; done
cat out >&2
exit 1
"""

_STOP = """
cd {dir} || exit 1
for pid in $(cat pids); do kill $pid 2>/dev/null; done
for try in $(seq 100); do kill -0 $(head -1 pids) 2>/dev/null || break; sleep 0.1; done
rm -f pids
cp records events out /lab/{shared}/{host}/
"""

_EVENT = re.compile(r"event (STOP|RESUME) at (\d+)\.(\d+) for domain '?([^':]+)'?:")


class HostWatch:
    def __init__(self, host, guest_name):
        self._host = host
        self._guest_name = guest_name

    def start(self, run, program):
        # Made by each host's watch, as it costs nothing and any of them may be the first.
        (SHARE / _SHARED / self._host.name).mkdir(parents=True, exist_ok=True)
        if not _same(program, SHARE / _SHARED / "capture"):
            shutil.copy2(program, SHARE / _SHARED / "capture")
        self._script(_START.format(dir=_ON_HOST, shared=_SHARED, run=run))

    def stop(self):
        """(Capture, [VmEvent], what the capture complained about)"""
        self._script(_STOP.format(dir=_ON_HOST, shared=_SHARED, host=shlex.quote(self._host.name)))
        home = SHARE / _SHARED / self._host.name
        capture = Capture(self._host.name, records.read(home / "records").seen)
        complaint = (home / "out").read_text().replace("ready\n", "").strip()
        return capture, self._events((home / "events").read_text(errors="replace")), complaint

    def abandon(self):
        """Ends both, forgetting what they saw; never fails."""
        lab_hosts.ssh(self._host, f"for pid in $(cat {_ON_HOST}/pids); do kill $pid; done", check=False)

    def _script(self, text):
        lab_hosts.ssh(self._host, text)

    def _events(self, text):
        return [VmEvent(self._host.name, int(seconds) * 1_000_000_000 + int(micros.ljust(9, "0")[:9]), name)
                for name, seconds, micros, domain in _EVENT.findall(text) if domain == self._guest_name]


def _same(source, target):
    return target.is_file() and target.read_bytes() == source.read_bytes()
