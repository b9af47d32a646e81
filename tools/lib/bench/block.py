"""Block requests from a bare guest that polls, on a file in the page cache: latency, rate, device-side CPU."""

import re
import time

from tsc import cycles_per_nanosecond

from .process import BenchError, cpu_nanoseconds, pin, running
from .report import Row

SECTION = "block"
RUNS = 7
DISK_MIB = 256
HOLD = "200M"  # cycles between "begin" and the first request, and after the last, for us to look at the threads


def _run(monitor, env, words):
    """One run: (the result line's pairs, device-side CPU in ns)."""
    words = f"bare.bs=4096 bare.order=rand bare.warmup=2000 bare.hold={HOLD} bare.linger={HOLD} {words}"
    with running(env.bare_command(monitor, "block", words, disk_mib=DISK_MIB)) as run:
        run.read_until(b"begin\n", 30)
        others = pin(run.pid, monitor.is_vcpu, env.realtime and monitor.realtime)
        time.sleep(0.02)
        before = cpu_nanoseconds(run.pid, others)
        run.read_until(b"result ", 60)
        after = cpu_nanoseconds(run.pid, others)
        run.read_rest(60)
    pairs = dict(re.findall(rb"(\w+)=(\w+)", run.output[run.output.index(b"result ") :]))
    result = {key.decode(): value.decode() for key, value in pairs.items()}
    if result["errors"] != "0" or result["mismatches"] != "0":
        raise BenchError(f"{monitor.name}: block requests failed: {result}")
    return result, after - before


def measure(monitors, env):
    rows = {
        "latency": Row(SECTION, "4 KiB read, depth 1, mean", "us", target=("ratio", 0.4)),
        "p50": Row(SECTION, "4 KiB read, depth 1, median", "us"),
        "p99": Row(SECTION, "4 KiB read, depth 1, 99 %", "us"),
        "kicks1": Row(SECTION, "kicks per 1,000, depth 1", "kicks"),
        "iops": Row(SECTION, "4 KiB read, depth 32", "kIOPS"),
        "cpu": Row(SECTION, "device-side CPU, depth 32", "us/req", target=("ratio", 0.8)),
        "kicks32": Row(SECTION, "kicks per 1,000, depth 32", "kicks"),
        "write": Row(SECTION, "4 KiB write, depth 1, mean", "us"),
        "flush": Row(SECTION, "flush after no write, mean", "us"),
    }
    scale = cycles_per_nanosecond()

    def microseconds(cycles):
        return int(cycles) / scale / 1000

    for _ in range(RUNS):
        for monitor in monitors:
            name = monitor.name
            ops = 20000
            result, _ = _run(monitor, env, f"bare.mode=read bare.depth=1 bare.ops={ops}")
            rows["latency"].add(name, microseconds(result["cycles"]) / ops)
            rows["p50"].add(name, microseconds(result["p50"]))
            rows["p99"].add(name, microseconds(result["p99"]))
            rows["kicks1"].add(name, int(result["kicks"]) * 1000 / ops)
            ops = 200000
            result, cpu = _run(monitor, env, f"bare.mode=read bare.depth=32 bare.ops={ops}")
            rows["iops"].add(name, ops * 1000 / microseconds(result["cycles"]))
            rows["cpu"].add(name, cpu / 1000 / ops)
            rows["kicks32"].add(name, int(result["kicks"]) * 1000 / ops)
            ops = 20000
            result, _ = _run(monitor, env, f"bare.mode=write bare.depth=1 bare.ops={ops}")
            rows["write"].add(name, microseconds(result["cycles"]) / ops)
            ops = 200
            result, _ = _run(monitor, env, f"bare.mode=flush bare.depth=1 bare.warmup=0 bare.ops={ops}")
            rows["flush"].add(name, microseconds(result["cycles"]) / ops)
    return list(rows.values())
