"""System calls of given threads, counted by the kernel's tracepoint."""

import contextlib
import re
import signal
import subprocess
import time


class Count:
    """`total` is known once the counting has ended; -1 before, and where nothing was to be counted."""

    total = -1


def parse(text):
    """The count in what `perf stat -x,` printed, or -1."""
    found = re.search(r"^(\d+),,raw_syscalls:sys_enter,", text, re.MULTILINE)
    return int(found[1]) if found else -1


@contextlib.contextmanager
def counting_system_calls(thread_ids):
    """Counts while the block runs; counts nothing without threads."""
    count = Count()
    if not thread_ids:
        yield count
        return
    command = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-t", ",".join(map(str, thread_ids))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(0.3)  # until it counts
        yield count
    finally:
        process.send_signal(signal.SIGINT)
        count.total = parse(process.communicate(timeout=30)[1])
