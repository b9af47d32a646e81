"""The data that guest/bare/block.c writes and expects."""

import struct


def pattern(first_byte, length, seed=0):
    """What the bytes first_byte .. first_byte + length of a disk hold (both multiples of 8)."""
    mask = (1 << 64) - 1
    words = range(first_byte // 8 + 1, (first_byte + length) // 8 + 1)
    return b"".join(struct.pack("<Q", (word * 0x9E3779B97F4A7C15 + seed) & mask) for word in words)
