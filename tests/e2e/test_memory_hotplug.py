"""Memory that Linux plugs by virtio-mem: our kernel, and Debian's, which has the driver as a module."""

import re
import time

import pytest

from support_py.host import resident_kib
from support_py.machine import PATIENCE

LIMIT = 20  # seconds, before patience


def kib(shell, key):
    return int(re.search(rf"^{key}: +([0-9]+) kB", shell.run("cat /proc/meminfo"), re.MULTILINE)[1])


@pytest.mark.parametrize("kernel", ["own", "debian"])
def test_a_guest_plugs_and_uses_what_is_requested(boot, kernel):
    shell = boot(kernel, "--mem", "256M", "--hotplug-mem", "total=512M,requested=384M")
    began = time.monotonic()
    while (total := kib(shell, "MemTotal")) < 512 * 1024 and time.monotonic() - began < LIMIT * PATIENCE:
        time.sleep(0.5)
    print(f"MemTotal {total >> 10} MiB after {time.monotonic() - began:.1f} s at the prompt")
    assert 512 * 1024 < total < 640 * 1024
    assert "virtio_mem" in shell.run("cat /proc/iomem")
    # More than the memory from the start holds.
    shell.run("mkdir -p /tmp/m; mount -t tmpfs -o size=400M none /tmp/m")
    shell.run("dd if=/dev/zero of=/tmp/m/file bs=1M count=288 2>/dev/null")
    assert shell.run("wc -c < /tmp/m/file").strip() == str(288 << 20)
    assert resident_kib(shell.machine.pid) > 288 * 1024
    assert shell.end("poweroff") == 0
