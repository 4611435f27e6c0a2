#!/usr/bin/env python3
"""Plays the scenarios behind the tables of figures in sim/README.md and compares every row; --update writes them.
Compares the table of README.md with the measurements of the reports that it cites.

Usage: ci/tables.py [--update]. The simulator is $KARST_SIM, or target/ci/karst-sim.
"""

import json
import os
import subprocess
import sys
import tempfile

PAGE = "sim/README.md"
SIM = os.environ.get("KARST_SIM", "target/ci/karst-sim")
HEADLINE = "scenarios/links/transpacific-headline.json"
AUTO = {
    "clean": "50 Mbit/s, 30 ms, no loss",
    "europe-1pct": "20 Mbit/s, 40 ms, 1 % loss",
    "fibre-2pct": "100 Mbit/s, 80 ms, 2 % loss",
    "pacific-20pct-bursts": "20 Mbit/s, 180 ms, 20 % loss in bursts",
    "pacific-5pct": "20 Mbit/s, 180 ms, 5 % loss",
    "policed": "8 Mbit/s, 40 ms, policer with penalty",
    "satellite-1pct": "5 Mbit/s, 600 ms, 1 % loss",
    "wander": "10 Mbit/s, 40 to 120 ms, varying",
}
MODES = ["normal", "fast", "fast2", "fast3", "auto"]
DIRECT = {"bbr": "BBR", "cubic": "CUBIC", "reno": "Reno"}


def play(file, seeds, *options):
    """Outcomes of the last transport that the options name, one for each seed."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        command = [SIM, "run", file, "--seeds", f"1..{seeds}", "--json", out, *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if not os.path.exists(out):
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        with open(out) as results:
            runs = json.load(results)["runs"]
    return [run for run in runs if run["transport"] == runs[-1]["transport"]]


def quantile(values, share):
    """Interpolated between the two nearest values."""
    values = sorted(values)
    at = (len(values) - 1) * share
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def median(values):
    return quantile(values, 0.5)


def bulk(run):
    return next(work for work in run["workloads"] if work["kind"] == "bulk")


def amplification(run):
    direction = bulk(run)["direction"]
    return run["links"][direction]["sent_bytes"] / run["useful_bytes"][direction]


def auto_row(name, link):
    runs = play(f"scenarios/auto/{name}.json", 6)
    echoes = [next(work for work in run["workloads"] if work["kind"] == "echo") for run in runs]
    p50, p99 = (median([echo["latency_us"][key] / 1000 for echo in echoes]) for key in ("p50", "p99"))
    goodput = median([bulk(run)["goodput_kbit"] / 1000 for run in runs])
    return f"| {link} | {goodput:.2f} | {median(map(amplification, runs)):.2f} | {p50:.0f}, {p99:.0f} |"


def headline_row(name, *options):
    runs = play(HEADLINE, 10, *options)
    goodputs = [bulk(run)["goodput_kbit"] / 1000 for run in runs]
    spread = f"{quantile(goodputs, 0.05):.2f} to {quantile(goodputs, 0.95):.2f}"
    return f"| {name} | {median(goodputs):.2f} | {spread} | {median(map(amplification, runs)):.2f} |"


def tables():
    """The first cell of the header and the rows of each table."""
    yield "link", [auto_row(name, link) for name, link in AUTO.items()]
    karst = [
        headline_row(f"karst, `--mode {mode}`", "--set", f"client.mode={mode}", "--set", f"server.mode={mode}")
        for mode in MODES
    ]
    direct = [headline_row(f"direct TCP, {name}", f"--tcp={control}") for control, name in DIRECT.items()]
    yield "", karst + direct


# Rows of README.md: file of the measurements, case, metric.
LINES, BENCH = "reports/lossy-lines/lines.json", "reports/performance/bench.json"
FRONT = {
    "Download over 180 ms, 5 % loss": (LINES, "pacific-5pct", "goodput_mbit"),
    "Bytes on the wire per useful byte": (LINES, "pacific-5pct", "wire_per_useful"),
    "Echo beside that download": (LINES, "pacific-5pct", "echo_p50_ms"),
    "Download over 180 ms, 20 % loss in bursts": (LINES, "pacific-20pct-bursts", "goodput_mbit"),
    "Download over 100 ms, 30 % loss": (LINES, "loss-30", "goodput_mbit"),
    "Download over 40 ms, 1 % loss": (LINES, "europe-1pct", "goodput_mbit"),
    "Bulk throughput": (BENCH, "throughput", "throughput_mbit"),
    "Processor time": (BENCH, "throughput", "cpu_s_per_gb"),
    "Peak memory": (BENCH, "throughput", "memory_peak_mib"),
    "100 idle sessions": (BENCH, "idle", "idle_cpu_pct"),
}


def measured(file, case, metric):
    """Median of each contestant: kcptun, CUBIC, BBR, karst; `None` where there is none."""
    with open(file) as measurements:
        cases = json.load(measurements)["cases"]
    sides = {side["name"]: side["trials"] for side in next(one for one in cases if one["name"] == case)["sides"]}

    def of(name, key=metric):
        trials = [trial["metrics"][key] for trial in sides.get(name, []) if key in trial["metrics"]]
        return median(trials) if trials else None

    if file == BENCH:
        return [of("go"), None, None, of("karst")]
    go = max(("go-fast2", "go-fast3"), key=lambda name: of(name, "goodput_mbit"))
    return [of(go), of("tcp-cubic"), of("tcp-bbr"), of("auto")]


def shown(cell):
    """The figure of a cell, without its unit and emphasis; None for a dash."""
    text = cell.replace("*", "").split()[0]
    return None if text == "–" else float(text)


def front_is_stale():
    with open("README.md") as page:
        rows = [line.strip().strip("|").split("|") for line in page if line.startswith("| ") and ("[1]" in line or "[2]" in line)]
    stale = 0
    for label, *cells in rows:
        source = next((source for name, source in FRONT.items() if label.strip().startswith(name)), None)
        if source is None:
            stale += 1
            print(f"README.md: no measurement is known for the row {label.strip()!r}")
            continue
        for cell, value in zip(cells, measured(*source), strict=True):
            figure = None if value is None else float(f"{value:.4g}" if value >= 1000 else f"{value:.3g}")
            if shown(cell) != figure:
                stale += 1
                print(f"README.md: {label.strip()}: {cell.strip()}, but {source[0]} has {figure}")
    return stale


def main():
    update = "--update" in sys.argv[1:]
    with open(PAGE) as page:
        lines = page.read().split("\n")
    stale = front_is_stale()
    for head, rows in tables():
        start = next(at for at, line in enumerate(lines) if line.startswith(f"| {head} |".replace("  ", " ")))
        end = next(at for at in range(start, len(lines)) if not lines[at].startswith("|"))
        if lines[start + 2 : end] != rows:
            stale += 1
            print("\n".join([f"{PAGE}: the table has other figures now:", *rows]))
            lines[start + 2 : end] = rows
    if update:
        # The front page's figures are rounded by hand.
        with open(PAGE, "w") as page:
            page.write("\n".join(lines))
    elif stale:
        sys.exit("tables: run ci/tables.py --update, and state the reason in the commit")
    else:
        print("tables: all figures are those of today")


main()
