"""vsock between a bare guest and Unix sockets: throughput both ways, round trips."""

import contextlib
import os

from tsc import cycles_per_nanosecond

from . import peer
from .guest import watch
from .process import running
from .report import Row

SECTION = "vsock"
RUNS = 5
PORT = 52
BYTES = 1 << 30
ROUND_TRIPS = 50000
SMALL = 64


def _run(monitor, env, words, *peer_words, count=False):
    path = env.work / f"vsock-{monitor.name}"
    for left in (path, f"{path}_{PORT}"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(left)
    words = f"bare.port={PORT} bare.check=0 bare.half=0 bare.go=1 {words}"
    with peer.peer(env, peer_words[0], f"{path}_{PORT}", *peer_words[1:]):
        with running(env.bare_command(monitor, "vsock", words, vsock=path), console_input=True) as run:
            return watch(run, monitor, env, b"ready\n", count, on_begin=lambda: run.type(b"g"))


def measure(monitors, env):
    able = [monitor for monitor in monitors if monitor.has_vsock]
    gbit = "Gbit/s"
    rows = {
        "out64k": Row(SECTION, "64 KiB packets, guest to host", gbit, target=("at least", 1.5)),
        "out4k": Row(SECTION, "4 KiB packets, guest to host", gbit, target=("at least", 2)),
        "in": Row(SECTION, "host to guest", gbit),
        "trip": Row(SECTION, "round trip, 64 bytes", "us", target=("ratio", 0.6)),
        "calls64k": Row(SECTION, "system calls per 64 KiB packet out", "calls"),
        "calls4k": Row(SECTION, "system calls per 4 KiB packet out", "calls"),
        "calls_trip": Row(SECTION, "system calls per round trip", "calls"),
        "kicks64k": Row(SECTION, "kicks per 1,000 packets of 64 KiB out", "kicks"),
    }
    scale = cycles_per_nanosecond()
    for turn in range(RUNS):
        rows["out64k"].add("floor", BYTES * 8 / peer.floor_ns(env, "floor-stream", BYTES, 65536))
        rows["out4k"].add("floor", BYTES * 2 / peer.floor_ns(env, "floor-stream", BYTES // 4, 4096))
        rows["in"].add("floor", BYTES * 8 / peer.floor_ns(env, "floor-stream", BYTES, 65536))
        rows["trip"].add("floor", peer.floor_ns(env, "floor-echo", ROUND_TRIPS, SMALL) / ROUND_TRIPS / 1000)
        for monitor in able:
            name = monitor.name
            for key, size, total in (("64k", 65536, BYTES), ("4k", 4096, BYTES // 4)):
                words = f"bare.mode=send bare.bytes={total} bare.bs={size}"
                result = _run(monitor, env, words, "sink").result
                rows["out" + key].add(name, total * 8 * scale / int(result["cycles"]))
                if turn == 0:
                    measured = _run(monitor, env, words, "sink", count=True)
                    rows["calls" + key].add(name, measured.system_calls * size / total)
                    if key == "64k":
                        rows["kicks64k"].add(name, int(result["kicks"]) * 1000 * size / total)
            result = _run(monitor, env, f"bare.mode=receive bare.bytes={BYTES}", "source", BYTES).result
            rows["in"].add(name, BYTES * 8 * scale / int(result["cycles"]))
            words = f"bare.mode=pingpong bare.ops={ROUND_TRIPS} bare.bs={SMALL}"
            result = _run(monitor, env, words, "echo").result
            rows["trip"].add(name, int(result["cycles"]) / scale / ROUND_TRIPS / 1000)
            if turn == 0:
                measured = _run(monitor, env, words, "echo", count=True)
                rows["calls_trip"].add(name, measured.system_calls / ROUND_TRIPS)
    return list(rows.values())
