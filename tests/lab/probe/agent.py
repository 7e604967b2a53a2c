# SPDX-License-Identifier: Apache-2.0
"""Talks to a guest's agent (guest-agent.c) from one of the lab's namespaces.

Datagrams get lost, above all while a guest is being moved; so every command may
be repeated, and is, until its answer comes or the deadline is over.
"""
import ctypes
import itertools
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass

CONTROL_PORT = 9701
_CLONE_NEWNET = 0x40000000
_AGAIN_SECONDS = 0.5
_tokens = itertools.count(1)


class AgentError(Exception):
    """The agent refused, or did not answer in time."""


def socket_in(netns, family, kind):
    """A socket that lives in a network namespace: made by a thread that enters it and ends."""
    made = []

    def make():
        try:
            with open(f"/run/netns/{netns}", "rb") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"cannot enter namespace {netns}")
            made.append(socket.socket(family, kind))
        except OSError as err:
            made.append(err)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise AgentError(f"{netns}: {made[0]}")
    return made[0]


@dataclass(frozen=True)
class GuestLink:
    """An interface as the guest sees it."""
    name: str
    role: str           # master, standby, primary, other
    enslaved: bool
    up: bool
    running: bool
    driver: str
    device: str
    mac: str


class Agent:
    """The agent of one guest; use as a context manager."""

    def __init__(self, netns, address):
        self._socket = socket_in(netns, socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((address, CONTROL_PORT))
        self._socket.setblocking(False)
        self._address = address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def ask(self, command, seconds=30):
        """The answer to a command: (words of its first line after "ok", payload)."""
        token = f"{os.getpid()}.{next(_tokens)}"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._send(f"{token} {command}")
            answer = self._receive(token.encode(), min(end, time.monotonic() + _AGAIN_SECONDS))
            if answer is None:
                continue
            head, _, payload = answer.partition(b"\n")
            words = head.decode().split()
            if words[1] != "ok":
                raise AgentError(f"guest's agent: {command}: {' '.join(words[2:])}")
            return words[2:], payload
        raise AgentError(f"guest's agent at {self._address} did not answer {command!r} within {seconds:g} s")

    def _send(self, text):
        try:
            self._socket.send(text.encode())
        except OSError:
            pass    # an ICMP error that waited in the socket; it is asked again

    def _receive(self, token, end):
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                return None
            try:
                data = self._socket.recv(4096)
            except OSError:
                continue
            if data.split(b" ", 1)[0] == token:
                return data
        return None

    def _collect(self, command, seconds):
        """A long answer, chunk by chunk."""
        data = b""
        while True:
            (_, total), chunk = self.ask(f"{command} {len(data)}", seconds)
            data += chunk
            if not chunk or len(data) >= int(total):
                return data

    def reset(self, run, seconds=30):
        self.ask(f"reset {run}", seconds)

    def noted(self, sender, seconds=30):
        """One byte for each sequence number of a sender."""
        return self._collect(f"frames {sender}", seconds)

    def accepted_at(self, sender, sequences, seconds=30):
        """{sequence: ms of the guest's clock when it was accepted}, for frames that were.

        Asked for where it matters, not for all frames: it is four times as much as what is noted.
        """
        times = {}
        for sequence in sorted(sequences):
            if sequence not in times:
                _, payload = self.ask(f"times {sender} {sequence}", seconds)
                stamps = struct.unpack(f"<{len(payload) // 4}I", payload)
                times.update((sequence + i, stamp) for i, stamp in enumerate(stamps))
        return {sequence: times[sequence] for sequence in sequences if sequence in times}

    def log(self, seconds=30):
        return self._collect("events", seconds).decode()

    def links(self, seconds=30):
        """[GuestLink]"""
        _, payload = self.ask("state", seconds)
        return [_parse_link(line) for line in payload.decode().splitlines() if line.startswith("link ")]

    def traces(self, seconds=30):
        """Whether the guest's kernel stamps the moments that matter."""
        return b" trace=1" in self.ask("state", seconds)[1]

    def on_vf(self, seconds=30):
        """Whether a VF is the guest's primary, and works."""
        return any(l.role == "primary" and l.enslaved and l.up and l.running for l in self.links(seconds))

    def has_primary(self, seconds=30):
        return any(l.role == "primary" for l in self.links(seconds))

    def drop_vf(self):
        self.ask("drop-vf")

    def take_vf(self):
        self.ask("take-vf")


def _parse_link(line):
    fields = dict(word.split("=", 1) for word in line.split()[1:])
    return GuestLink(fields["name"], fields["role"], fields["enslaved"] == "1", fields["up"] == "1",
                     fields["running"] == "1", fields["driver"], fields["device"], fields["mac"])
