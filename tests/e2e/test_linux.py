"""Real Linux guests: Debian's stock kernel and our own boot to user space, see their machine, and end in every way."""

import re
import shutil
import signal

import pytest

from support_py.host import memory_kib

KERNELS = pytest.mark.parametrize("kernel", ["own", "debian"])


@KERNELS
@pytest.mark.parametrize("cpus", [1, 4])
def test_boots_to_a_shell_and_powers_off(boot, kernel, cpus):
    shell = boot(kernel, "--cpus", cpus)
    assert shell.run("nproc").strip() == str(cpus)
    assert re.search(r"^/dev/\S+ / ext4 rw", shell.run("cat /proc/mounts"), re.MULTILINE)
    assert re.findall(r"cpu cores\s+: (\d+)", shell.run("cat /proc/cpuinfo")) in ([], [str(cpus)] * cpus)
    assert shell.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource").strip() in ("kvm-clock", "tsc")
    assert "virtio" in shell.run("cat /sys/class/misc/hw_random/rng_current")
    assert shell.end("poweroff") == 0


@KERNELS
def test_reboot_ends_with_its_own_status(boot, kernel):
    assert boot(kernel).end("reboot") == 242


@KERNELS
def test_panic_is_told_apart(boot, kernel):
    shell = boot(kernel)
    assert shell.end("echo c > /proc/sysrq-trigger") == 243
    assert b"Kernel panic" in shell.machine.console


def test_a_crash_is_told_apart(boot):
    """A guest that restarts by a triple fault, as some do."""
    shell = boot("own", words="reboot=triple")
    assert shell.end("reboot -f") == 244
    assert "mote: error: the guest crashed: vCPU 0: triple fault" in shell.machine.messages


@KERNELS
def test_sigterm_while_the_guest_comes_up(launch, own_kernel, debian_kernel, root_image, tmp_path, kernel):
    """Nobody listens to the button yet; it is pressed again until somebody does."""
    image, options = (own_kernel, []) if kernel == "own" else (debian_kernel[0], ["--initrd", debian_kernel[1]])
    root = tmp_path / "root.ext4"
    shutil.copyfile(root_image, root)
    machine = launch.run("--kernel", image, *options, "--disk", root, "--grace", 600)
    machine.expect(rb"Linux version")
    machine.send_signal(signal.SIGTERM)
    assert machine.wait(60) == 0


@KERNELS
def test_sigterm_presses_the_power_button(boot, kernel):
    shell = boot(kernel, "--grace", 600)
    shell.run("sync")
    shell.machine.send_signal(signal.SIGTERM)
    assert shell.machine.wait() == 0


@KERNELS
def test_what_the_guest_writes_is_in_the_file(boot, tmp_path, kernel):
    data = tmp_path / "data.raw"
    data.write_bytes(bytes(4 << 20))
    fixed = tmp_path / "fixed.raw"
    fixed.write_bytes(b"fixed" * 1024)
    shell = boot(kernel, "--disk", data, "--disk", f"{fixed},ro")
    shell.run("dd if=/proc/cpuinfo of=/tmp/x bs=1000 count=1 2>/dev/null; yes mote | head -c 1048576 > /tmp/pattern")
    shell.run("dd if=/tmp/pattern of=/dev/vdb bs=4096 seek=256 conv=fsync 2>/dev/null")
    content = data.read_bytes()
    assert content[: 1 << 20] == bytes(1 << 20)
    assert content[1 << 20 : 2 << 20] == (b"mote\n" * 209716)[: 1 << 20]
    assert shell.run("head -c 5 /dev/vdc").strip() == "fixed"
    assert shell.run("cat /sys/block/vdc/ro").strip() == "1"
    assert shell.end("poweroff") == 0
    assert fixed.read_bytes() == b"fixed" * 1024


def test_five_gibibytes(boot):
    if memory_kib() < 6 << 20:
        pytest.skip(f"--mem 5G NOT TESTED: this machine has {memory_kib() >> 10} MiB")
    shell = boot("own", "--mem", "5G")
    total = int(re.search(r"MemTotal:\s+(\d+) kB", shell.run("cat /proc/meminfo"))[1])
    assert 0.95 * (5 << 20) < total <= 5 << 20
    assert shell.end("poweroff") == 0


def test_compressed_image_of_our_kernel(boot):
    shell = boot("own-bzimage")
    assert shell.run("uname -s").strip() == "Linux"
    assert shell.end("poweroff") == 0


def test_without_acpi_devices_come_from_the_command_line(boot):
    shell = boot("own", "--no-acpi", "--cpus", 2)
    assert "virtio_mmio.device=" in shell.run("cat /proc/cmdline")
    assert shell.run("nproc").strip() == "2"
    shell.run("sync")
    shell.machine.send_signal(signal.SIGTERM)
    shell.machine.send_signal(signal.SIGTERM)
    assert shell.machine.wait() == 245


def test_window_size_reaches_the_guest(boot):
    shell = boot("own", terminal=True)
    assert shell.run("stty size").strip() == "37 101"
    shell.machine.send(b"poweroff\n")
    assert shell.machine.wait_unread() == 0  # the test holds the terminal open: its output has no end
