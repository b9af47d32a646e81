#include "control/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "control/limits.h"

namespace mote {

namespace {

/// The power of two that a size's suffix stands for, or -1.
int suffix_shift(char suffix) {
    switch (suffix) {
        case 'k':
        case 'K':
            return 10;
        case 'm':
        case 'M':
            return 20;
        case 'g':
        case 'G':
            return 30;
        case 't':
        case 'T':
            return 40;
        default:
            return -1;
    }
}

/// Splits at single commas; two commas in a row are one that belongs to the text.
std::vector<std::string> split_at_commas(std::string_view text) {
    std::vector<std::string> parts(1);
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != ',') {
            parts.back() += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == ',') {
            parts.back() += ',';
            ++i;
        } else {
            parts.emplace_back();
        }
    }
    return parts;
}

/// Refuses a `part` of `text` whose key one of the `earlier` parts has: `ro` or `cache=` twice.
Result<> check_new(std::string_view text, std::span<const std::string> earlier,
                   std::string_view part) {
    const auto key_of = [](std::string_view each) { return each.substr(0, each.find('=')); };
    if (std::ranges::find(earlier, key_of(part), key_of) != earlier.end())
        return fail("'{}' has {} twice; leave one out", text, key_of(part));
    return {};
}

template <class T>
Result<T> with_range(Result<T> parsed, std::string_view least, std::string_view most) {
    if (!parsed) return fail("{}; give {} to {}", parsed.error().message, least, most);
    return parsed;
}

/// What disks and pmems share; false where `part` is nothing of that.
template <class T>
Result<bool> parse_file_part(std::string_view part, T& target) {
    if (part == "ro") {
        target.read_only = true;
    } else if (part.starts_with("iops=")) {
        target.iops = TRY(parse_number(part.substr(5)));
    } else if (part.starts_with("bps=")) {
        target.bps = TRY(parse_size(part.substr(4)));
    } else {
        return false;
    }
    return true;
}

Result<uint32_t> parse_between(std::string_view text, uint32_t least, uint32_t most) {
    return with_range(parse_number(text), std::to_string(least), std::to_string(most));
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
    uint64_t number = 0;
    const char* const begin = std::to_address(text.begin());
    const char* const end = begin + text.size();
    const auto [rest, error] = std::from_chars(begin, end, number);
    if (error == std::errc::result_out_of_range) return fail("'{}' is too large", text);
    const bool suffixed = end - rest == 1 && suffix_shift(*rest) > 0;
    if (error != std::errc{} || (rest != end && !suffixed))
        return fail("'{}' is not a size, bytes or a number with K, M, G or T, like 256M", text);
    if (!suffixed) return number;
    const auto shift = static_cast<unsigned>(suffix_shift(*rest));
    if (number > (UINT64_MAX >> shift)) return fail("'{}' is too large", text);
    return number << shift;
}

Result<uint32_t> parse_number(std::string_view text) {
    uint32_t number = 0;
    const char* const begin = std::to_address(text.begin());
    const char* const end = begin + text.size();
    const auto [rest, error] = std::from_chars(begin, end, number);
    if (error == std::errc::result_out_of_range) return fail("'{}' is too large", text);
    if (error != std::errc{} || rest != end) return fail("'{}' is not a whole number", text);
    return number;
}

Result<uint64_t> parse_memory(std::string_view text) {
    return with_range(parse_size(text), format_size(kMinMemory), format_size(kMaxMemory));
}

Result<uint32_t> parse_cpus(std::string_view text) {
    return parse_between(text, 1, kMaxCpus);
}

Result<uint32_t> parse_cid(std::string_view text) {
    return parse_between(text, kMinCid, kMaxCid);
}

Result<uint32_t> parse_connections(std::string_view text) {
    return parse_between(text, 1, kMaxVsockConnections);
}

Result<uint32_t> parse_mtu(std::string_view text) {
    return parse_between(text, kMinMtu, kMaxMtu);
}

Result<uint32_t> parse_fd(std::string_view text) {
    return parse_between(text, kMinHandedFd, kMaxHandedFd);
}

