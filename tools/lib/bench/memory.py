"""What a monitor's process holds beyond the guest's memory: PSS, from smaps."""

import re
from pathlib import Path

from .process import BenchError, running
from .report import Row

SECTION = "memory"
RUNS = 5
MEM_MIB = 256

_HEAD = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) ")


def _mappings(pid):
    """[(start, end, pss in bytes)], by address."""
    found = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = _HEAD.match(line)
        if head:
            found.append([int(head[1], 16), int(head[2], 16), 0])
        elif line.startswith("Pss:"):
            found[-1][2] = int(line.split()[1]) * 1024
    return found


def overhead_bytes(mappings, guest_bytes):
    """PSS outside guest memory. That is the largest mapping, and neighbours without a gap until its size is
    reached: a kernel image may be mapped into it."""
    largest = max(range(len(mappings)), key=lambda i: mappings[i][1] - mappings[i][0])
    first = last = largest
    while mappings[last][1] - mappings[first][0] < guest_bytes:
        if first > 0 and mappings[first - 1][1] == mappings[first][0]:
            first -= 1
        elif last + 1 < len(mappings) and mappings[last + 1][0] == mappings[last][1]:
            last += 1
        else:
            raise BenchError(f"no mapping of {guest_bytes} bytes: which one is guest memory?")
    return sum(m[2] for i, m in enumerate(mappings) if not first <= i <= last)


def _sample(monitor, env, program, words, mark):
    with running(env.bare_command(monitor, program, words, mem_mib=MEM_MIB)) as run:
        run.read_until(mark, 30)
        return overhead_bytes(_mappings(run.pid), MEM_MIB << 20) / 1024


def measure(monitors, env):
    idle = Row(SECTION, "beyond the guest's, guest running", "KiB", target=("ratio", 0.7))
    busy = Row(SECTION, "beyond the guest's, after block I/O", "KiB", target=("ratio", 0.7))
    for _ in range(RUNS):
        for monitor in monitors:
            idle.add(monitor.name, _sample(monitor, env, "spin", "", b"spinning\n"))
            words = "bare.mode=read bare.depth=32 bare.ops=20000 bare.linger=2000M"
            busy.add(monitor.name, _sample(monitor, env, "block", words, b"mismatches="))
    return [idle, busy]
