"""The virtio-mmio register windows, read by the guest in all widths."""

import re


def test_registers(guest, disk):
    machine = guest("mmio", "", "--disk", disk(size=1 << 20), "--disk", f"{disk('second.raw', size=4096)},ro")
    assert machine.wait() == 0
    failed = [line for line in machine.lines("check") if not line.endswith(" ok")]
    assert not failed
    assert machine.result() == {"windows": "2", "failures": "0"}
    registers = {}
    for line in machine.lines("reg"):
        window, offset, dword = re.match(r"reg (\d+) (\w+) .* d=(\w+)", line).groups()
        registers[int(window), int(offset, 16)] = int(dword, 16)
    for window, sectors in ((0, 2048), (1, 8)):
        assert registers[window, 0x000] == 0x74726976  # magic
        assert registers[window, 0x004] == 2  # version
        assert registers[window, 0x008] == 2  # block
        assert registers[window, 0x034] == 256  # queue size
        assert registers[window, 0x100] == sectors  # capacity, low half


def test_the_order_of_devices(launch, bare, disk):
    machine = launch.run("--kernel", bare("mmio"), "--no-acpi", "--cmdline", "bare.exit=acpi", "--disk", disk())
    assert machine.wait() == 0
    ids = [re.search(r"d=(\w+)", line)[1] for line in machine.lines("reg") if re.match(r"reg \d+ 008", line)]
    assert ids == ["00000005", "00000002", "00000004"]
    assert machine.result() == {"windows": "3", "failures": "0"}


def test_eighteen_devices(guest, disk):
    options = []
    for i in range(18):
        options += ["--disk", disk(f"d{i}.raw", size=4096)]
    machine = guest("mmio", "", *options)
    assert machine.wait(120) == 0
    assert machine.result() == {"windows": "18", "failures": "0"}