Result<uint32_t> parse_grace(std::string_view text) {
    return parse_between(text, 0, kMaxGraceSeconds);
}

Result<CacheMode> parse_cache_mode(std::string_view text) {
    if (text == "writeback") return CacheMode::writeback;
    if (text == "unsafe") return CacheMode::unsafe;
    if (text == "direct") return CacheMode::direct;
    return fail("cache mode '{}' is unknown; there are writeback, unsafe and direct", text);
}

Result<DiskConfig> parse_disk(std::string_view text) {
    const std::vector<std::string> parts = split_at_commas(text);
    DiskConfig disk;
    if (parts[0].starts_with("socket="))
        disk.socket = parts[0].substr(7);
    else
        disk.path = parts[0];
    if (disk.path.empty() && disk.socket.empty())
        return fail(
            "'{}' names no file; give PATH[,ro][,cache=MODE][,iops=N][,bps=SIZE][,own_worker], or "
            "socket=PATH",
            text);
    for (size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        TRY(check_new(text, std::span(parts).subspan(1, i - 1), part));
        if (TRY(parse_file_part(part, disk))) continue;
        if (part.starts_with("cache=")) {
            disk.cache = TRY(parse_cache_mode(part.substr(6)));
        } else if (part == "own_worker") {
            disk.own_worker = true;
        } else {
            return fail(
                "'{}' has the unknown part '{}'; known are ro, cache=MODE, iops=N, bps=SIZE and "
                "own_worker (a comma in the path is written twice)",
                text, part);
        }
    }
    return disk;
}

Result<PmemConfig> parse_pmem(std::string_view text) {
    const std::vector<std::string> parts = split_at_commas(text);
    PmemConfig pmem{.path = parts[0]};
    if (pmem.path.empty())
        return fail("'{}' names no file; give PATH[,ro][,iops=N][,bps=SIZE]", text);
    for (size_t i = 1; i < parts.size(); ++i) {
        TRY(check_new(text, std::span(parts).subspan(1, i - 1), parts[i]));
        if (TRY(parse_file_part(parts[i], pmem))) continue;
        return fail(
            "'{}' has the unknown part '{}'; known are ro, iops=N and bps=SIZE (a comma in the "
            "path is written twice)",
            text, parts[i]);
    }
    return pmem;
}

Result<MacAddress> parse_mac(std::string_view text) {
    MacAddress mac{};
    bool right = text.size() == mac.size() * 3 - 1;
    for (size_t i = 0; right && i < mac.size(); ++i) {
        const char* const digits = text.data() + i * 3;
        const auto [rest, error] = std::from_chars(digits, digits + 2, mac[i], 16);
        right = error == std::errc{} && rest == digits + 2;
        if (i + 1 < mac.size()) right = right && digits[2] == ':';
    }
    if (!right) return fail("'{}' is no MAC address; give one like 52:54:00:12:34:56", text);
    return mac;
}

namespace {

/// `pps=N` or `bps=SIZE`; false where it is neither.
Result<bool> take_limit(std::string_view part, FrameLimits& limits) {
    if (part.starts_with("pps="))
        limits.pps = TRY(parse_number(part.substr(4)));
    else if (part.starts_with("bps="))
        limits.bps = TRY(parse_size(part.substr(4)));
    else
        return false;
    return true;
}

Result<bool> take_nic_part(std::string_view part, NicConfig& nic) {
    if (part.starts_with("rx_")) return take_limit(part.substr(3), nic.rx);
    if (part.starts_with("tx_")) return take_limit(part.substr(3), nic.tx);
    if (part == "auto")
        nic.automatic = true;
    else if (part == "user")
        nic.user = true;
    else if (part == "own_worker")
        nic.own_worker = true;
    else if (part.starts_with("tap="))
        nic.tap = part.substr(4);
    else if (part.starts_with("fd="))
        nic.fd = TRY(parse_fd(part.substr(3)));
    else if (part.starts_with("mac="))
        nic.mac = TRY(parse_mac(part.substr(4)));
    else if (part.starts_with("mtu="))
        nic.mtu = TRY(parse_mtu(part.substr(4)));
    else
        return false;
    return true;
}

}  // namespace

