"""Bad kernels: one line that names the file and the reason, status 240, before any machine exists."""

import os

import pytest


@pytest.fixture
def refuse(launch):
    return lambda *arguments: launch.refuse("--no-acpi", "--no-entropy", "--no-balloon", *arguments)


def test_kernel_missing(refuse, tmp_path):
    line = refuse("--kernel", tmp_path / "none")
    assert f"{tmp_path}/none" in line and "No such file" in line


@pytest.mark.parametrize("size", [0, 1, 63, 64, 100])
def test_kernel_truncated(refuse, bare, tmp_path, size):
    path = tmp_path / "kernel"
    path.write_bytes(bare("hello").read_bytes()[:size])
    assert str(path) in refuse("--kernel", path)


def test_kernel_cut_in_its_segment(refuse, bare, tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(bare("hello").read_bytes()[:8192])
    assert str(path) in refuse("--kernel", path)


def test_kernel_of_noise(refuse, tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(os.urandom(1 << 20))
    assert str(path) in refuse("--kernel", path)


def test_kernel_that_is_a_folder_or_a_fifo(refuse, tmp_path):
    assert str(tmp_path) in refuse("--kernel", tmp_path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert str(fifo) in refuse("--kernel", fifo)


@pytest.mark.parametrize("option, value", [("--mem", "0"), ("--mem", "1000000G"), ("--cpus", "0"), ("--cpus", "33")])
def test_impossible_machine(refuse, bare, option, value):
    assert value.rstrip("G") in refuse("--kernel", bare("hello"), option, value)


def test_nineteen_devices(refuse, bare, disk):
    options = []
    for i in range(19):
        options += ["--disk", disk(f"d{i}.raw", size=512)]
    assert "18" in refuse("--kernel", bare("hello"), *options)
