# SPDX-License-Identifier: Apache-2.0
"""From pairs of runs to lines, verdicts and the table of docs/performance.md."""

import dataclasses
import statistics

APART = 0.05      # rate and processor time disagree when their ratios are further apart than this
FOREIGN_MAX = 0.10  # processors taken by others above which a run is not a quiet one


@dataclasses.dataclass
class Spread:
    """The median of what was measured, and the least and the most."""
    values: list

    @property
    def median(self):
        return statistics.median(self.values)

    def __str__(self):
        return f"{self.median:.2f} ({min(self.values):.2f}–{max(self.values):.2f})"


class Ratio:
    """One figure: side A over side B, from pairs of runs.

    decides: "cpu" where both sides are bound by the loop thread's processor, which the generator and the
    other threads share; "rate" where an answer waits for the disk. cpu: which of a run's processor
    times is compared, a member of Run.
    """

    def __init__(self, name, at_least, decides="cpu", cpu="loop_us"):
        self.name, self.at_least, self.decides, self.cpu = name, at_least, decides, cpu
        self.pairs = []
        self.notes = []
        self.faults = []

    def add(self, a, b):
        self.pairs.append((a, b))

    @property
    def rate(self):
        return Spread([a.rate / b.rate for a, b in self.pairs])

    @property
    def processor(self):
        return Spread([getattr(b, self.cpu) / (getattr(a, self.cpu) or 1) for a, b in self.pairs])

    @property
    def met_by(self):
        return {"rate": self.rate.median >= self.at_least, "cpu": self.processor.median >= self.at_least}

    @property
    def met(self):
        return self.met_by[self.decides] and not self.faults

    @property
    def disagree(self):
        by = self.met_by
        return by["rate"] != by["cpu"] or abs(self.rate.median - self.processor.median) > APART

    @property
    def foreign(self):
        return max(run.foreign for pair in self.pairs for run in pair)

    def remarks(self):
        yield from self.faults + self.notes
        if self.foreign > FOREIGN_MAX:
            yield f"not quiet: others took up to {self.foreign:.2f} processors meanwhile"

    def side(self, index):
        runs = [pair[index] for pair in self.pairs]
        middle = {name: statistics.median(getattr(run, name) for run in runs)
                  for name in ("rate", "loop_us", "other_us")}
        cpu = f"{middle['loop_us']:.1f}" if middle["other_us"] < 0.3 else \
            f"{middle['loop_us']:.1f} + {middle['other_us']:.1f}"
        for store in runs[0].stores:
            cpu += f"; {store} {statistics.median(run.stores.get(store, 0.0) for run in runs):.1f}"
        return f"{middle['rate'] / 1000:.1f} k", cpu

    def verdict(self):
        word = "met" if self.met else "**missed**"
        if not self.disagree:
            return word
        by = self.met_by
        if by["rate"] == by["cpu"]:
            return f"{word}; rate and CPU differ"
        other = "cpu" if self.decides == "rate" else "rate"
        say = {"rate": "rate", "cpu": "CPU"}
        return f"{word} by {say[self.decides]}, {'met' if by[other] else 'missed'} by {say[other]}"

    def row(self):
        (a_rate, a_cpu), (b_rate, b_cpu) = self.side(0), self.side(1)
        figures = (f"{self.rate}" if self.decides == "cpu" else f"**{self.rate}**",
                   f"**{self.processor}**" if self.decides == "cpu" else f"{self.processor}")
        return [self.name, f"{self.at_least}", *figures, f"{a_rate} / {b_rate}",
                f"{a_cpu} / {b_cpu}", self.verdict()]

    def lines(self):
        (a_rate, a_cpu), (b_rate, b_cpu) = self.side(0), self.side(1)
        yield (f"{self.name}: at least {self.at_least}; rate {self.rate}, CPU {self.processor}, "
               f"{len(self.pairs)} pairs: {self.verdict().replace('**', '').upper()}")
        yield f"    rate {a_rate} / {b_rate} a second; server CPU {a_cpu} / {b_cpu} µs a request"
        for text in self.remarks():
            yield f"    {text}"


class Bound:
    """A figure that is not a ratio: at most so much; None: it is only reported."""

    def __init__(self, name, at_most, unit, values, notes=(), digits=None):
        self.name, self.at_most, self.unit = name, at_most, unit
        self.values, self.notes = Spread(values), list(notes)
        self.digits = digits if digits is not None else 0 if unit == "ms" else 1

    def remarks(self):
        return self.notes

    @property
    def met(self):
        return self.at_most is None or self.values.median <= self.at_most

    @property
    def limit(self):
        return "reported" if self.at_most is None else f"≤ {self.at_most} {self.unit}".rstrip()

    def text(self):
        low, high = min(self.values.values), max(self.values.values)
        digits = self.digits
        unit = self.unit and " " + self.unit
        return f"{self.values.median:.{digits}f}{unit} ({low:.{digits}f}–{high:.{digits}f})"

    def row(self):
        return [self.name, self.limit, self.text(), "", "", "",
                "met" if self.met else "**missed**"]

    def lines(self):
        yield (f"{self.name}: {self.limit}; {self.text()}, "
               f"{len(self.values.values)} times: {'MET' if self.met else 'MISSED'}")
        for text in self.remarks():
            yield f"    {text}"


HEAD = ["figure", "at least", "by rate", "by CPU", "answers a second, A / B",
        "server CPU a request, µs, A / B", ""]


def table(figures):
    yield "| " + " | ".join(HEAD) + " |"
    yield "|" + "---|" * len(HEAD)
    for figure in figures:
        yield "| " + " | ".join(figure.row()) + " |"
    notes = [(figure.name, text) for figure in figures for text in figure.remarks()]
    if notes:
        yield ""
        for name, text in notes:
            yield f"- {name}: {text}"
