# SPDX-License-Identifier: Apache-2.0
"""The table and the judgement over the rows that the cases brought.  No lab needed."""
from statistics import median

MIGRATIONS = "abcde"
TIMES_BETTER = 5
ROLES = ("wire", "bridge source", "bridge destination", "vf source", "vf destination")


def role(row):
    """A sender by its part in the move: repeats go to and fro between the hosts."""
    return f"{row['sender']} {row['side']}".strip()


def total(rows, case, key):
    """{repeat: sum over the senders}"""
    sums = {}
    for row in rows:
        if row["case"] == case:
            sums[row["repeat"]] = sums.get(row["repeat"], 0) + row[key]
    return sums


def _by_role(rows, case, name, key):
    return [row[key] for row in rows if row["case"] == case and role(row) == name]


def _spread(values):
    """"median (worst)"; "-" without values."""
    return f"{median(values):g} ({max(values):g})" if values else "-"


def _worst_gap(rows, case):
    gaps = {}
    for row in rows:
        if row["case"] == case:
            gaps[row["repeat"]] = max(gaps.get(row["repeat"], 0), row["longest_gap_ms"])
    return list(gaps.values())


def table(rows, titles):
    """Medians over the repeats, the worst one in brackets."""
    header = ["case", *ROLES, "all lost", "switch-over", "gap ms", "by host", "twice"]
    lines = [header]
    for case, title in titles.items():
        if not total(rows, case, "lost"):
            continue
        lines.append([f"({case})", *(_spread(_by_role(rows, case, name, "lost")) for name in ROLES),
                      _spread(list(total(rows, case, "lost").values())),
                      _spread(list(total(rows, case, "lost_switchover").values())) if case in MIGRATIONS else "-",
                      _spread(_worst_gap(rows, case)),
                      _spread(list(total(rows, case, "lost_by_host").values())),
                      _spread(list(total(rows, case, "duplicates").values()))])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines]
    legend = [f"({case}) {title}" for case, title in titles.items() if total(rows, case, "lost")]
    return "\n".join(["Frames lost: median of the repeats (worst)", *text, *legend])


def against_floor(rows):
    """What (d) and (e) lose beyond a migration of a virtio guest and the guest's own closing of its VF."""
    control, floor = total(rows, "a", "lost").values(), total(rows, "h", "lost").values()
    if not control or not floor:
        return []
    lines = [f"(a)+(h): median {median(control) + median(floor):g}, "
             f"from {min(control) + min(floor):g} to {max(control) + max(floor):g}"]
    for case in "de":
        lost = sorted(value - median(control) - median(floor) for value in total(rows, case, "lost").values())
        if lost:
            lines.append(f"({case}) less (a)+(h): median {median(lost):+g}, from {lost[0]:+g} to {lost[-1]:+g}")
    return lines + _against_control(rows)


def _against_control(rows):
    control = total(rows, "a", "lost_switchover").values()
    return [f"({case}) around the switch-over: {_spread(list(around))}, the control (a): {_spread(list(control))}"
            for case in "de" if (around := total(rows, case, "lost_switchover").values())]


def faults(rows):
    """Sentences, one for each thing that must not be; [] when all is well."""
    found = []
    worse = total(rows, "b", "lost")
    for case in "de":
        lost = total(rows, case, "lost")
        if worse and lost and median(worse.values()) < TIMES_BETTER * median(lost.values()):
            found.append(f"({case}) lost {median(lost.values()):g} frames, (b) {median(worse.values()):g}: "
                         f"that is not {TIMES_BETTER} times better")
    for case in "defg":
        for repeat, by_host in total(rows, case, "lost_by_host").items():
            if by_host:
                found.append(f"({case}) repeat {repeat}: {by_host} frames lost while the guest had an open path "
                             "that the host did not feed")
    return found
