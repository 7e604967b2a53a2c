# SPDX-License-Identifier: Apache-2.0
"""Draws a run as SVG: one strip for each sender over one time axis, and above them where the guest was and how it
was reached.  No library: a picture is a list of elements."""
from dataclasses import dataclass
from html import escape

from . import story

LEFT, RIGHT, PLOT = 190, 180, 1130
BAND_TOP, BAND, HOST_BAND = 244, 32, 22
STRIP, STRIP_GAP = 64, 12
BIN_NS = 500_000_000
LABEL_GAP = 16          # px between labels of events
TOP_RATE = 1.6          # of the usual rate: what a strip shows
SECOND = 1_000_000_000

COLOURS = {story.SYNTHETIC: "#f2a541", story.BOTH: "#a987d6", story.VF: "#4caf7a", story.PAUSED: "#9aa0a6",
           story.NONE: "#ffffff"}
MEANINGS = {story.SYNTHETIC: "software switch (virtio)", story.BOTH: "both paths deliver",
            story.VF: "VF (past the host's software)", story.PAUSED: "guest stands still between the hosts"}
HOST_COLOURS = ("#cfe3f7", "#f7dccf", "#dff0d8")
INK, FAINT, RED, BLUE = "#222222", "#b8bcc2", "#d62728", "#1f77b4"


@dataclass(frozen=True)
class Traffic:
    """One sender: moments in ns at which frames were sent, answers came, and lost ones were sent."""
    name: str
    sent: list
    received: list
    lost: list


@dataclass(frozen=True)
class Picture:
    title: str
    subtitles: list     # what one should know, a line each
    begin: int
    end: int
    rate: int           # frames a second of each sender
    spans: list         # [story.Span]
    lines: list         # [story.Line]
    senders: list       # [Traffic]


def spread(wanted, gap, first, last):
    """Positions near the wanted ones (in order), at least `gap` apart and between first and last.

    Crowded ones are put side by side around the middle of where they want to be.
    """
    clusters = []           # [sum of (wanted - its index in the cluster * gap), count]
    for position in wanted:
        clusters.append([position, 1])
        while len(clusters) > 1 and _start(clusters[-2]) + clusters[-2][1] * gap > _start(clusters[-1]):
            total, count = clusters.pop()
            clusters[-1][0] += total - count * clusters[-1][1] * gap
            clusters[-1][1] += count
    placed = [_start(cluster) + i * gap for cluster in clusters for i in range(cluster[1])]
    for i in range(len(placed)):
        placed[i] = max(placed[i], first + i * gap)
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], last - (len(placed) - 1 - i) * gap)
    return placed


def _start(cluster):
    return cluster[0] / cluster[1]


def rates(stamps, begin, end):
    """[(begin, end, frames a second)] of bins, also of those without a frame; the last one has what is left over."""
    counts = [0] * max(1, (end - begin) // BIN_NS)
    for stamp in stamps:
        if begin <= stamp < end:
            counts[min((stamp - begin) // BIN_NS, len(counts) - 1)] += 1
    edges = [begin + i * BIN_NS for i in range(len(counts))] + [end]
    return [(a, b, count * SECOND / (b - a)) for a, b, count in zip(edges, edges[1:], counts)]


class _Canvas:
    """Collects elements; knows where a moment is."""

    def __init__(self, begin, end):
        self.elements = []
        self._begin, self._length = begin, max(1, end - begin)

    def x(self, moment):
        share = (moment - self._begin) / self._length
        return LEFT + PLOT * min(1, max(0, share))

    def rect(self, x, y, width, height, fill, extra=""):
        self.elements.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.6):.1f}" height="{height:.1f}" '
                             f'fill="{fill}" {extra}/>')

    def line(self, points, stroke, width=1.0, extra=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.elements.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}" '
                             f'{extra}/>')

    def area(self, points, fill):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.elements.append(f'<polygon points="{path}" fill="{fill}"/>')

    def text(self, x, y, words, size=12, fill=INK, extra=""):
        self.elements.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" {extra}>'
                             f'{escape(words)}</text>')


def svg(picture):
    """The whole document."""
    canvas = _Canvas(picture.begin, picture.end)
    strips_top = BAND_TOP + HOST_BAND + BAND + 24
    bottom = strips_top + len(picture.senders) * (STRIP + STRIP_GAP)
    canvas.text(LEFT, 30, picture.title, 20, extra='font-weight="bold"')
    for i, subtitle in enumerate(picture.subtitles):
        canvas.text(LEFT, 52 + i * 18, subtitle, 13, "#555555")
    _shade(canvas, picture.spans, strips_top, bottom - STRIP_GAP)
    _hosts(canvas, picture.spans)
    _paths(canvas, picture.spans)
    _events(canvas, [line for line in picture.lines if line.label], bottom - STRIP_GAP)
    for i, sender in enumerate(picture.senders):
        _strip(canvas, picture, sender, strips_top + i * (STRIP + STRIP_GAP))
    _axis(canvas, picture, bottom)
    _legend(canvas, picture, bottom + 62)
    width, height = LEFT + PLOT + RIGHT, bottom + 118
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">',
        f"<title>{escape(picture.title)}</title>", f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *canvas.elements, "</svg>", ""])


def _shade(canvas, spans, top, bottom):
    """The path's colour behind the strips: what a dip belongs to is seen without counting pixels."""
    for span in spans:
        canvas.rect(canvas.x(span.begin), top, canvas.x(span.end) - canvas.x(span.begin), bottom - top,
                    COLOURS[span.path], 'fill-opacity="0.16"')


