"""A power cut: what a guest has flushed is on the disk when the machine that mote ran on comes up again.

mote runs in the lab, on a file on the lab's own disk. A guest writes block after block, flushes each, and tells the
outside. Then the lab's machine is killed, and with it all that its kernel had not written.
"""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from support_py.pattern import pattern

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT = 300  # seconds
ENOUGH = 40  # acknowledged flushes before the cut

MOUNT = "modprobe virtio_blk && modprobe ext4 && mkdir /run/disk && mount /dev/vda /run/disk && "
WRITE = MOUNT + (
    "truncate -s 64M /run/disk/image && sync && "
    "exec {mote} run --kernel {bare}/block --no-acpi --no-entropy --mem 64M --disk /run/disk/image,cache={cache} "
    "--cmdline 'bare.mode=journal bare.flush={flush} bare.exit=acpi' </dev/null")


TRACE = "/sys/kernel/tracing"
TRACED = MOUNT + (
    "truncate -s 64M /run/disk/image && sync; mount -t tracefs tracefs /sys/kernel/tracing; "
    f"echo 1 > {TRACE}/events/ext4/ext4_sync_file_exit/enable && echo 1 > {TRACE}/events/kvm/kvm_pio/enable && "
    "{mote} run --kernel {bare}/block --no-acpi --no-entropy --no-balloon --mem 64M --disk /run/disk/image "
    "--cmdline 'bare.mode=journal bare.ops={flushes} bare.exit=acpi' </dev/null >/dev/null && "
    f"cat {TRACE}/trace")


@pytest.fixture
def disk(tmp_path):
    """An ext4 file system in a file."""
    image = tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, 256 << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", image], check=True)
    return image


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cut(lab):
    """Kills the lab's machine (it dies with its parent) and returns when all of it is gone."""
    processes = children(lab.pid)
    lab.kill()
    lab.wait()
    end = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}") for pid in processes):
        assert time.monotonic() < end, "the lab's processes live on"
        time.sleep(0.05)


def write_until_cut(mote, disk, cache, flush=1):
    """The last block whose flush was acknowledged; without FLUSH agreed on: whose write was."""
    script = WRITE.format(mote=mote, bare=mote.parent / "guest" / "bare", cache=cache, flush=flush)
    lab = subprocess.Popen([ROOT / "tools" / "lab", "--disk", disk, "--timeout", str(LIMIT), "sh", "-c", script],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # fmt: skip
    try:
        told = []
        for line in lab.stdout:
            found = re.match(rb"flushed block=(\d+)\s*$", line)
            assert found, line
            told.append(int(found[1]))
            if len(told) == ENOUGH:
                break
        cut(lab)
        # What it said in its last moments counts too; a line may be cut short.
        told += [int(number) for number in re.findall(rb"flushed block=(\d+)\r?\n", lab.stdout.read())]
    finally:
        lab.kill()
        lab.wait()
        lab.stdout.close()
    assert len(told) >= ENOUGH
    assert told == list(range(len(told)))
    return told[-1]


def content_after_cut(disk, blocks):
    """The first `blocks` blocks of mote's image, seen by a lab that was started anew."""
    script = MOUNT + f"head -c {blocks * 4096} /run/disk/image && umount /run/disk"
    done = subprocess.run([ROOT / "tools" / "lab", "--disk", disk, "sh", "-c", script], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=LIMIT, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_acknowledged_flushes_survive(mote, disk):
    blocks = write_until_cut(mote, disk, "writeback") + 1
    assert content_after_cut(disk, blocks) == pattern(0, blocks * 4096)


def test_a_driver_without_flush_gets_write_through(mote, disk):
    """Virtio 1.2, 5.2.6.2: where FLUSH is not negotiated, a completed write is a safe one."""
    blocks = write_until_cut(mote, disk, "writeback", flush=0) + 1
    assert content_after_cut(disk, blocks) == pattern(0, blocks * 4096)


def test_without_flushes_they_do_not(mote, disk):
    """The same with flushes that do nothing must fail, or the test above proves nothing."""
    blocks = write_until_cut(mote, disk, "unsafe") + 1
    assert content_after_cut(disk, blocks) != pattern(0, blocks * 4096)


def test_the_sync_has_returned_before_the_guest_hears_of_it(mote, disk):
    """A trace of the lab's kernel: the guest says that a flush is done (by port 0x3f8) after the file system's sync has
    come back, once for each."""
    flushes = 20
    script = TRACED.format(mote=mote, bare=mote.parent / "guest" / "bare", flushes=flushes)
    done = subprocess.run([ROOT / "tools" / "lab", "--disk", disk, "sh", "-c", script], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=LIMIT, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    events = re.findall(rb"(ext4_sync_file_exit)|kvm_pio: pio_write at 0x(3f8) ", done.stdout)
    order = "".join("S" if sync else "T" for sync, _ in events)
    assert re.sub("T+", "T", order).startswith("ST" * flushes), order
