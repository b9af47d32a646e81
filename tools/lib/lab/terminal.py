"""This side's terminal: raw while the lab's command has it, given back whatever happens."""
import atexit
import fcntl
import os
import struct
import termios
import tty


def in_foreground(fd):
    """Is fd a terminal that we may read and set without being stopped?"""
    try:
        return os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def size(fd):
    """(rows, columns) of the terminal behind fd, or (0, 0)."""
    try:
        return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))[:2]
    except OSError:
        return (0, 0)


class RawTerminal:
    """Sets the terminal raw; restore() may be called any number of times, and runs at exit."""

    def __init__(self, fd):
        self.fd = fd
        self.saved = termios.tcgetattr(fd)
        atexit.register(self.restore)
        tty.setraw(fd, termios.TCSANOW)

    def restore(self):
        if self.saved is not None:
            try:
                termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)
            except termios.error:
                pass  # the terminal is gone
            self.saved = None
