"""Bad input: one line that names the thing, the reason and the way out; status 240; nothing created or changed."""

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


@pytest.fixture
def kernel(tmp_path):
    """Something that gets past the opening of files; nothing here gets as far as loading it."""
    path = tmp_path / "kernel"
    path.write_bytes(b"not a kernel\n" * 10)
    return path


@pytest.fixture
def refuse(launch, tmp_path):
    """refuse(*options): the message; the folder of the test is as it was before."""

    def run(*options):
        def state():
            return sorted((path.name, path.lstat().st_size, path.lstat().st_mtime_ns) for path in tmp_path.iterdir())

        before = state()
        line = launch.refuse(*options)
        assert state() == before
        return line

    return run


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(4096))
    return path


def fifo(tmp_path):
    os.mkfifo(tmp_path / "odd")


def folder(tmp_path):
    (tmp_path / "odd").mkdir()


def unix_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "odd"))


def empty(tmp_path):
    (tmp_path / "odd").touch()


def character_device(tmp_path):
    (tmp_path / "odd").symlink_to("/dev/zero")


def nothing(tmp_path):
    pass


ODD = [
    (nothing, "No such file or directory"),
    (empty, "is empty"),
    (fifo, "is a FIFO"),
    (folder, "is a directory"),
    (unix_socket, "is a socket"),
    (character_device, "is a character device"),
]


@pytest.mark.parametrize("use", ["kernel", "initrd", "disk", "pmem"])
@pytest.mark.parametrize("make, reason", ODD, ids=[make.__name__ for make, _ in ODD])
def test_files_that_cannot_be_used(refuse, kernel, tmp_path, use, make, reason):
    make(tmp_path)
    path = tmp_path / "odd"
    options = ["--kernel", path] if use == "kernel" else ["--kernel", kernel, f"--{use}", path]
    line = refuse(*options)
    assert line.startswith(f"mote: error: {use + '0' if use in ('disk', 'pmem') else use}: ")
    assert str(path) in line and reason in line and ";" in line


