"""A disk of the host that fails: the guest is told, by the request that failed, and the machine goes on."""

import os
import signal
import subprocess
import time

import pytest


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def full_disk(tmp_path):
    """A block device of 4 MiB that has room for a few pages: what is written to it later is lost, as its file
    system is full. The host's kernel says so once, to the sync that comes next."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a disk that fails; it takes root to make a loop device")
    folder = tmp_path / "full"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k", "full", folder)
    device = None
    try:
        image = folder / "image"
        image.write_bytes(b"")
        os.truncate(image, 4 << 20)
        device = run("/sbin/losetup", "--find", "--show", image)
        yield device
    finally:
        if device:
            run("/sbin/losetup", "--detach", device)
        run("umount", "--lazy", folder)


def test_a_flush_that_fails_is_not_reported_as_done(guest, full_disk):
    """Asked twice, the kernel would say the second time that all is well."""
    machine = guest("block", "bare.mode=journal bare.ops=64", "--disk", full_disk)
    assert machine.wait(60) == 0
    assert b"fail a write or flush failed" in machine.console
    assert "a flush of the guest failed: Input/output error" in machine.messages


def test_a_file_that_became_shorter(guest, disk):
    """The rest of the disk is gone while the guest runs: I/O errors for it, and an end as ever."""
    path = disk(size=1 << 20)
    machine = guest("block", "bare.mode=read bare.ops=100000000 bare.bs=4096", "--disk", path)
    machine.expect(b"begin\n")
    os.truncate(path, 4096)
    time.sleep(0.3)
    machine.send_signal(signal.SIGQUIT)
    assert machine.wait(60) == 245
    assert "a read of the guest failed: Input/output error" in machine.messages
