// <linux/kvm.h>, made right for C++: include this one only.
//
// Kernel headers before 6.6 declare flexible arrays with an empty struct beside them. It has a size
// of 0 in C, but of 1 in C++: structures grow by 4 bytes, and with them ioctl numbers.
#pragma once

#include <linux/stddef.h>

#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) TYPE NAME[0]

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // arrays of no elements
#include <linux/kvm.h>
#pragma GCC diagnostic pop

static_assert(sizeof(kvm_cpuid2) == 8);
static_assert(sizeof(kvm_msrs) == 8);
static_assert(sizeof(kvm_coalesced_mmio_ring) == 8);
