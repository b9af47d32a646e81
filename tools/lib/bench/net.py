"""Frames between a bare guest and a TAP: small, common and the largest ones, both ways."""

import contextlib
import signal
import subprocess
import sys

from tsc import cycles_per_nanosecond

from . import peer
from .guest import watch
from .process import BenchError, running
from .report import Row

SECTION = "net"
RUNS = 5
TAP = "motebench0"
MTU = 65521
# (bytes, what they are called, frames of one run)
SIZES = ((64, "64 B", 400000), (1500, "1500 B", 300000), (65000, "64 KiB", 40000))
AT_LEAST = {(64, "out"): 1.15, (64, "in"): 1.05, (65000, "out"): 1.3, (65000, "in"): 1.3}


def _namespace(env):
    """A network of this section's own: TAPs in it are gone with it."""
    sys.path.insert(0, str(env.root / "tests"))
    from support_py import network

    return network


def _guest(monitor, env, words):
    return running(env.bare_command(monitor, "net", words, tap=TAP), env.realtime and monitor.realtime, console_input=True)


def _out(monitor, env, size, frames, count=False):
    with _guest(monitor, env, f"bare.mode=send bare.bs={size} bare.ops={frames}") as run:
        return watch(run, monitor, env, b"ready\n", count, on_begin=lambda: run.type(b"g"))


def _in(monitor, env, size, frames, count=False):
    with _guest(monitor, env, f"bare.mode=receive bare.ops={frames}") as run:
        # The source starts once the threads are where they belong, and is killed when the guest has enough.
        with contextlib.ExitStack() as source:
            return watch(run, monitor, env, b"ready\n", count,
                         on_begin=lambda: source.enter_context(peer.peer(env, "frames", TAP, size)))  # fmt: skip


def _floor_in(env, size, frames):
    command = [str(peer.program(env.root, env.work)), "floor-in", TAP, str(frames)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        with peer.peer(env, "frames", TAP, size):
            return int(process.stdout.readline().split("=")[1])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def measure(monitors, env):
    network = _namespace(env)
    why_not = network.why_not()
    if why_not:
        raise BenchError(why_not)
    scale = cycles_per_nanosecond()
    rows = {}
    for size, called, _ in SIZES:
        for way in ("out", "in"):
            limit = AT_LEAST.get((size, way))
            unit = "Gbit/s" if size > 1500 else "k/s"
            target = ("at least", limit) if limit else None
            rows[size, way] = Row(SECTION, f"{called} frames {way}", unit, target=target)
    for way in ("out", "in"):
        rows["calls", way] = Row(SECTION, f"system calls per 64 B frame {way}", "calls")
    rows["kicks"] = Row(SECTION, "kicks per 1,000 frames of 64 B out", "kicks")

    def add(size, way, name, nanoseconds, frames):
        rate = frames * size * 8 / nanoseconds if size > 1500 else frames * 1e6 / nanoseconds
        rows[size, way].add(name, rate)

    with network.namespace():
        tap = network.Tap(TAP, mtu=MTU)
        network.ip("link", "set", TAP, "txqueuelen", 1000)
        try:
            for turn in range(RUNS):
                for size, _, frames in SIZES:
                    add(size, "out", "floor", peer.floor_ns(env, "floor-out", TAP, size, frames), frames)
                    add(size, "in", "floor", _floor_in(env, size, frames), frames)
                    for monitor in monitors:
                        for way, run in (("out", _out), ("in", _in)):
                            result = run(monitor, env, size, frames).result
                            add(size, way, monitor.name, int(result["cycles"]) / scale, int(result["frames"]))
                            if turn or size != 64:
                                continue
                            counted = run(monitor, env, size, frames, count=True)
                            rows["calls", way].add(monitor.name, counted.system_calls / int(counted.result["frames"]))
                            if way == "out":
                                rows["kicks"].add(monitor.name, int(result["tx-kicks"]) * 1000 / frames)
        finally:
            tap.delete()
    return list(rows.values())
