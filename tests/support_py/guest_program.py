"""A program of this machine's, taken into a guest with the libraries it needs."""

import os
import re
import shutil
import subprocess
import tarfile

import pytest


class GuestProgram:
    """A tar of the program, to be attached as a (read-only) disk. Skips the test where there is no such program."""

    def __init__(self, name, folder):
        path = shutil.which(name)
        if not path:
            pytest.skip(f"{name} NOT TESTED: it is not installed (sudo apt install {name})")
        self.name, self.disk = name, folder / f"{name}.tar"
        told = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
        libraries = re.findall(r"(/\S+) \(0x", told)
        with tarfile.open(self.disk, "w", dereference=True) as tar:
            for file in (path, *libraries):
                tar.add(file, arcname=os.path.basename(file))

    def unpack(self, shell, device):
        """Unpacks it in the guest; returns how it is called there."""
        folder = f"/run/{self.name}"
        shell.run(f"mkdir {folder}; tar xf {device} -C {folder}")
        return f"{folder}/ld-linux-x86-64.so.2 --library-path {folder} {folder}/{self.name}"
