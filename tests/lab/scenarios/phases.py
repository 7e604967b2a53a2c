# SPDX-License-Identifier: Apache-2.0
"""Doing something at a certain phase of a migration.

The phases come and go within milliseconds, and starting virsh takes longer.  So a
script on the source host opens its connections beforehand, watches QEMU's events
and reacts there and then.
"""
import re
import time

from labtool.base import LabError

from .bench import MIGRATION_SECONDS, Answer

# One virsh listens, another has its connection open and waits for the word.
_SCRIPT = r"""
dir=$(mktemp -d)
mkfifo $dir/word $dir/events
virsh -q < $dir/word > $dir/said 2>&1 &
exec 3> $dir/word
echo "domid {guest}" >&3
stdbuf -oL virsh "domid {guest}; echo armed; \
    qemu-monitor-event --domain {guest} --event MIGRATION --loop --timeout {seconds}" > $dir/events 2>&1 &
watcher=$!
migrate() {{ virsh -q migrate --live {options} {guest} {uri}; echo "ended $?"; }}
while read -r line; do
    echo "$line"
    case $line in
        armed) migrate > $dir/events 2>&1 & ;;
        *'"status":"{phase}"'*) {reaction};;
        ended*) break;;
    esac
done < $dir/events
kill $watcher
sed 's/^/virsh: /' $dir/said
rm -r $dir
"""
ABORT = 'echo "domjobabort {guest}" >&3'
NOTHING = ":"
_STATUS = re.compile(r'"status":"([a-z-]+)"')


class Migration:
    """A `virsh migrate` of g1 from one node to another that is being watched."""

    def __init__(self, source, target, guest, phase="none", reaction=NOTHING, options=""):
        script = _SCRIPT.format(guest=guest.name, uri=target.uri, phase=phase, options=options,
                                seconds=MIGRATION_SECONDS, reaction=reaction.format(guest=guest.name))
        self._process = source.background(script)
        self._lines = []

    def await_phase(self, phase, seconds=MIGRATION_SECONDS):
        """Reads events until QEMU says so."""
        end = time.monotonic() + seconds
        for line in self._process.stdout:
            self._lines.append(line.strip())
            if f'"status":"{phase}"' in line:
                return
            if time.monotonic() > end:
                break
        raise LabError(f"the migration never was in phase {phase}:\n" + "\n".join(self._lines))

    def end(self, seconds=MIGRATION_SECONDS):
        """Waits for the end of `virsh migrate`."""
        try:
            text, _ = self._process.communicate(timeout=seconds)
        finally:
            self._process.kill()
        self._lines += [line.strip() for line in text.splitlines()]
        code = next((int(line.split()[1]) for line in self._lines if line.startswith("ended ")), -1)
        return Answer(code, "\n".join(line for line in self._lines if line.startswith(("error", "virsh: error"))))

    def phases(self):
        """QEMU's states in their order."""
        return [m.group(1) for line in self._lines if (m := _STATUS.search(line))]