@pytest.fixture
def as_nobody(mote):
    """as_nobody(*command): run as somebody whom permissions bind, which root is not; from a folder that all may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copy(mote, folder / "mote")
    (folder / "mote").chmod(0o755)
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []

    def run(*arguments, inside=None):
        """`inside`: a script for root in a mount namespace of its own, that runs "$@" at its end."""
        if inside and drop:
            space = ["unshare", "-m", "sh", "-c", inside, "sh"]
        elif inside:
            pytest.skip("FAILING BRANCHES OF mote check NOT TESTED: device nodes need root")
        else:
            space = []
        return subprocess.run([*space, *drop, folder / "mote", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=30, check=False)  # fmt: skip

    run.folder = folder
    yield run
    shutil.rmtree(folder)


@pytest.mark.parametrize("use", ["kernel", "initrd", "disk"])
def test_unreadable_files(as_nobody, use):
    kernel, path = as_nobody.folder / "kernel", as_nobody.folder / "secret"
    kernel.write_bytes(b"not a kernel")
    kernel.chmod(0o644)
    path.write_bytes(bytes(4096))
    path.chmod(0)
    options = ["--kernel", path] if use == "kernel" else ["--kernel", kernel, f"--{use}", path]
    done = as_nobody("run", *options)
    assert done.returncode == 240 and done.stderr.count("\n") == 1
    assert f"cannot open {path}: Permission denied; change its permissions" in done.stderr


@pytest.mark.parametrize("size", [1, 63, 64, 100, 8192])
def test_truncated_kernels(refuse, bare, tmp_path, size):
    path = tmp_path / "cut"
    path.write_bytes(bare("hello").read_bytes()[:size])
    line = refuse("--kernel", path, "--no-acpi")
    assert line.startswith(f"mote: error: kernel: {path} ") and ";" in line
    assert size == 1 or "is truncated" in line


def test_a_kernel_of_noise(refuse, tmp_path):
    path = tmp_path / "noise"
    path.write_bytes(b"noise" + os.urandom(1 << 20))
    assert f"kernel: {path} is not a Linux kernel image: it begins with 6e 6f 69 73" in refuse("--kernel", path)


def test_a_command_line_that_is_too_long(refuse, bare):
    """The numbers are those of what the user gave."""
    line = refuse("--kernel", bare("hello"), "--cmdline", "x" * 2000, "--console", "off")
    left = int(re.search(r"cmdline: 2000 bytes are too many, (\d+) are left of 2047 beside mote's own; shorten it", line)[1])
    assert 1900 < left < 2000
    line = refuse("--kernel", bare("hello"), "--cmdline", "x" * (left + 1), "--console", "off")
    assert f"{left + 1} bytes are too many, {left} are left" in line


def test_nineteen_devices(refuse, kernel, tmp_path):
    options = []
    for i in range(19):
        (tmp_path / f"d{i}").write_bytes(bytes(512))
        options += ["--disk", tmp_path / f"d{i}"]
    assert "disks: 19 are too many, at most 18" in refuse("--kernel", kernel, "--no-entropy", "--no-balloon", *options)


@pytest.mark.parametrize("kind", ["file", "unix"])
def test_a_console_path_without_its_folder(refuse, bare, tmp_path, kind):
    line = refuse("--kernel", bare("hello"), "--no-acpi", "--console", f"{kind}:{tmp_path}/none/console")
    assert f"{tmp_path}/none/console: No such file or directory; make its folder, or give another path" in line


def test_too_few_descriptors_are_the_hosts_failure(mote, bare):
    """Status 241: nothing that was given is wrong."""
    done = subprocess.run([mote, "run", "--kernel", bare("hello"), "--no-acpi"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12)))  # fmt: skip
    assert done.returncode == 241, done.stderr
    assert done.stderr.startswith("mote: error: ") and done.stderr.count("\n") == 1


def test_a_disk_smaller_than_a_sector(refuse, kernel, image):
    image.write_bytes(b"x" * 511)
    assert "511 bytes" in refuse("--kernel", kernel, "--disk", image)


@pytest.fixture
def holder(mote, image, tmp_path):
    """A process with the lock of a mote that writes to `image`: the call of a lock is all it takes."""
    script = (
        "import fcntl, os, struct, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)\n"
        "fcntl.fcntl(fd, 37, lock)\n"  # F_OFD_SETLK
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        ["python3", "-c", script, str(image)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.communicate("")


@pytest.mark.parametrize("option", ["", ",ro"])
def test_a_disk_that_somebody_writes_to(refuse, kernel, image, holder, option):
    line = refuse("--kernel", kernel, "--disk", f"{image}{option}")
    assert str(image) in line and "is used for writing by another process" in line


def test_one_file_as_two_disks(refuse, kernel, image):
    line = refuse("--kernel", kernel, "--disk", f"{image},ro", "--disk", image)
    assert f"disk1: {image} is the same file as disk0" in line


@pytest.mark.parametrize("kind", ["file", "unix"])
@pytest.mark.parametrize("use", ["kernel", "initrd", "disk0"])
def test_the_console_is_no_other_file_of_the_machine(refuse, kernel, image, tmp_path, kind, use):
    """The guest's output would be appended to it."""
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"x")
    link = tmp_path / "link"
    os.link({"kernel": kernel, "initrd": initrd, "disk0": image}[use], link)
    line = refuse("--kernel", kernel, "--initrd", initrd, "--disk", image, "--console", f"{kind}:{link}")
    assert f"console: {link} is also {use};" in line


def test_qcow2_draws_a_warning_and_nothing_else(mote, kernel, image):
    """What is refused here is the kernel, after the disk has been taken."""
    image.write_bytes(b"QFI\xfb" + bytes(1020))
    command = [mote, "run", "--kernel", kernel, "--disk", image]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("mote: warning: ")]
    assert len(warnings) == 1 and "qcow2" in warnings[0] and str(image) in warnings[0]
    assert image.read_bytes() == b"QFI\xfb" + bytes(1020)


