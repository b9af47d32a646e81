"""What a monitor's own threads use while the guest asks for nothing."""

import time

from .process import cpu_nanoseconds, pin, running
from .report import Row

SECTION = "idle"
RUNS = 1
SECONDS = 10


def measure(monitors, env):
    row = Row(SECTION, f"CPU of all threads but the vCPU's, {SECONDS} s", "%", target=("value", 0.1))
    words = "bare.mode=read bare.depth=1 bare.ops=1000 bare.linger=1T"
    for _ in range(RUNS):
        for monitor in monitors:
            with running(env.bare_command(monitor, "block", words)) as run:
                run.read_until(b"result ", 30)
                others = pin(run.pid, monitor.is_vcpu)
                time.sleep(1)
                before = cpu_nanoseconds(run.pid, others)
                time.sleep(SECONDS)
                used = cpu_nanoseconds(run.pid, others) - before
            row.add(monitor.name, used / SECONDS / 1e7)
    return [row]
