"""The hosts' root file system, disk image and keys, built once and cached.

mmdebstrap makes the root file system as a directory; its name carries a hash of
what went into it, so a changed package list builds a new one and the old one is
removed.  mke2fs turns it into a disk image that all hosts boot from, each with
its own throw-away changes.  The directory is kept because programs are run out of
it, through its own dynamic loader and libraries: this machine's QEMU may be too
old for the igb device.

Nothing of the lab itself is in the image.  Hosts get their init, settings and
the project at boot from a 9p share, so changing those costs no rebuild.
"""
import hashlib
import shutil

from .base import LabError, run, say
from .paths import CACHE, IMAGE_SRC, KEYS

SUITE = "trixie"
_EXCLUDE = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_SIZE_MB = 1536


def packages():
    lines = (IMAGE_SRC / "packages").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _tag():
    recipe = "\n".join([SUITE, *_EXCLUDE, str(_SIZE_MB), *sorted(packages())])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def rootfs():
    return CACHE / f"rootfs-{_tag()}"


def disk():
    return CACHE / f"host-{_tag()}.img"


def kernel():
    found = sorted((rootfs() / "boot").glob("vmlinuz-*"))
    if not found:
        raise LabError(f"no kernel in {rootfs()}")
    return found[-1]


def ensure():
    """Makes image and keys exist; quick when they do."""
    CACHE.mkdir(parents=True, exist_ok=True)
    _ensure_keys()
    if not rootfs().is_dir():
        _build_rootfs()
    if not disk().is_file():
        _build_disk()
    _drop_old()


def program(name):
    """Command line that runs one of the root file system's programs on this machine."""
    root = rootfs()
    return [str(root / "lib64/ld-linux-x86-64.so.2"), "--library-path",
            str(root / "usr/lib/x86_64-linux-gnu"), str(root / "usr/bin" / name)]


def _build_rootfs():
    say(f"building the hosts' root file system ({len(packages())} packages, a minute or so)")
    partial = CACHE / "rootfs.partial"
    shutil.rmtree(partial, ignore_errors=True)
    # Its own mount and PID namespace: what mmdebstrap mounts and starts dies with it,
    # even when it is killed.
    argv = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
            "mmdebstrap", "--mode=root", "--variant=apt", "--quiet",
            "--aptopt=APT::Install-Recommends false"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDE]
    argv += [f"--include={','.join(packages())}", SUITE, partial]
    run(argv, timeout=1800)
    partial.rename(rootfs())
    say("root file system ready")


def _build_disk():
    say("making the disk image")
    partial = CACHE / "host.img.partial"
    partial.unlink(missing_ok=True)
    # No journal and no checksums: the image is never written to, only a snapshot of it.
    run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-E",
         "lazy_itable_init=1", "-d", rootfs(), partial, f"{_SIZE_MB}M"], timeout=300)
    partial.rename(disk())


def _drop_old():
    keep = {rootfs().name, disk().name}
    for path in [*CACHE.glob("rootfs-*"), *CACHE.glob("host-*.img")]:
        if path.name not in keep:
            say(f"removing the outdated {path.name}")
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _ensure_keys():
    key = KEYS / "id_ed25519"
    if not key.is_file():
        KEYS.mkdir(parents=True, exist_ok=True, mode=0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vswitch-lab", "-f", key])
