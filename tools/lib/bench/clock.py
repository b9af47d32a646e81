"""The time stamp counter's frequency, to turn a guest's cycles into nanoseconds."""

import ctypes
import functools
import mmap
import time

# rdtsc; shl rdx, 32; or rax, rdx; ret
_READ_TSC = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"


@functools.cache
def cycles_per_nanosecond():
    """Measured against CLOCK_MONOTONIC_RAW over a fifth of a second, once."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(_READ_TSC)
        window = (ctypes.c_char * len(_READ_TSC)).from_buffer(page)
        read_tsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(window))

        def sample():
            return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), read_tsc()

        begin_ns, begin = sample()
        time.sleep(0.2)
        end_ns, end = sample()
        del window
    return (end - begin) / (end_ns - begin_ns)
