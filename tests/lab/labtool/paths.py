"""Where things lie.

Sources are read only.  The cache survives (root file system, disk image, keys,
logs of the last lab).  Everything under RUN belongs to the running lab and goes
away with it.
"""
import hashlib
import os
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
REPO = LAB.parent.parent
IMAGE_SRC = LAB / "image"
GUEST_SRC = LAB / "guest"
PROBE = LAB / "probe"

CACHE = Path(os.environ.get("VSWITCH_LAB_CACHE", "/var/cache/vswitch-lab"))
KEYS = CACHE / "keys"
LOGS = CACHE / "logs"
# One per source tree: several may share the cache.
BUILD = CACHE / f"build-{hashlib.sha256(str(REPO).encode()).hexdigest()[:8]}"

RUN = Path("/run/vswitch-lab")
LOCK = Path("/run/vswitch-lab.lock")
STATE = RUN / "state.json"
SSH = RUN / "ssh"
SHARE = RUN / "share"           # mounted by every host as /lab (virtio-9p)
INSTALL = SHARE / "install"     # DESTDIR of the project
BOOT = RUN / "boot"             # kernel-side inputs of the hosts' QEMU