@pytest.mark.parametrize(
    "options, parts",
    [
        (["--mem", "0"], ["memory: 0 bytes"]),
        (["--mem", "1M"], ["memory: 1M", "2M"]),
        (["--mem", "4000G"], ["memory: 4000G is more than this host has"]),
        (["--mem", "5T"], ["memory: 5T"]),
        (["--mem", "99999999999999999999"], ["--mem: '99999999999999999999' is too large"]),
        (["--mem", "256MB"], ["--mem: '256MB' is not a size", "256M"]),
        (["--hotplug-mem", "total=100M"], ["hotplug_memory: a total of 100M", "multiple of 128M"]),
        (["--hotplug-mem", "total=4000G"], ["memory and hotplug_memory: ", "is more than this host has"]),
        (["--hotplug-mem", "1G"], ["--hotplug-mem: '1G'", "total=SIZE"]),
        (["--cpus", "0"], ["cpus: 0", "1 to 32"]),
        (["--cpus", "33"], ["cpus: 33", "1 to 32"]),
        (["--cpus", "many"], ["--cpus: 'many' is not a whole number", "1 to 32"]),
        (["--cpus", "999999999999"], ["--cpus: '999999999999' is too large", "1 to 32"]),
        (["--cpus", "1", "--cpus", "2"], ["--cpus: is given 2 times; give it once"]),
        (["--no-acpi=false"], ["--no-acpi: takes no value; give it alone"]),
        (["--disk", "x,ro,ro"], ["--disk: 'x,ro,ro' has ro twice"]),
        (["--name", "a b"], ["name: 'a b'"]),
        (["--cmdline", "a\nb"], ["cmdline: byte 1 is a control character"]),
        (["--disk", "x,rw"], ["--disk: 'x,rw'", "unknown part 'rw'"]),
        (["--disk", "x,cache=none"], ["cache mode 'none'", "writeback, unsafe and direct"]),
        (["--console", "pty"], ["--console: 'pty'", "tty, off, file:PATH and unix:PATH"]),
        (["--console", "unix:" + "x" * 108], ["console: the path has 108 bytes"]),
        (["--grace", "soon"], ["--grace: 'soon'"]),
        (["--kernle", "x"], ["unknown argument '--kernle'; did you mean --kernel?"]),
        (["--cpus"], ["--cpus", "see mote run --help"]),
        (["extra"], ["unknown argument 'extra'"]),
    ],
)
def test_options(refuse, kernel, options, parts):
    line = refuse("--kernel", kernel, *options)
    for part in parts:
        assert part in line


def test_no_kernel(refuse):
    assert "kernel: none is given; use --kernel FILE" in refuse()


@pytest.mark.parametrize(
    "text, part",
    [
        ('{\n"kernle": "x"}', "line 2: key 'kernle' is unknown; did you mean 'kernel'?"),
        ('{"cpus": "4"}', "line 1: key 'cpus' must be a whole number, not a string"),
        ('{"cpus": 1,\n"cpus": 2}', "line 2: key 'cpus' is given twice"),
        ('{"disks": [{"path": "a", "readonly": true}]}', "disks[0].readonly"),
        ('{"kernel": }', "line 1"),
        ("", "is empty"),
        ("[]", "must hold one object"),
        ('{"memory": "0"}', "config.json: memory: 0 bytes"),
        ('{"memory": 99999999999999999999}', "key 'memory' '99999999999999999999' is too large; give 2M to 4T"),
        ('{"cpus": 1e1}', "key 'cpus' '1e1' is not a whole number; give 1 to 32"),
        ('{"kernel": "a\\u0000b"}', "kernel: the path holds a zero byte"),
    ],
)
def test_config_file(refuse, tmp_path, kernel, text, part):
    path = tmp_path / "config.json"
    path.write_text(text)
    options = ["--config", path] if "u0000" in text else ["--config", path, "--kernel", kernel]
    assert part in refuse(*options)


def test_config_file_that_is_not_there(refuse, tmp_path):
    line = refuse("--config", tmp_path / "none.json")
    assert "config: cannot open" in line and "No such file" in line


def test_a_message_stays_one_line(refuse):
    """Whatever a path holds: no terminal sequences, no second line."""
    line = refuse("--kernel", "a\nb\x1b[2J")
    assert "a?b?[2J" in line


def test_the_console_file_is_not_made_for_a_bad_kernel(refuse, kernel, tmp_path):
    refuse("--kernel", kernel, "--console", f"file:{tmp_path}/console.txt")
    refuse("--kernel", kernel, "--console", f"unix:{tmp_path}/console.sock")


