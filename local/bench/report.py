"""What a run of the benchmark says: as tables for the terminal and for BENCHMARKS.md, and as a drawing."""

import re
import statistics

import events

ROOT = events.ROOT
PAGE = ROOT / "BENCHMARKS.md"
DRAWING = ROOT / "local" / "bench" / "benchmarks.svg"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
MAIN = "10 KB, HMAC"


class Figures:
    """The figures of a run, by subject, scenario and what was measured."""

    def __init__(self, measured):
        self.measured = measured
        self.runs = measured["runs"]
        self.subjects, self.scenarios = measured["subjects"], measured["scenarios"]

    def all(self, subject, scenario, figure):
        return [run[figure] for run in self.runs.get(f"{subject}/{scenario}", [])]

    def least(self, subject, scenario, figure):
        return min(self.all(subject, scenario, figure), default=None)

    def middle(self, subject, scenario, figure):
        every = self.all(subject, scenario, figure)
        return statistics.median(every) if every else None

    def ratio(self, one, other, figure):
        """Of the least of each, because what disturbs a run only ever adds to it; and the median of the ratios of their runs, in the order in
        which they came, because the two least can be from moments at which the machine was of another speed."""
        over, under = self.all(one, MAIN, figure), self.all(other, MAIN, figure)
        if not over or not under:
            return None, None
        return min(over) / min(under), statistics.median(above / below for above, below in zip(over, under, strict=True))


def show(value, scale=1.0, places=1):
    return "" if value is None else f"{value / scale:,.{places}f}"


