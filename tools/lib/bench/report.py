"""Results: rows of repeated values per monitor, as a table for people and as JSON for machines.

"floor" takes part like a monitor: the same work done by a plain host process in the same run."""

import statistics


class Row:
    """One measured thing. `target` bounds its ratio to Firecracker from above ("ratio", limit) or below ("at least",
    limit), its value from above ("value", limit), or is None."""

    def __init__(self, section, name, unit, target=None, note=""):
        self.section, self.name, self.unit, self.target, self.note = section, name, unit, target, note
        self.values = {}

    def add(self, monitor, value):
        self.values.setdefault(monitor, []).append(value)

    def median(self, monitor):
        values = self.values.get(monitor)
        return statistics.median(values) if values else None

    def ratio(self, peer):
        """mote's median over the peer's, or None when one of them is missing."""
        ours, theirs = self.median("mote"), self.median(peer)
        return ours / theirs if ours is not None and theirs else None

    def verdict(self):
        """"met", "missed", or "" where there is no target or nothing to compare."""
        if not self.target:
            return ""
        kind, limit = self.target
        figure = self.median("mote") if kind == "value" else self.ratio("firecracker")
        if figure is None:
            return ""
        met = figure >= limit if kind == "at least" else figure <= limit
        return "met" if met else "missed"

    def as_json(self):
        return {
            "section": self.section,
            "name": self.name,
            "unit": self.unit,
            "note": self.note,
            "target": {"kind": self.target[0], "limit": self.target[1]} if self.target else None,
            "verdict": self.verdict() or None,
            "monitors": {
                m: {"median": self.median(m), "min": min(v), "max": max(v), "runs": v} for m, v in self.values.items()
            },
            "ratio_firecracker": self.ratio("firecracker"),
            "ratio_qemu": self.ratio("qemu"),
            "ratio_floor": self.ratio("floor"),
        }


def _figure(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"


def _ratio(value):
    return "-" if value is None else f"{value:.2f}"


def _target(row):
    if not row.target:
        return ""
    kind, limit = row.target
    return f"{'>=' if kind == 'at least' else '<='} {limit:g}" + ("" if kind == "value" else " x fc")


def table(rows):
    """The rows as text, one block for each section."""
    head = ["", "unit", "mote", "firecracker", "qemu", "floor", "mote/fc", "mote/qemu", "mote/floor", "target", ""]
    cells = []
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            cells.append([section.upper()] + [""] * (len(head) - 1))
        medians = [_figure(row.median(m)) for m in ("mote", "firecracker", "qemu", "floor")]
        ratios = [_ratio(row.ratio(peer)) for peer in ("firecracker", "qemu", "floor")]
        cells.append(["  " + row.name, row.unit, *medians, *ratios, _target(row), row.verdict()])
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]

    def layout(line):
        left = [line[i].ljust(widths[i]) for i in (0, 1)]
        right = [line[i].rjust(widths[i]) for i in range(2, len(head))]
        return "  ".join(left + right).rstrip()

    return "\n".join(layout(line) for line in [head, *cells])
