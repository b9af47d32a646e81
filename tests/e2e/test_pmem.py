"""A file as persistent memory of Debian's stock kernel, which has the driver as a module."""

import re
import shutil

import pytest

MIB = 1 << 20


@pytest.fixture
def boot_from_pmem(launch, shell_of, debian_kernel, root_image, tmp_path):
    """boot_from_pmem(part, *options): a Shell in a guest whose root is /dev/pmem0."""
    kernel, initrd = debian_kernel
    root = tmp_path / "root.ext4"
    shutil.copyfile(root_image, root)

    def run(part, *options):
        return shell_of(launch.run("--kernel", kernel, "--initrd", initrd, "--pmem", f"{root}{part}",
                                   "--cmdline", "quiet loglevel=3", *options))  # fmt: skip

    run.root = root
    return run


def test_the_root_file_system_is_a_pmem(boot_from_pmem, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(bytes(8 * MIB))
    shell = boot_from_pmem("", "--pmem", data)
    assert re.search(r"^/dev/pmem0 / ext4 rw", shell.run("cat /proc/mounts"), re.MULTILINE)
    assert shell.run("cat /sys/block/pmem1/size").strip() == str(8 * MIB // 512)
    shell.run("yes mote | head -c 1048576 > /tmp/pattern")
    shell.run("dd if=/tmp/pattern of=/dev/pmem1 bs=4096 seek=256 conv=fsync 2>/dev/null")
    content = data.read_bytes()
    assert content[MIB : 2 * MIB] == (b"mote\n" * 209716)[:MIB]
    assert not any(content[:MIB]) and not any(content[2 * MIB :])
    assert shell.end("poweroff") == 0


def test_a_read_only_root(boot_from_pmem):
    before = boot_from_pmem.root.read_bytes()
    shell = boot_from_pmem(",ro")
    assert re.search(r"^/dev/pmem0 / ext4 ro", shell.run("cat /proc/mounts"), re.MULTILINE)
    assert shell.end("poweroff -f") == 0
    assert boot_from_pmem.root.read_bytes() == before