def _joined(spans, key):
    """[(key, begin, end)] of neighbours that have the same key."""
    joined = []
    for span in spans:
        if joined and joined[-1][0] == key(span):
            joined[-1][2] = span.end
        else:
            joined.append([key(span), span.begin, span.end])
    return joined


def _named_box(canvas, begin, end, y, height, colour, names):
    """A box with the longest of the names that fits; a name needs about 6.6 px a letter."""
    left, right = canvas.x(begin), canvas.x(end)
    canvas.rect(left, y, right - left, height, colour, 'stroke="#ffffff" stroke-width="0.5"')
    for name in names:
        if len(name) * 6.6 + 6 <= right - left:
            canvas.text((left + right) / 2, y + height / 2 + 4, name, 11, extra='text-anchor="middle"')
            return


def _hosts(canvas, spans):
    canvas.text(LEFT - 10, BAND_TOP + 15, "guest runs on", 12, extra='text-anchor="end"')
    known = sorted({span.host for span in spans})
    for host, begin, end in _joined(spans, lambda span: "" if span.path == story.PAUSED else span.host):
        colour = HOST_COLOURS[known.index(host) % len(HOST_COLOURS)] if host else COLOURS[story.PAUSED]
        _named_box(canvas, begin, end, BAND_TOP, HOST_BAND, colour, [f"host {host}", host] if host else [])


def _paths(canvas, spans):
    top = BAND_TOP + HOST_BAND
    canvas.text(LEFT - 10, top + 21, "path in use", 12, extra='text-anchor="end"')
    short = {story.SYNTHETIC: ["software switch", "software", "sw"], story.BOTH: ["both paths", "both"],
             story.VF: ["VF"], story.PAUSED: ["paused"], story.NONE: []}
    for span in spans:
        exact = [f"VF {span.vf} of {span.host}", f"VF of {span.host}"] if span.path == story.VF else []
        _named_box(canvas, span.begin, span.end, top, BAND, COLOURS[span.path], exact + short[span.path])


def _events(canvas, lines, bottom):
    """A slanted label for each event, and a line from it down through the strips at the event's moment."""
    wanted = [canvas.x(line.at) for line in lines]
    feet = BAND_TOP - 34
    for line, x, place in zip(lines, wanted, spread(wanted, LABEL_GAP, LEFT, LEFT + PLOT + 40)):
        canvas.line([(place, feet), (x, BAND_TOP - 4), (x, BAND_TOP)], "#777777", 0.8)
        canvas.line([(x, BAND_TOP + HOST_BAND + BAND), (x, bottom)], "#777777", 0.6, 'stroke-dasharray="2 3"')
        canvas.text(0, 0, line.label, 11.5, extra=f'transform="translate({place + 3:.1f} {feet - 3}) rotate(-50)"')


def _strip(canvas, picture, sender, top):
    bottom, scale = top + STRIP, STRIP / (TOP_RATE * picture.rate)

    def steps(stamps):
        points = []
        for start, end, rate in rates(stamps, picture.begin, picture.end):
            y = bottom - min(STRIP, rate * scale)
            points += [(canvas.x(start), y), (canvas.x(end), y)]
        return points
    received = steps(sender.received)
    canvas.area([(LEFT, bottom), *received, (LEFT + PLOT, bottom)], BLUE + "66")
    canvas.line(received, BLUE, 1.0)
    canvas.line(steps(sender.sent), INK, 1.0, 'stroke-dasharray="4 2"')
    for lost in sender.lost:
        x = canvas.x(lost)
        canvas.line([(x, top), (x, top + 14)], RED, 1.2)
    canvas.line([(LEFT, bottom), (LEFT + PLOT, bottom)], FAINT)
    canvas.text(LEFT - 10, top + STRIP / 2 + 4, sender.name, 12, extra='text-anchor="end"')
    canvas.text(LEFT + PLOT + 10, top + STRIP / 2 - 2, f"{len(sender.lost)} lost", 13, RED if sender.lost else INK,
                'font-weight="bold"')
    canvas.text(LEFT + PLOT + 10, top + STRIP / 2 + 15, f"of {len(sender.sent)} frames", 12, "#555555")


def _axis(canvas, picture, y):
    canvas.line([(LEFT, y), (LEFT + PLOT, y)], INK)
    seconds = (picture.end - picture.begin) / SECOND
    step = next(s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 3600) if seconds / s <= 26)
    for tick in range(0, int(seconds) + 1, step):
        x = canvas.x(picture.begin + tick * SECOND)
        canvas.line([(x, y), (x, y + 5)], INK)
        canvas.text(x, y + 19, str(tick), 11, extra='text-anchor="middle"')
    canvas.text(LEFT + PLOT / 2, y + 38, "seconds since the traffic began", 12, extra='text-anchor="middle"')


def _legend(canvas, picture, y):
    x = LEFT
    for path, meaning in MEANINGS.items():
        canvas.rect(x, y, 22, 13, COLOURS[path])
        canvas.text(x + 28, y + 11, meaning)
        x += 28 + len(meaning) * 7.4 + 26
    x, y = LEFT, y + 26
    canvas.line([(x, y + 6), (x + 22, y + 6)], INK, 1.0, 'stroke-dasharray="4 2"')
    canvas.text(x + 28, y + 11, f"frames sent ({picture.rate} a second from each sender)")
    canvas.rect(x + 400, y, 22, 13, BLUE + "66")
    canvas.text(x + 428, y + 11, "answers received from the guest")
    canvas.line([(x + 690, y), (x + 690, y + 13)], RED, 1.6)
    canvas.text(x + 700, y + 11, "frame lost, at the moment it was sent")
