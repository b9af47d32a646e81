"""fio in a Linux guest: what it writes it reads again, on the shared worker and on one of its own."""

import re

import pytest

from support_py.guest_program import GuestProgram

MIB = 1 << 20


@pytest.mark.parametrize("cache", ["writeback", "unsafe,own_worker"])
def test_what_is_written_is_read_again(boot, tmp_path, cache):
    fio = GuestProgram("fio", tmp_path)
    data = tmp_path / "data.raw"
    data.write_bytes(bytes(32 * MIB))
    shell = boot("debian", "--mem", "512M", "--disk", f"{fio.disk},ro", "--disk", f"{data},cache={cache}")
    command = fio.unpack(shell, "/dev/vdb")
    common = "--filename=/dev/vdc --thread --verify=crc32c --verify_fatal=1 --randrepeat=0 --direct=1"
    jobs = [
        "--name=deep --rw=randwrite --bs=4k --size=8M --ioengine=libaio --iodepth=32",
        "--name=mixed --offset=8M --size=8M --rw=randrw --bssplit=512/20:4k/40:64k/40 --ioengine=libaio --iodepth=16",
        "--name=flushed --offset=16M --size=2M --rw=write --bs=16k --ioengine=psync --fsync=4",
    ]
    for job in jobs:
        told = shell.run(f"{command} {common} {job}; echo status $?")
        assert "status 0" in told and re.search(r"err= 0", told), told
    assert shell.end("poweroff") == 0
    content = data.read_bytes()
    assert any(content[: 8 * MIB]) and not any(content[18 * MIB :])
