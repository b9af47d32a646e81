"""The monitors that are compared: how each is told to boot the same kernel with the same disk."""

import json
import shutil
import subprocess
from pathlib import Path


class Monitor:
    """One monitor program. `bare_exit` and `linux_end` name the way a guest ends its machine there."""

    name = ""
    bare_exit = ""  # value of bare.exit= (guest/bare/lib/exit.c)
    linux_end = ""  # value of end= (tests/bench/init.c)
    realtime = True  # does --realtime apply?
    has_vsock = True
    has_indirect = True  # does its block device take indirect descriptors?
    linux_args = ""  # words this monitor's machine needs on Linux's command line

    def __init__(self, program):
        self.program = str(program)

    def command(self, work, kernel, cmdline, disk=None, mem_mib=128, console=True, tap=None, vsock=None, extra=()):
        """The argument list. `work` is a folder for files it needs; `disk` a raw image, `tap` a TAP's name, `vsock` the
        path of the host's socket, or None."""
        raise NotImplementedError

    def version(self):
        out = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True)
        return out.stdout.splitlines()[0]

    def is_vcpu(self, thread_name):
        raise NotImplementedError


class Mote(Monitor):
    name = "mote"
    bare_exit = "acpi"
    linux_end = "poweroff"

    def command(self, work, kernel, cmdline, disk=None, mem_mib=128, console=True, tap=None, vsock=None, extra=()):
        args = [self.program, "run", "--kernel", str(kernel), "--cmdline", cmdline, "--mem", f"{mem_mib}M"]
        args += ["--console", "tty" if console else "off"]
        # Devices that are there by default are left out, unless they are what is measured.
        for device in ("entropy", "balloon"):
            if f"--{device}" not in extra:
                args += [f"--no-{device}"]
        if disk:
            args += ["--disk", str(disk)]
        if tap:
            args += ["--net", f"tap={tap}"]
        if vsock:
            args += ["--vsock", f"path={vsock}"]
        return args + [word for word in extra if word not in ("--entropy", "--balloon")]

    def is_vcpu(self, thread_name):
        return thread_name.startswith("vcpu")


class Firecracker(Monitor):
    name = "firecracker"
    bare_exit = "i8042"
    linux_end = "reboot"
    has_indirect = False
    # Its own default words (but for the console's): without them its guest probes for devices it lacks.
    linux_args = "reboot=k panic=1 nomodule i8042.noaux i8042.nomux i8042.dumbkbd swiotlb=noforce"

    def command(self, work, kernel, cmdline, disk=None, mem_mib=128, console=True, tap=None, vsock=None, extra=()):
        drives = []
        if disk:
            drive = {"drive_id": "disk", "path_on_host": str(disk), "is_root_device": False, "is_read_only": False}
            drives.append(drive)
        config = {
            "boot-source": {"kernel_image_path": str(kernel), "boot_args": cmdline},
            "drives": drives,
            "machine-config": {"vcpu_count": 1, "mem_size_mib": mem_mib},
        }
        if tap:
            config["network-interfaces"] = [{"iface_id": "net", "host_dev_name": tap}]
        if vsock:
            config["vsock"] = {"guest_cid": 3, "uds_path": str(vsock)}
        path = Path(work) / "firecracker.json"
        path.write_text(json.dumps(config))
        return [self.program, "--no-api", "--level", "Off", "--config-file", str(path), *extra]

    def is_vcpu(self, thread_name):
        return thread_name.startswith("fc_vcpu")


class Qemu(Monitor):
    name = "qemu"
    realtime = False  # its threads starve one another
    has_vsock = False  # vhost-vsock needs the host's module, and speaks to AF_VSOCK
    bare_exit = "debug"
    linux_end = "reboot"
    linux_args = "reboot=t panic=1"

    def command(self, work, kernel, cmdline, disk=None, mem_mib=128, console=True, tap=None, vsock=None, extra=()):
        args = [
            self.program,
            "-M", "microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=on,x-option-roms=off",
            "-accel", "kvm", "-cpu", "host,-arch-capabilities", "-smp", "1", "-m", str(mem_mib),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", "stdio" if console else "null",
            "-global", "virtio-mmio.force-legacy=false", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-kernel", str(kernel), "-append", cmdline,
        ]  # fmt: skip
        if disk:
            args += ["-drive", f"id=disk,file={disk},format=raw,if=none,cache=writeback,aio=io_uring"]
            args += ["-object", "iothread,id=io", "-device", "virtio-blk-device,drive=disk,iothread=io"]
        if tap:
            args += ["-netdev", f"tap,id=net,ifname={tap},script=no,downscript=no,vhost=off"]
            args += ["-device", "virtio-net-device,netdev=net"]
        return args + list(extra)

    def is_vcpu(self, thread_name):
        return "KVM" in thread_name


def available(environ, root):
    """The monitors this run can compare, and the reasons for those it cannot: ([Monitor], [str])."""
    found, missing = [], []
    mote = Path(environ.get("MOTE") or root / "build" / "mote")
    if mote.is_file():
        found.append(Mote(mote.resolve()))
    else:
        missing.append(f"mote: {mote} does not exist; run tools/build, or set MOTE=PATH")
    firecracker = environ.get("FIRECRACKER")
    if firecracker and Path(firecracker).is_file():
        found.append(Firecracker(Path(firecracker).resolve()))
    elif firecracker:
        missing.append(f"firecracker: {firecracker} does not exist")
    else:
        missing.append("firecracker: set FIRECRACKER=PATH to compare with it")
    qemu = shutil.which("qemu-system-x86_64")
    if qemu:
        found.append(Qemu(qemu))
    else:
        missing.append("qemu: no qemu-system-x86_64 on the PATH; run tools/packages bench")
    return found, missing
