#include "base/errno_text.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace mote {

std::string errno_text(int code) {
    const char* const text = ::strerrordesc_np(code);
    return text != nullptr ? text : fmt::format("error {}", code);
}

std::string_view errno_advice(int code) {
    switch (code) {
        case EMFILE:
            return "; raise this process's limit of open files (ulimit -n)";
        case ENFILE:
            return "; the host has too many open files: raise fs.file-max (sysctl)";
        default:
            return "";
    }
}

}  // namespace mote
