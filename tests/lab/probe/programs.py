# SPDX-License-Identifier: Apache-2.0
"""Builds the probe's programs."""
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parent


class BuildError(Exception):
    pass


def build(directory):
    """Builds what is out of date and returns {name: path}."""
    directory = Path(directory)
    if not (directory / "CMakeCache.txt").is_file():
        _run("cmake", "-S", SOURCE, "-B", directory)
    _run("cmake", "--build", directory)
    return {name: directory / name for name in ("prober", "capture", "guest-agent")}


def _run(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"failed: {' '.join(map(str, argv))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
