"""Block requests from a bare guest that polls: latency, rate, device-side CPU, system calls, kicks; from a file in the
page cache and from one that is not."""

import os

from tsc import cycles_per_nanosecond

from . import peer
from .guest import watch
from .process import running
from .report import Row

SECTION = "block"
RUNS = 7
DISK_MIB = 256
HOLD = "200M"  # cycles between "begin" and the first request, and after the last, for us to look at the threads
# (depth, requests of one run, target of its rate): more than 85 requests need indirect descriptors, which Firecracker lacks.
CACHED = ((1, 20000, None), (8, 100000, None), (32, 200000, ("at least", 1.2)), (128, 200000, None))
UNCACHED = ((1, 4000, None), (8, 10000, None), (32, 20000, ("at least", 1)), (128, 20000, None))
MAX_DIRECT = 85


def _run(monitor, env, words, count=False):
    words = f"bare.bs=4096 bare.order=rand bare.hold={HOLD} bare.linger={HOLD} {words}"
    with running(env.bare_command(monitor, "block", words, disk_mib=DISK_MIB)) as run:
        return watch(run, monitor, env, b"begin\n", count)


def _drop_from_cache(path):
    """The file's pages leave the page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _words(mode, depth, ops, warmup=2000):
    indirect = " bare.indirect=1" if depth > MAX_DIRECT else ""
    return f"bare.mode={mode} bare.depth={depth} bare.ops={ops} bare.warmup={warmup}{indirect}"


def _rows():
    rows = {
        "latency": Row(SECTION, "4 KiB read, depth 1, mean", "us", target=("ratio", 0.4)),
        "p50": Row(SECTION, "4 KiB read, depth 1, median", "us"),
        "p99": Row(SECTION, "4 KiB read, depth 1, 99 %", "us"),
        "write": Row(SECTION, "4 KiB write, depth 1, mean", "us"),
        "flush": Row(SECTION, "flush after no write, mean", "us"),
        "cpu": Row(SECTION, "device-side CPU, depth 32", "us/req", target=("ratio", 0.8)),
    }
    for state, grid in (("cached", CACHED), ("uncached", UNCACHED)):
        for depth, _, target in grid:
            rows[state, depth] = Row(SECTION, f"4 KiB read, {state}, depth {depth}", "kIOPS", target=target)
    for depth in (1, 32):
        rows["kicks", depth] = Row(SECTION, f"kicks per request, depth {depth}", "kicks", target=("value", 0.1))
        rows["calls", depth] = Row(SECTION, f"system calls per request, depth {depth}", "calls", target=("value", 1.2))
    return rows


def _measure_cached(rows, monitor, env, microseconds, first):
    name = monitor.name
    for depth, ops, _ in CACHED:
        if depth > MAX_DIRECT and not monitor.has_indirect:
            continue
        measured = _run(monitor, env, _words("read", depth, ops))
        took = microseconds(measured.result["cycles"])
        rows["cached", depth].add(name, ops * 1000 / took)
        if depth == 1:
            rows["latency"].add(name, took / ops)
            rows["p50"].add(name, microseconds(measured.result["p50"]))
            rows["p99"].add(name, microseconds(measured.result["p99"]))
        if depth == 32:
            rows["cpu"].add(name, measured.cpu_ns / 1000 / ops)
        if depth in (1, 32):
            rows["kicks", depth].add(name, int(measured.result["kicks"]) / ops)
            if first:
                counted = _run(monitor, env, _words("read", depth, ops, warmup=0), count=True)
                rows["calls", depth].add(name, counted.system_calls / ops)


def _measure_uncached(rows, monitor, env, microseconds):
    for depth, ops, _ in UNCACHED:
        if depth > MAX_DIRECT and not monitor.has_indirect:
            continue
        _drop_from_cache(env.disk(DISK_MIB))
        result = _run(monitor, env, _words("read", depth, ops, warmup=0)).result
        rows["uncached", depth].add(monitor.name, ops * 1000 / microseconds(result["cycles"]))


def measure(monitors, env):
    rows = _rows()
    scale = cycles_per_nanosecond()

    def microseconds(cycles):
        return int(cycles) / scale / 1000

    for turn in range(RUNS):
        _warm(env.disk(DISK_MIB))
        ops = 200000
        nanoseconds = peer.floor_ns(env, "floor-read", env.disk(DISK_MIB), ops)
        rows["latency"].add("floor", nanoseconds / ops / 1000)
        for depth, _, _ in CACHED:
            rows["cached", depth].add("floor", ops * 1e6 / nanoseconds)
        for monitor in monitors:
            _measure_cached(rows, monitor, env, microseconds, turn == 0)
            for mode, ops, warmup in (("write", 20000, 2000), ("flush", 200, 0)):
                result = _run(monitor, env, _words(mode, 1, ops, warmup)).result
                rows[mode].add(monitor.name, microseconds(result["cycles"]) / ops)
        for monitor in monitors:
            _measure_uncached(rows, monitor, env, microseconds)
    return list(rows.values())


def _warm(path):
    with open(path, "rb") as file:
        while file.read(1 << 20):
            pass
