"""A disk served by another process: qemu-storage-daemon as a vhost-user back end."""

import subprocess
import time
from pathlib import Path

from support_py.machine import PATIENCE


class StorageDaemon:
    """Serves the raw image `path` at the socket `where`, to one machine at a time."""

    def __init__(self, path, where, writable=True):
        self.socket = where
        ready = Path(f"{where}.pid")
        self.process = subprocess.Popen(
            ["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=disk,filename={path},discard=unmap",
             "--export", "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,"
             f"addr.path={where},writable={'on' if writable else 'off'}", "--pidfile", str(ready)],
            stdin=subprocess.DEVNULL)  # fmt: skip
        deadline = time.monotonic() + 20 * PATIENCE
        while not ready.exists():  # what it writes last
            assert self.process.poll() is None, "qemu-storage-daemon has ended"
            assert time.monotonic() < deadline, "qemu-storage-daemon does not come up"
            time.sleep(0.01)

    @property
    def option(self):
        return f"socket={self.socket}"

    def send_signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()
