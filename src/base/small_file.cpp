#include "base/small_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.h"

namespace mote {

std::string read_small_file(const char* path) {
    const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
    std::string text;
    std::array<char, 4096> bytes;
    // 64 KiB: more than the first CPU's part of /proc/cpuinfo, the longest that is looked at.
    while (file.valid() && text.size() < size_t{64} << 10U) {
        const ssize_t got = ::read(file.get(), bytes.data(), bytes.size());
        if (got <= 0) break;
        text.append(bytes.data(), static_cast<size_t>(got));
    }
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

}  // namespace mote
