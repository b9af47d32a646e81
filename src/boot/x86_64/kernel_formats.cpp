#include <array>

#include "boot/kernel_image.h"
#include "boot/x86_64/bzimage.h"
#include "boot/x86_64/elf.h"

namespace mote {

std::span<const KernelFormat> kernel_formats() {
    static constexpr std::array kFormats{
        KernelFormat{.matches = is_elf, .load = load_elf},
        KernelFormat{.matches = is_bzimage, .load = load_bzimage},
    };
    return kFormats;
}

}  // namespace mote
