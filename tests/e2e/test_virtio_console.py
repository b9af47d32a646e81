"""The virtio console with Linux: beside COM1, and as the only console."""

import hashlib
import re
import socket
import time

import pytest

from support_py.machine import PATIENCE

LIMIT = 60
TYPED = bytes(i % 251 for i in range(70_000))


@pytest.mark.parametrize("kernel", ["own", "debian"])
def test_it_is_the_console_where_com1_is_off(boot, kernel):
    shell = boot(kernel, "--console", "off", "--virtio-console", "tty", terminal=True)
    assert shell.run("cat /sys/class/tty/console/active").strip() == "hvc0"
    assert shell.run("stty size").strip() == "37 101"
    assert shell.run("tty").strip() == "/dev/hvc0"
    # Ctrl-C reaches the program in the foreground.
    shell.machine.send(b"sleep 1000; echo left:$?\n")
    time.sleep(1)
    shell.machine.send(b"\x03")
    shell.machine.expect(rb"root@mote:[^\r\n]*# ")
    assert len(shell.run("seq 1 20000").splitlines()) == 20000
    shell.machine.send(b"poweroff\n")
    assert shell.machine.wait_unread() == 0


def test_beside_com1(boot, tmp_path):
    path = tmp_path / "hvc.sock"
    shell = boot("own", "--virtio-console", f"unix:{path}")
    assert shell.run("cat /sys/class/tty/console/active").strip() == "ttyS0"
    shell.run("exec 3<>/dev/hvc0; stty raw -echo <&3; (head -c 70000 <&3 | md5sum >/tmp/sum) & :")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT * PATIENCE)
        client.connect(str(path))
        client.sendall(TYPED)
        sum_of = shell.run("wait; cat /tmp/sum").split()[0]
        shell.run("cat /proc/cpuinfo > /tmp/info; cat /tmp/info > /dev/hvc0")
        size = int(shell.run("wc -c < /tmp/info"))
        seen = b""
        while len(seen) < size:
            seen += client.recv(65536)
    assert sum_of == hashlib.md5(TYPED).hexdigest()
    assert re.match(rb"processor\s+: 0", seen)
    assert shell.end("poweroff") == 0
