"""Errors, progress lines, running programs, waiting.

Two rules hold everywhere in the lab: a wait is for a condition and has a
deadline, and progress goes to stderr so that stdout stays usable in scripts.
"""
import shutil
import subprocess
import sys
import time

_started = time.monotonic()

# Programs used on this machine, and the Debian packages that have them.
TOOL_PACKAGES = {
    "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "ip": "iproute2",
    "bridge": "iproute2", "ssh": "openssh-client", "ssh-keygen": "openssh-client",
    "unshare": "util-linux", "gcc": "gcc",
}


class LabError(Exception):
    """Something the user should read; shown without a traceback."""


def say(text):
    print(f"[{time.monotonic() - _started:6.1f}s] {text}", file=sys.stderr, flush=True)


def require_tools():
    missing = {tool: pkg for tool, pkg in TOOL_PACKAGES.items() if not shutil.which(tool)}
    if missing:
        raise LabError(f"missing {', '.join(sorted(missing))}: scripts/install-packages, or "
                       f"apt install {' '.join(sorted(set(missing.values())))}")


def run(argv, *, check=True, stdin=None, timeout=60, env=None):
    """Runs a program to its end, output captured; its failure is a LabError."""
    argv = [str(a) for a in argv]
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True,
                              errors="replace", timeout=timeout, env=env)
    except FileNotFoundError:
        raise LabError(f"missing {argv[0]}: apt install {TOOL_PACKAGES.get(argv[0], argv[0])}")
    except subprocess.TimeoutExpired:
        raise LabError(f"no end after {timeout} s: {' '.join(argv)}")
    if check and done.returncode:
        detail = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"failed ({done.returncode}): {' '.join(argv)}\n{detail}")
    return done


def wait_for(what, condition, seconds, interval=0.3):
    """Waits until condition() is true and returns its value; LabError at the deadline."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"not within {seconds:g} s: {what}")
        time.sleep(interval)
