# SPDX-License-Identifier: Apache-2.0
"""The timeline while it happens: collects what the hosts and the wire tell, puts it in order and prints it.

News of two hosts come late and not in order, so they are held back for a moment.
What was later than that is out of order on the screen, never in the picture,
which is made from all events at the end.
"""
import contextlib
import subprocess
import threading
import time

from labtool import hosts

from .clock import HostClock
from .events import COMMAND, Event, parse
from .story import Story
from .wire import Announcements

HOLD_BACK_NS = 1_000_000_000
LOOK_SECONDS = 0.2
REASSURE_SECONDS = 15

# Ends with its input, so that nothing is left running when this side goes away.
_LISTEN = """
stdbuf -oL virsh -q qemu-monitor-event --loop 2>&1 & qemu=$!
vswitch monitor --json 2>&1 & vswitch=$!
cat >/dev/null
kill $qemu $vswitch
"""


class _Ear:
    """One host's stream of events, on our clock."""

    def __init__(self, host, domain, sink):
        self._host, self._domain, self._sink = host, domain, sink
        self.clock = HostClock(host)
        self._process = None
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self):
        self.clock.start()
        self._process = subprocess.Popen(hosts.ssh_argv(self._host) + [f"bash -c '{_LISTEN}'"], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, errors="replace",
                                         start_new_session=True)
        self._thread.start()

    def stop(self):
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._thread.join()
        self.clock.stop()

    def _listen(self):
        for line in self._process.stdout:
            event = parse(line.strip(), self._host.name, self._domain)
            if event:
                self._sink(event)


class Live:
    """Listens from __enter__ to __exit__; tells from begin() on."""

    def __init__(self, guest, all_hosts):
        self._guest = guest
        self._ears = {host.name: _Ear(host, guest.name, self._heard) for host in all_hosts}
        self._wires = [Announcements(host, guest.mac, self._note) for host in all_hosts]
        self._lock = threading.Lock()
        self._waiting, self._told = [], []
        self._story = self._start = None
        self._doing, self._last_print = "", 0.0
        self._stop = threading.Event()
        self._printer = threading.Thread(target=self._print_all, daemon=True)
        self._exit = contextlib.ExitStack()
        self.zero = None

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            for part in (*self._ears.values(), *self._wires):
                part.start()
                undo.callback(part.stop)
            self._exit = undo.pop_all()
        return self

    def __exit__(self, *_):
        self._stop.set()
        if self._printer.is_alive():
            self._printer.join()
        self._exit.close()

    def accuracy_ms(self):
        """How wrong the hosts' times can be."""
        return max(ear.clock.accuracy() for ear in self._ears.values()) / 1e6

    def begin(self, host, path):
        """Time zero; the guest runs on `host` on `path`."""
        self.zero = time.monotonic_ns()
        self._start = (self._guest.name, host.name, path, self.zero)
        self._story = Story(*self._start)
        self._last_print = time.monotonic()
        self._printer.start()

    @staticmethod
    def now():
        """The clock that all times here are on."""
        return time.monotonic_ns()

    def command(self, host, text, label=""):
        """Something that the demo does, or wants to say."""
        self._doing = text
        self._note(Event(time.monotonic_ns(), host.name, COMMAND, text, detail=label))

    def watch(self, seconds):
        """Lets the traffic flow for a time, which is what is to be seen then."""
        self._stop.wait(seconds)

    def story(self):
        """The Story of all events, in their right order."""
        final = Story(*self._start)
        for event in sorted(self._told + self._waiting, key=lambda e: e.at):
            final.take(event)
        return final

    def _heard(self, event):
        clock = self._ears[event.host].clock
        self._note(Event(**{**vars(event), "at": clock.ours(event.at)}))

    def _note(self, event):
        with self._lock:
            if self._story and event.at >= self.zero:
                self._waiting.append(event)

    def _print_all(self):
        while not self._stop.wait(LOOK_SECONDS):
            self._print_until(time.monotonic_ns() - HOLD_BACK_NS)
            self._reassure()
        self._print_until(float("inf"))

    def _print_until(self, moment):
        with self._lock:
            due = sorted((e for e in self._waiting if e.at <= moment), key=lambda e: e.at)
            self._waiting = [e for e in self._waiting if e.at > moment]
            self._told += due
        for event in due:
            for line in self._story.take(event):
                self._print((line.at - self.zero) / 1e9, line.host, line.text)

    def _reassure(self):
        if time.monotonic() - self._last_print > REASSURE_SECONDS:
            self._print((time.monotonic_ns() - self.zero) / 1e9, "", f"... still at it: {self._doing}")

    def _print(self, seconds, host, text):
        self._last_print = time.monotonic()
        print(f"{seconds:7.1f} s  {host:3} {text}", flush=True)
