// The keys of a config file, and what each of them takes; for config_file.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "control/machine_config.h"
#include "control/options.h"

namespace mote::config_keys {

/// A number that is no unsigned 64-bit integer: its text.
struct OtherNumber {
    std::string text;
};
using Value = std::variant<std::nullptr_t, bool, uint64_t, OtherNumber, std::string>;

inline std::string_view type_name(const Value& value) {
    static constexpr std::array<std::string_view, 5> kNames{"null", "true or false", "a number",
                                                            "a number", "a string"};
    return kNames[value.index()];
}

/// `value` as a T; `wanted` is the phrase for the error.
template <class T>
Result<T> take(Value&& value, std::string_view wanted) {
    if (T* held = std::get_if<T>(&value)) return std::move(*held);
    return fail("must be {}, not {}", wanted, type_name(value));
}

inline Result<std::string> take_string(Value&& value) {
    return take<std::string>(std::move(value), "a string");
}

inline Result<bool> take_bool(Value&& value) {
    return take<bool>(std::move(value), "true or false");
}

/// A number as it would be typed; empty where it is none.
inline std::string number_text(const Value& value) {
    if (const auto* number = std::get_if<uint64_t>(&value)) return std::to_string(*number);
    const auto* other = std::get_if<OtherNumber>(&value);
    return other != nullptr ? other->text : "";
}

/// A number by the option's own parser, which tells what is wrong with it and the range.
template <auto Parse>
Result<uint32_t> take_number(Value&& value) {
    const std::string text = number_text(value);
    if (text.empty()) return fail("must be a whole number, not {}", type_name(value));
    return Parse(text);
}

template <auto Parse>
Result<uint64_t> take_size(Value&& value) {
    std::string text = number_text(value);
    if (text.empty())
        text = TRY(take<std::string>(std::move(value), "a size: a string like \"256M\", or bytes"));
    return Parse(text);
}

/// A key of an object that fills a Target.
template <class Target>
struct Key {
    std::string_view name;
    Result<> (*set)(Target& target, Value&& value);
};

/// A setter that puts what `Take` reads into the member `Field`.
template <auto Field, auto Take, class Target>
Result<> set_field(Target& target, Value&& value) {
    target.*Field = TRY(Take(std::move(value)));
    return {};
}

/// The same for a member of the member `Way`.
template <auto Way, auto Field, auto Take>
Result<> set_limit(NicConfig& nic, Value&& value) {
    nic.*Way.*Field = TRY(Take(std::move(value)));
    return {};
}

inline Result<CacheMode> take_cache(Value&& value) {
    return parse_cache_mode(TRY(take_string(std::move(value))));
}

inline Result<ConsoleConfig> take_console(Value&& value) {
    return parse_console(TRY(take_string(std::move(value))));
}

inline Result<std::optional<MacAddress>> take_mac(Value&& value) {
    const std::string text = TRY(take_string(std::move(value)));
    return std::optional(TRY(parse_mac(text)));
}

inline Result<std::optional<uint32_t>> take_mtu(Value&& value) {
    return std::optional(TRY(take_number<parse_mtu>(std::move(value))));
}

// For keys whose value is no scalar: start_array() takes it, any other value comes here.
inline Result<> refuse_scalar(MachineConfig& /*config*/, Value&& value) {
    return fail("must be a list of objects, not {}", type_name(value));
}

inline Result<> refuse_for_object(MachineConfig& /*config*/, Value&& value) {
    return fail("must be an object, not {}", type_name(value));
}

using Config = MachineConfig;
inline constexpr std::string_view kDisksKey = "disks";
inline constexpr std::string_view kNicsKey = "net";
inline constexpr std::string_view kPmemsKey = "pmem";
inline constexpr std::string_view kVsockKey = "vsock";
inline constexpr std::string_view kHotplugKey = "hotplug_memory";
inline constexpr std::array<Key<Config>, 18> kMachineKeys{{
    {"name", set_field<&Config::name, take_string>},
    {"kernel", set_field<&Config::kernel, take_string>},
    {"initrd", set_field<&Config::initrd, take_string>},
    {"cmdline", set_field<&Config::cmdline, take_string>},
    {kDisksKey, refuse_scalar},
    {kNicsKey, refuse_scalar},
    {kPmemsKey, refuse_scalar},
    {kVsockKey, refuse_for_object},
    {"cpus", set_field<&Config::cpus, take_number<parse_cpus>>},
    {"memory", set_field<&Config::memory_bytes, take_size<parse_memory>>},
    {kHotplugKey, refuse_for_object},
    {"console", set_field<&Config::console, take_console>},
    {"virtio_console", set_field<&Config::virtio_console, take_console>},
    {"entropy", set_field<&Config::entropy, take_bool>},
    {"balloon", set_field<&Config::balloon, take_bool>},
    {"pvpanic", set_field<&Config::pvpanic, take_bool>},
    {"acpi", set_field<&Config::acpi, take_bool>},
    {"grace_seconds", set_field<&Config::grace_seconds, take_number<parse_grace>>},
}};
inline constexpr std::array<Key<DiskConfig>, 7> kDiskKeys{{
    {"path", set_field<&DiskConfig::path, take_string>},
    {"socket", set_field<&DiskConfig::socket, take_string>},
    {"read_only", set_field<&DiskConfig::read_only, take_bool>},
    {"cache", set_field<&DiskConfig::cache, take_cache>},
    {"iops", set_field<&DiskConfig::iops, take_number<parse_number>>},
    {"bps", set_field<&DiskConfig::bps, take_size<parse_size>>},
    {"own_worker", set_field<&DiskConfig::own_worker, take_bool>},
}};

inline constexpr std::array<Key<NicConfig>, 11> kNicKeys{{
    {"tap", set_field<&NicConfig::tap, take_string>},
    {"auto", set_field<&NicConfig::automatic, take_bool>},
    {"user", set_field<&NicConfig::user, take_bool>},
    {"fd", set_field<&NicConfig::fd, take_number<parse_fd>>},
    {"mac", set_field<&NicConfig::mac, take_mac>},
    {"mtu", set_field<&NicConfig::mtu, take_mtu>},
    {"rx_pps", set_limit<&NicConfig::rx, &FrameLimits::pps, take_number<parse_number>>},
    {"rx_bps", set_limit<&NicConfig::rx, &FrameLimits::bps, take_size<parse_size>>},
    {"tx_pps", set_limit<&NicConfig::tx, &FrameLimits::pps, take_number<parse_number>>},
    {"tx_bps", set_limit<&NicConfig::tx, &FrameLimits::bps, take_size<parse_size>>},
    {"own_worker", set_field<&NicConfig::own_worker, take_bool>},
}};

inline constexpr std::array<Key<PmemConfig>, 4> kPmemKeys{{
    {"path", set_field<&PmemConfig::path, take_string>},
    {"read_only", set_field<&PmemConfig::read_only, take_bool>},
    {"iops", set_field<&PmemConfig::iops, take_number<parse_number>>},
    {"bps", set_field<&PmemConfig::bps, take_size<parse_size>>},
}};

inline constexpr std::array<Key<VsockConfig>, 4> kVsockKeys{{
    {"cid", set_field<&VsockConfig::cid, take_number<parse_cid>>},
    {"path", set_field<&VsockConfig::path, take_string>},
    {"connections", set_field<&VsockConfig::connections, take_number<parse_connections>>},
    {"own_worker", set_field<&VsockConfig::own_worker, take_bool>},
}};

using Hotplug = HotplugMemoryConfig;
inline constexpr std::array<Key<Hotplug>, 4> kHotplugKeys{{
    {"total", set_field<&Hotplug::total_bytes, take_size<parse_size>>},
    {"requested", set_field<&Hotplug::requested_bytes, take_size<parse_size>>},
    {"block", set_field<&Hotplug::block_bytes, take_size<parse_size>>},
    {"slot", set_field<&Hotplug::slot_bytes, take_size<parse_size>>},
}};

}  // namespace mote::config_keys
