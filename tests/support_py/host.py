"""What a test needs to know of the machine it runs on."""

import re
from pathlib import Path


def memory_kib():
    """This machine's memory."""
    return int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
