"""A disk of a Linux guest that qemu-storage-daemon serves by vhost-user."""

import pytest

from support_py.vhost_user import StorageDaemon

MIB = 1 << 20


@pytest.fixture
def served(tmp_path):
    """A patterned image of 16 MiB, and who serves it."""
    path = tmp_path / "data.raw"
    path.write_bytes(bytes(range(256)) * (16 * MIB // 256))
    daemon = StorageDaemon(path, tmp_path / "data.sock")
    yield path, daemon
    daemon.kill()


@pytest.mark.parametrize("kernel", ["own", "debian"])
def test_a_disk_and_its_driver_bound_anew(boot, served, kernel):
    path, daemon = served
    shell = boot(kernel, "--disk", daemon.option)
    assert shell.run("cat /sys/block/vdb/size").strip() == str(16 * MIB // 512)
    before = shell.run("md5sum < /dev/vdb")
    shell.run("d=$(basename $(readlink /sys/block/vdb/device))")
    for _ in range(3):
        shell.run("echo $d > /sys/bus/virtio/drivers/virtio_blk/unbind; ls /sys/block")
        shell.run("echo $d > /sys/bus/virtio/drivers/virtio_blk/bind")
        assert shell.run("md5sum < /dev/vdb") == before
    shell.run("yes mote | head -c 1048576 > /tmp/pattern")
    shell.run("dd if=/tmp/pattern of=/dev/vdb bs=4096 seek=256 conv=fsync 2>/dev/null")
    content = path.read_bytes()
    assert content[MIB : 2 * MIB] == (b"mote\n" * 209716)[:MIB]
    assert content[:MIB] == bytes(range(256)) * (MIB // 256)
    assert shell.end("poweroff") == 0
    assert shell.machine.messages == ""
