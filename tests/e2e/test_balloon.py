"""Memory that a Linux guest frees goes back to the host."""

import time

from support_py.host import resident_kib
from support_py.machine import PATIENCE

MIB = 1024
LIMIT = 20  # seconds, before patience


def test_freed_memory_goes_back_to_the_host(boot):
    shell = boot("own", "--mem", "512M")
    pid = shell.machine.pid
    shell.run("mkdir -p /tmp/m; mount -t tmpfs -o size=300M none /tmp/m")
    before = resident_kib(pid)
    shell.run("dd if=/dev/zero of=/tmp/m/file bs=1M count=256 2>/dev/null")
    peak = resident_kib(pid)
    shell.run("rm /tmp/m/file")
    began = time.monotonic()
    after = resident_kib(pid)
    while after - before > 32 * MIB and time.monotonic() - began < LIMIT * PATIENCE:
        time.sleep(0.5)
        after = resident_kib(pid)
    print(f"RSS before {before >> 10}, peak {peak >> 10}, after {after >> 10} MiB, {time.monotonic() - began:.1f} s")
    assert peak - before > 200 * MIB, (before, peak, after)
    assert after - before <= 32 * MIB, (before, peak, after)
    assert shell.end("poweroff") == 0