def test_closed_standard_descriptors(mote, kernel, image):
    """Started without any of them, no disk gets their numbers, and so no message."""
    before = image.read_bytes()
    command = f'exec "{mote}" run --kernel "{kernel}" --disk "{image}" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], timeout=30).returncode in (240, 241)
    assert image.read_bytes() == before


def test_refusals_are_quick(launch, tmp_path):
    """A FIFO without a writer, above all, is not waited for."""
    os.mkfifo(tmp_path / "fifo")
    began = time.monotonic()
    launch.refuse("--kernel", tmp_path / "fifo")
    launch.refuse("--config", tmp_path / "fifo")
    assert time.monotonic() - began < 5


def run(mote, *arguments):
    return subprocess.run([mote, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)


def test_version_and_help(mote):
    done = run(mote, "--version")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and lines[0].startswith("mote ") and lines[1] == "contract: Firecracker API 1.17.0"
    for arguments in (["--help"], ["run", "--help"]):
        done = run(mote, *arguments)
        assert done.returncode == 0 and "Examples:" in done.stdout and done.stderr == ""


def test_unknown_subcommand(mote):
    done = run(mote, "rum")
    assert done.returncode == 240
    assert done.stderr == "mote: error: unknown argument 'rum'; did you mean run?\n"


def test_check_agrees_with_itself(mote):
    report, quiet = run(mote, "check"), run(mote, "check", "--quiet")
    assert report.returncode in (0, 241)
    assert quiet.returncode == (0 if report.returncode == 0 else 1)
    assert quiet.stdout.count("\n") == quiet.returncode  # the reason, on one line
    assert all(line.startswith(("OK ", "WARN", "FAIL", "      -> ", "Linux ")) for line in report.stdout.splitlines())
    assert ("FAIL" in report.stdout) == (report.returncode == 241)
    if quiet.returncode:
        assert quiet.stdout.strip() in report.stdout


def test_check_without_permission(as_nobody):
    """/dev/kvm as mode 600 in a mount namespace of its own."""
    script = 'mount -t tmpfs none /dev && mknod -m 600 /dev/kvm c 10 232 && exec "$@"'
    done = as_nobody("check", inside=script)
    assert done.returncode == 241
    assert "FAIL  /dev/kvm: you may not open it\n      -> give yourself access: sudo setfacl" in done.stdout
    assert "Linux guests cannot run here: /dev/kvm: you may not open it.\n" in done.stdout
    done = as_nobody("check", "--quiet", inside=script)
    assert (done.returncode, done.stdout) == (1, "/dev/kvm: you may not open it\n")


def test_check_without_a_group(as_nobody):
    script = 'mount -t tmpfs none /dev && mknod -m 660 /dev/kvm c 10 232 && chgrp 4711 /dev/kvm && exec "$@"'
    done = as_nobody("check", inside=script)
    assert done.returncode == 241 and "join the group of /dev/kvm (4711" in done.stdout


def test_check_without_devices(as_nobody):
    """No /dev/kvm, no /dev/net/tun; few files."""
    done = as_nobody("check", inside='mount -t tmpfs none /dev && ulimit -n 100 && exec "$@"')
    assert done.returncode == 241
    assert "FAIL  /dev/kvm: is not there\n      -> " in done.stdout
    assert "WARN  /dev/net/tun: No such file or directory: no network devices\n      -> sudo modprobe tun" in done.stdout
    assert "WARN  limit of files: 100 open files: too few for many disks\n      -> ulimit -n 256" in done.stdout


def test_check_with_another_device(as_nobody):
    """A /dev/kvm that is no KVM."""
    done = as_nobody("check", inside='mount -t tmpfs none /dev && mknod -m 666 /dev/kvm c 1 5 && exec "$@"')
    assert done.returncode == 241 and "FAIL  /dev/kvm: " in done.stdout and "use a kernel with a standard KVM" in done.stdout


def test_a_config_file_from_a_pipe(mote):
    """As in `--config <(...)`."""
    reader, writer = os.pipe()
    os.write(writer, json.dumps({"kernel": "/no/such/kernel"}).encode())
    os.close(writer)
    with os.fdopen(reader):
        done = subprocess.run(
            [mote, "run", "--config", f"/dev/fd/{reader}"], pass_fds=[reader], capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 240 and "/no/such/kernel" in done.stderr
