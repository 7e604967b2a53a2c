# SPDX-License-Identifier: Apache-2.0
"""Listens on the wire for announcements: RARP frames in the guest's name, which tell switches where it is now."""
import ctypes
import socket
import struct
import threading
import time

from labtool.addresses import LAB_NETNS
from probe.agent import socket_in

from .events import WIRE, Event

_ETH_P_ALL, _ETH_P_RARP = 0x0003, 0x8035
_PACKET_OUTGOING = 4
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35
_LOOK_SECONDS = 0.5
# Load the Ethernet type, keep the frame if it is RARP. In the kernel, because the probe's frames are many.
_FILTER = [(0x28, 0, 0, 12), (0x15, 0, 1, _ETH_P_RARP), (0x06, 0, 0, 64), (0x06, 0, 0, 0)]


def _rarp_socket(interface):
    sock = socket_in(LAB_NETNS, socket.AF_PACKET, socket.SOCK_RAW)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in _FILTER))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_FILTER), ctypes.addressof(code)))
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    # All types: the bridge takes frames before a socket for one type would see them.
    sock.bind((interface, _ETH_P_ALL))
    sock.settimeout(_LOOK_SECONDS)
    return sock


def _stamp(ancillary):
    """The kernel's stamp on our monotonic clock: this process gets its turn late on a busy machine."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", data)
            return seconds * 1_000_000_000 + nanoseconds + time.monotonic_ns() - time.time_ns()
    return time.monotonic_ns()


class Announcements:
    """Gives each announcement of a guest that comes out of a host to `sink`."""

    def __init__(self, host, mac, sink):
        self._host, self._sink = host, sink
        self._mac = bytes.fromhex(mac.replace(":", ""))
        self._socket = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self):
        self._socket = _rarp_socket(self._host.tap("wire"))
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _listen(self):
        while not self._stop.is_set():
            try:
                frame, ancillary, _, address = self._socket.recvmsg(64, 64)
            except TimeoutError:
                continue
            except OSError:
                return      # the lab is gone
            if address[2] != _PACKET_OUTGOING and frame[6:12] == self._mac:
                self._sink(Event(_stamp(ancillary), self._host.name, WIRE, "announced"))
