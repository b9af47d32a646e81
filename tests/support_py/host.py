"""What a test needs to know of the machine it runs on."""

import re
from pathlib import Path


def memory_kib():
    """This machine's memory."""
    return int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])


def resident_kib(pid):
    """What a process holds of this machine's memory."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
