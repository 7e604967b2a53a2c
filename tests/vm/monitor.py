"""QEMU's monitor for the programs in the machine.

A program writes a line

    # monitor set_link nic0 off

to the console, and the command is given to QEMU's monitor. There is no answer: whoever asks watches for what comes of
it. A command that QEMU refuses fails the run.
"""
import json
import re
import socket
import time

from labtool.base import LabError

REQUEST = re.compile(r"# monitor (\S.*)")
CONNECT_SECONDS = 20


class Monitor:
    """A connection to the QMP socket that QEMU makes when it starts."""

    def __init__(self, path):
        self.path = path
        self.stream = None

    def serve(self, line):
        """Does what a line of the console asks for, if it does."""
        if match := REQUEST.match(line):
            self.command(match[1])

    def command(self, text):
        """One command as a person would type it. Commands that work print nothing."""
        if not self.stream:
            self.connect()
        said = self.execute("human-monitor-command", {"command-line": text})
        if said.strip():
            raise LabError(f"QEMU's monitor, asked for \"{text}\", said: {said.strip()}")

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                connection.connect(str(self.path))
                break
            except OSError as err:
                if time.monotonic() > deadline:
                    raise LabError(f"cannot reach QEMU's monitor: {err}") from err
                time.sleep(0.05)
        self.stream = connection.makefile("rw")
        connection.close()
        self.stream.readline()  # the greeting
        self.execute("qmp_capabilities", {})

    def execute(self, command, arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while line := self.stream.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"QEMU's monitor refused {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise LabError("QEMU's monitor closed the connection")

    def close(self):
        if self.stream:
            self.stream.close()
