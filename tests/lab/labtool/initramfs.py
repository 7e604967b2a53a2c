"""Initramfs archives: chosen kernel modules with what they need, and an init.

The archive format (cpio "newc") is simple enough to write directly; that saves
two tools and keeps ownership right whoever builds it.  Modules are unpacked
because busybox's insmod reads only plain ones, and the archive stays
uncompressed because unpacking costs seconds on an emulated CPU.
"""
import lzma
import stat
from pathlib import Path

from .base import LabError


class Archive:
    def __init__(self):
        self._entries = []
        self._dirs = set()

    def directory(self, path):
        path = path.strip("/")
        if not path or path in self._dirs:
            return
        self.directory(str(Path(path).parent).replace(".", "", 1) if "/" in path else "")
        self._dirs.add(path)
        self._entries.append((path, stat.S_IFDIR | 0o755, b""))

    def file(self, path, data, mode=0o644):
        self._add(path, stat.S_IFREG | mode, data)

    def link(self, path, target):
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def _add(self, path, mode, data):
        path = path.strip("/")
        if "/" in path:
            self.directory(path.rsplit("/", 1)[0])
        self._entries.append((path, mode, data))

    def write(self, filename):
        chunks = [self._record(i, *e) for i, e in enumerate(self._entries, 1)]
        chunks.append(self._record(0, "TRAILER!!!", 0, b""))
        Path(filename).write_bytes(b"".join(chunks))

    @staticmethod
    def _record(inode, path, mode, data):
        name = path.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name
        head += b"\0" * (-len(head) % 4)
        return head + data + b"\0" * (-len(data) % 4)


class Modules:
    """The modules of the one kernel that the root file system has."""

    def __init__(self, rootfs):
        trees = sorted((Path(rootfs) / "usr/lib/modules").iterdir())
        if len(trees) != 1:
            raise LabError(f"expected one kernel in {rootfs}, found {len(trees)}")
        self._tree = trees[0]
        self._deps = {}
        self._file = {}
        for line in (self._tree / "modules.dep").read_text().splitlines():
            path, _, deps = line.partition(":")
            self._file[self._name(path)] = path
            self._deps[self._name(path)] = [self._name(d) for d in deps.split()]
        builtin = (self._tree / "modules.builtin").read_text().split()
        self._builtin = {self._name(b) for b in builtin}

    @staticmethod
    def _name(path):
        return Path(path).name.split(".")[0].replace("-", "_")

    def in_load_order(self, wanted):
        """Names to load, dependencies first; what is built in is left out."""
        order = []
        for name in wanted:
            name = name.replace("-", "_")
            if name in self._builtin:
                continue
            if name not in self._deps:
                raise LabError(f"the lab's kernel has no module {name}")
            # modules.dep lists the dependencies of a module last to load first.
            for need in list(reversed(self._deps[name])) + [name]:
                if need not in order:
                    order.append(need)
        return order

    def read(self, name):
        path = self._tree / self._file[name]
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data


def build(filename, rootfs, init, modules, files=()):
    """Writes an initramfs: busybox, /init, /mod/*.ko and /mod/order, and files.

    files: (path, bytes, mode) triples.
    """
    available = Modules(rootfs)
    order = available.in_load_order(modules)
    archive = Archive()
    archive.file("bin/busybox", (Path(rootfs) / "usr/bin/busybox").read_bytes(), 0o755)
    for applet in ("sh", "mount", "insmod"):
        archive.link(f"bin/{applet}", "busybox")
    for path in ("proc", "sys", "dev", "newroot"):
        archive.directory(path)
    archive.file("init", init, 0o755)
    for name in order:
        archive.file(f"mod/{name}.ko", available.read(name))
    archive.file("mod/order", "".join(f"{n}\n" for n in order).encode())
    for path, data, mode in files:
        archive.file(path, data, mode)
    archive.write(filename)