def table(head, rows):
    """A table of Markdown that can be read as it is."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def row(cells):
        first, *rest = (cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(zip(cells, widths)))
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join("-" * (width + 2) if not column else "-" * (width + 1) + ":" for column, width in enumerate(widths)) + "|"
    return "\n".join([row(head), rule, *map(row, rows)])


def main_table(figures):
    head = ["", "cold, ms", "its CPU, ms", "first event, CPU ms", "each event, CPU µs", "p50, µs", "p99, µs", "memory, MB"]
    rows = []
    for name in figures.subjects:
        of = [figures.least(name, MAIN, figure) for figure in ("cold_wall", "cold_cpu", "first_cpu", "event_cpu", "p50")]
        p99 = figures.middle(name, MAIN, "p99")
        memory = figures.middle(name, MAIN, "memory")
        cold, cold_cpu, first, event, p50 = of
        rows.append([
            name, show(cold, 1e3), show(cold_cpu, 1e3), show(first, 1e3, 2), show(event, 1, 0), show(p50, 1, 0), show(p99, 1, 0),
            show(memory, 1e6),
        ])
    return table(head, rows)


def counts_table(figures):
    head = ["", "binary, MB", "zip, MB", "system calls", "instructions", "allocations"]
    rows = []
    for name, sizes in figures.measured["sizes"].items():
        counts = figures.measured["counts"].get(name, {})
        rows.append([
            name, show(sizes["binary"], 1e6, 2), show(sizes["zip"], 1e6, 2), show(counts.get("syscalls")),
            show(counts.get("instructions"), 1, 0), show(counts.get("allocations"), 1, 0),
        ])
    return table(head, rows)


def scenarios_table(figures):
    head = ["CPU of an event, µs", *figures.subjects]
    rows = [[scenario, *(show(figures.least(name, scenario, "event_cpu"), 1, 0) for name in figures.subjects)] for scenario in figures.scenarios]
    return table(head, rows)


def growth_table(figures):
    head = ["order, bytes", "CPU, µs", "CPU, ns a byte", "memory, MB", "beyond the first, in bodies"]
    rows = []
    growth = figures.measured["growth"]
    for one in growth:
        more = (one["memory"] - growth[0]["memory"]) / one["size"]
        rows.append([
            f"{one['size']:,}", show(one["event_cpu"], 1, 0), show(one["event_cpu"] * 1e3 / one["size"], 1), show(one["memory"], 1e6),
            show(more),
        ])
    return table(head, rows)


def targets(figures):
    """What was set out to be reached, and what was."""
    counts = figures.measured["counts"].get("this", {})
    sizes = figures.measured["sizes"].get("this", {})
    growth = figures.measured["growth"]
    # Of small ones it would tell of pages and not of bodies.
    large = [one for one in growth if one["size"] >= 100_000]
    bodies = max(((one["memory"] - growth[0]["memory"]) / one["size"] for one in large), default=None)
    less = [
        ("CPU of an event, times the floor", *figures.ratio("this", "floor", "event_cpu"), 2.5, 2),
        ("cold start over TLS, times the floor", *figures.ratio("this", "floor", "cold_wall"), 1.3, 2),
        ("CPU of the first event, ms", scaled(figures.least("this", MAIN, "first_cpu"), 1e3), scaled(figures.middle("this", MAIN, "first_cpu"), 1e3), 0.6, 2),
        ("binary, MB", scaled(sizes.get("binary"), 1e6), None, 4.3, 2),
        ("zip, MB", scaled(sizes.get("zip"), 1e6), None, 2.0, 2),
        ("memory, MB", scaled(figures.middle("this", MAIN, "memory"), 1e6), None, 6.5, 1),
        ("system calls of an event", counts.get("syscalls"), None, 14, 1),
        ("memory for a body, in bodies", bodies, None, 4, 1),
    ]
    more = [
        ("Node's CPU of an event, times ours", *figures.ratio("Node", "this", "event_cpu"), 8, 1),
        ("Node's cold start, times ours", *figures.ratio("Node", "this", "cold_wall"), 25, 1),
        ("plain Rust's CPU of an event, times ours", *figures.ratio("plain Rust", "this", "event_cpu"), 2.2, 2),
        ("plain Rust's cold start, times ours", *figures.ratio("plain Rust", "this", "cold_wall"), 6.5, 1),
    ]
    rows = [row(line, f"at most {line[3]}", line[1] is not None and line[1] <= line[3]) for line in less]
    rows += [row(line, f"at least {line[3]}", line[1] is not None and line[1] >= line[3]) for line in more]
    return table(["", "target", "measured", "", "median"], rows)


def row(line, target, is_met):
    name, least, middle, _, places = line
    return [name, target, show(least, 1, places), "" if least is None else "met" if is_met else "missed", show(middle, 1, places)]


def scaled(value, scale):
    return value and value / scale


def text(measured):
    figures = Figures(measured)
    machine = measured["machine"]
    ran = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; {machine['rust']}, Node {machine['node']}, {machine['python']}"
    return "\n\n".join([
        f"{ran}; {measured['rounds']} rounds.",
        f"An order of {MAIN}, to a queue behind TLS:",
        main_table(figures),
        "The size of what is deployed, and what one event costs, counted:",
        counts_table(figures),
        "Other orders, and other ways in which they come:",
        scenarios_table(figures),
        "This function and larger orders:",
        growth_table(figures),
        "What was to be reached, judged by the least of all runs (beside it, the median of the ratios of runs that followed each other):",
        targets(figures),
    ])


def publish(measured):
    if measured["rounds"] < 15:
        raise SystemExit("the last run was of too few rounds")
    page = PAGE.read_text()
    block = f"{BEGIN}\n{text(measured)}\n{END}"
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, page, flags=re.DOTALL))
    draw(Figures(measured))


def draw(figures):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10})
    from matplotlib import pyplot

    names = [name for name in figures.subjects if name != "null"][::-1]
    sheet, places = pyplot.subplots(1, 2, figsize=(9, 2.6), sharey=True, layout="constrained")
    for place, (figure, scale, title) in zip(places, [
        ("event_cpu", 1.0, "CPU of an event, µs"),
        ("cold_wall", 1e3, "cold start, ms"),
    ]):
        values = [figures.least(name, MAIN, figure) / scale for name in names]
        bars = place.barh(names, values, color=["#d9622b" if name == "this" else "#8a9299" for name in names], height=0.65)
        place.bar_label(bars, [f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in values], padding=4)
        place.set_xlim(0, max(values) * 1.15)
        place.set_title(title, loc="left", fontsize=10)
        place.spines[["top", "right"]].set_visible(False)
    sheet.savefig(DRAWING, metadata={"Date": None})
