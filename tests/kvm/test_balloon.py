"""Memory that a bare guest gives back is the host's again: seen in the process's resident set."""

import pytest

from support_py.host import resident_kib

MIB = 1024


@pytest.fixture
def start(launch, bare):
    def run(mode):
        return launch.run("--kernel", bare("balloon"), "--no-acpi", "--no-entropy", "--mem", "64M",
                          "--cmdline", f"bare.exit=acpi bare.mode={mode}")  # fmt: skip

    return run


@pytest.mark.parametrize("mode, requests", [("inflate", 64), ("report", 1)])
def test_memory_goes_back_to_the_host(start, mode, requests):
    machine = start(mode)
    gone, come = machine.memory_given_back(resident_kib)
    assert gone > 31 * MIB and come > 31 * MIB, (gone, come)
    pages = 8192 if mode == "inflate" else 0
    assert machine.result() == {"nonzero": "0", "requests": str(requests), "actual": str(pages)}


def test_no_balloon_leaves_it_out(launch, bare):
    machine = launch.run("--kernel", bare("balloon"), "--no-acpi", "--no-entropy", "--no-balloon", "--mem", "64M",
                         "--cmdline", "bare.exit=acpi")  # fmt: skip
    assert machine.wait() == 0
    assert machine.lines("fail") == ["fail no balloon"]
