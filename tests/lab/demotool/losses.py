# SPDX-License-Identifier: Apache-2.0
"""Frames lost in each step, by kind of sender: a frame belongs to the step in which it was sent."""
from collections import Counter
from dataclasses import dataclass, field

KINDS = {"wire": "from the wire", "bridge": "from the bridges", "vf": "through VFs"}


@dataclass
class Step:
    """A span with what was sent in it, and what of that was lost."""
    span: object
    sent: Counter = field(default_factory=Counter)      # kind -> frames
    lost: Counter = field(default_factory=Counter)


def steps(spans, kinds, sent, losses):
    """[Step]; kinds: sender -> kind, sent: sender -> [ns], losses: [(sender, ns)]."""
    found = [Step(span) for span in spans]
    for sender, stamps in sent.items():
        for stamp in stamps:
            _count(found, stamp, kinds[sender], "sent")
    for sender, stamp in losses:
        _count(found, stamp, kinds[sender], "lost")
    return found


def _count(found, stamp, kind, what):
    # What was sent before the first span belongs to it: the traffic begins a moment before the story.
    step = next(step for step in found if stamp < step.span.end)
    getattr(step, what)[kind] += 1


def table(found, zero):
    """Rows of text for people; a step without a lost frame says so with a dash."""
    rows = [["at s", "for s", "path in use", *KINDS.values()]]
    for step in found:
        span = step.span
        rows.append([f"{(span.begin - zero) / 1e9:.1f}", f"{(span.end - span.begin) / 1e9:.1f}",
                     span.text, *(_cell(step, kind) for kind in KINDS)])
    rows.append(["", "", "all", *(_total(found, kind) for kind in KINDS)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(cell.ljust(width) if i == 2 else cell.rjust(width)
                                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def _of(lost, sent):
    return f"{lost or '-'} of {sent}"


def _cell(step, kind):
    return _of(step.lost[kind], step.sent[kind]) if step.sent[kind] else ""


def _total(found, kind):
    return _of(sum(step.lost[kind] for step in found), sum(step.sent[kind] for step in found))
