# SPDX-License-Identifier: Apache-2.0
"""Runs the prober (prober.c)."""
import signal
import subprocess

# The prober waits this long for late answers after the last frame.
LINGER_SECONDS = 4


class ProberError(Exception):
    pass


class Prober:
    """The running program; it sends from start() until stop()."""

    def __init__(self, program, run, output, rate, target4, target6, senders, taps):
        """senders: [(number, netns)]; taps: [(netns, interface)], all in one namespace."""
        self._argv = [str(program), "--run", str(run), "--output", str(output), "--rate", str(rate),
                      "--target4", target4, "--target6", target6]
        for netns, name in taps:
            self._argv += ["--tap", f"{netns}:{name}"]
        for number, netns in senders:
            self._argv += ["--sender", f"{number}:{netns}"]
        self._process = None

    def start(self):
        # A session of its own: Ctrl-C is for the one who measures, who then stops it properly.
        self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, start_new_session=True)
        if self._process.stdout.readline().strip() != "ready":
            raise ProberError(self._process.communicate()[1].strip() or "the prober did not start")

    def stop(self):
        """Ends sending, waits for late answers; returns what the program had to say."""
        self._process.send_signal(signal.SIGINT)
        _, errors = self._process.communicate(timeout=LINGER_SECONDS + 30)
        if self._process.returncode:
            raise ProberError(errors.strip() or f"prober ended with {self._process.returncode}")
        return errors.strip()

    def kill(self):
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