Result<NicConfig> parse_nic(std::string_view text) {
    NicConfig nic;
    const std::vector<std::string> parts = split_at_commas(text);
    for (size_t i = 0; i < parts.size(); ++i) {
        TRY(check_new(text, std::span(parts).first(i), parts[i]));
        if (!TRY(take_nic_part(parts[i], nic)))
            return fail(
                "'{}' has the unknown part '{}'; known are auto, tap=NAME, user, fd=N, mac=MAC, "
                "mtu=N, rx_pps=N, rx_bps=SIZE, tx_pps=N, tx_bps=SIZE and own_worker",
                text, parts[i]);
    }
    if (nic.tap.empty() && !nic.automatic && !nic.user && !nic.fd)
        return fail(
            "'{}' names no network; give auto, tap=NAME, user or fd=N, and then "
            "[,mac=MAC][,mtu=N]",
            text);
    return nic;
}

Result<VsockConfig> parse_vsock(std::string_view text) {
    VsockConfig vsock;
    const std::vector<std::string> parts = split_at_commas(text);
    for (size_t i = 0; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        TRY(check_new(text, std::span(parts).first(i), part));
        if (part.starts_with("cid=")) {
            vsock.cid = TRY(parse_cid(part.substr(4)));
        } else if (part.starts_with("path=")) {
            vsock.path = part.substr(5);
        } else if (part.starts_with("connections=")) {
            vsock.connections = TRY(parse_connections(part.substr(12)));
        } else if (part == "own_worker") {
            vsock.own_worker = true;
        } else {
            return fail(
                "'{}' has the unknown part '{}'; known are cid=N, path=PATH, connections=N and "
                "own_worker",
                text, part);
        }
    }
    if (vsock.path.empty()) return fail("'{}' names no socket; give path=PATH[,cid=N]", text);
    return vsock;
}

Result<HotplugMemoryConfig> parse_hotplug_memory(std::string_view text) {
    HotplugMemoryConfig memory;
    const std::vector<std::string> parts = split_at_commas(text);
    for (size_t i = 0; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        TRY(check_new(text, std::span(parts).first(i), part));
        if (part.starts_with("total="))
            memory.total_bytes = TRY(parse_size(part.substr(6)));
        else if (part.starts_with("requested="))
            memory.requested_bytes = TRY(parse_size(part.substr(10)));
        else if (part.starts_with("block="))
            memory.block_bytes = TRY(parse_size(part.substr(6)));
        else if (part.starts_with("slot="))
            memory.slot_bytes = TRY(parse_size(part.substr(5)));
        else
            return fail(
                "'{}' has the unknown part '{}'; known are total=SIZE, requested=SIZE, block=SIZE "
                "and slot=SIZE",
                text, part);
    }
    return memory;
}

Result<ConsoleConfig> parse_console(std::string_view text) {
    if (text == "tty") return ConsoleConfig{};
    if (text == "off") return ConsoleConfig{.kind = ConsoleKind::off};
    for (const auto& [prefix, kind] :
         {std::pair{std::string_view("file:"), ConsoleKind::file},
          std::pair{std::string_view("unix:"), ConsoleKind::unix_socket}}) {
        if (!text.starts_with(prefix)) continue;
        const std::string_view path = text.substr(prefix.size());
        if (path.empty()) return fail("'{}' lacks the path behind the colon", text);
        return ConsoleConfig{.kind = kind, .path = std::string(path)};
    }
    return fail("'{}' is unknown; there are tty, off, file:PATH and unix:PATH", text);
}

std::string format_size(uint64_t bytes) {
    static constexpr std::array<char, 4> kSuffixes{'T', 'G', 'M', 'K'};
    for (size_t i = 0; i < kSuffixes.size(); ++i) {
        const uint64_t unit = uint64_t{1} << (40U - 10U * i);
        if (bytes >= unit && bytes % unit == 0)
            return fmt::format("{}{}", bytes / unit, kSuffixes[i]);
    }
    return fmt::format("{} bytes", bytes);
}

}  // namespace mote
