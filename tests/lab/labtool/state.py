"""One lab at a time, what it consists of, and cleaning up whatever happens.

A lock file is held by the commands that make, change or remove the lab, and
released by the kernel however they end.  What is up is described in state.json.
While a lab is being made, a guard process waits on a pipe: if the maker dies,
even by kill -9, the pipe closes without a word and the guard removes the lab.
"""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import time

from . import net
from .base import LabError, say
from .paths import LOCK, RUN, STATE


@contextlib.contextmanager
def locked():
    with open(LOCK, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LabError(f"another lab command is at work ({lock.read().strip() or 'unknown'})")
        lock.truncate(0)
        lock.write(f"process {os.getpid()} since {time.strftime('%H:%M:%S')}")
        lock.flush()
        yield


def load():
    """The running lab's description; LabError when none is up."""
    try:
        return json.loads(STATE.read_text())
    except FileNotFoundError:
        raise LabError("no lab is up: lab up")


def save(state):
    partial = STATE.with_suffix(".partial")
    partial.write_text(json.dumps(state, indent=1))
    partial.rename(STATE)


def is_up():
    return STATE.is_file()


def remains():
    return RUN.exists() or bool(net.existing())


def teardown():
    """Removes every trace of a lab; does nothing when there is none."""
    net.destroy()
    shutil.rmtree(RUN, ignore_errors=True)


@contextlib.contextmanager
def guarded():
    """Removes the half-made lab if the body fails, is interrupted or is killed."""
    reader, writer = os.pipe()
    guard = os.fork()
    if guard == 0:
        _guard(reader, writer)
    os.close(reader)
    try:
        yield
    except BaseException:
        say("removing the unfinished lab")
        teardown()
        raise
    finally:
        os.write(writer, b"done")
        os.close(writer)
        os.waitpid(guard, 0)


def _guard(reader, writer):
    os.close(writer)
    os.setsid()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)
    code = 0
    if os.read(reader, 4) != b"done":
        try:
            teardown()
        except Exception as err:  # nobody is left to handle it
            say(f"cleaning up failed: {err}")
            code = 1
    os._exit(code)
