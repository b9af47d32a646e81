"""A bare guest's measured part: its result, and what the monitor's device threads did meanwhile."""

import re
import time
from dataclasses import dataclass

from .process import BenchError, cpu_nanoseconds, pin
from .tracing import counting_system_calls


@dataclass
class Measured:
    result: dict  # the pairs of the guest's line `result key=value ...`
    cpu_ns: int  # of the monitor's threads but the vCPU's
    system_calls: int  # of the same threads; -1 where they were not counted


def result_of(output):
    """The pairs of the guest's result line; a guest that met errors is an error here."""
    at = output.find(b"result ")
    pairs = dict(re.findall(r"([\w-]+)=(\w+)", output[at:].decode(errors="replace"))) if at >= 0 else {}
    if not pairs:
        raise BenchError(f"the guest printed no result: {output[-300:]!r}")
    for key in ("errors", "mismatches", "needs-reset", "refused"):
        if pairs.get(key, "0") != "0":
            raise BenchError(f"the guest met errors: {pairs}")
    return pairs


def watch(run, monitor, env, begin, count=False, on_begin=lambda: None):
    """From the guest's line `begin` to its result. `on_begin` lets it go on; `count`: system calls are counted, which
    takes time of its own."""
    run.read_until(begin, 30)
    others = pin(run.pid, monitor.is_vcpu, env.realtime and monitor.realtime)
    time.sleep(0.02)
    before = cpu_nanoseconds(run.pid, others)
    with counting_system_calls(others if count else []) as calls:
        on_begin()
        run.read_until(b"result ", 120)
    after = cpu_nanoseconds(run.pid, others)
    run.read_rest(60)
    return Measured(result_of(run.output), after - before, calls.total)
