"""Linux guests for the end-to-end tests: kernels, images, and a guest's shell on the console."""

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def _cached(*command):
    """The path that one of guest/'s scripts prints; they find in the cache what tools/test has made."""
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr.strip()}"
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def own_kernel():
    """Our kernel (guest/kernel), an ELF vmlinux."""
    return _cached("guest/kernel/build")


@pytest.fixture(scope="session")
def debian_kernel():
    """The folder of Debian's stock kernel, and the initramfs with the modules it needs."""
    folder = _cached("guest/debian-kernel/fetch")
    return folder / "vmlinuz", _cached("guest/initramfs/build", folder)


@pytest.fixture(scope="session")
def root_image():
    return _cached("guest/rootfs/build")


class Shell:
    """The shell on a guest's console, driven by what it prints."""

    def __init__(self, machine):
        self.machine, self._count = machine, 0
        machine.expect(rb"root@mote:[^\r\n]*# ")

    def run(self, command):
        """Runs one line; returns what it printed."""
        self._count += 1
        # The quotes tell what is typed, which the guest echoes once or twice, from what is printed.
        number = self._count
        self.machine.send(f"echo B'E'G{number}; {command}; echo E'N'D{number}\n".encode())
        match = self.machine.expect(rb"BEG%d\r\n(?s:(.*?))END%d\r\n" % (number, number))
        return match[1].decode(errors="replace").replace("\r\n", "\n")

    def end(self, command):
        """Runs a line that ends the guest; returns mote's exit status."""
        self.machine.send(f"{command}\n".encode())
        return self.machine.wait()


@pytest.fixture
def boot(request, launch, tmp_path, root_image):
    """boot(KERNEL, *options): a Shell in a guest with a root disk of its own; KERNEL is own, own-bzimage or debian;
    `words` go to its command line."""

    def run(kernel, *options, words="", terminal=False):
        root = tmp_path / f"root{len(list(tmp_path.glob('root*')))}.ext4"
        shutil.copyfile(root_image, root)
        if kernel == "debian":
            image, initrd = request.getfixturevalue("debian_kernel")
            options = ("--initrd", initrd, *options)
        else:
            image = request.getfixturevalue("own_kernel")
            if kernel == "own-bzimage":
                image = image.parent / "bzImage"
        start = functools.partial(launch.run_on_terminal, rows=37, columns=101) if terminal else launch.run
        return Shell(start("--kernel", image, "--disk", root, "--cmdline", f"quiet loglevel=3 {words}", *options))

    return run


@pytest.fixture
def shell_of():
    """shell_of(MACHINE): the Shell of a guest that a test has started by itself."""
    return Shell


@pytest.fixture
def repository():
    return ROOT

