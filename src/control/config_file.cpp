#include "control/config_file.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <memory>
#include <variant>
#include <vector>

#include "control/nearest.h"
#include "control/open_file.h"
#include "control/options.h"

#define JSON_NO_IO 1
#include <nlohmann/json.hpp>

namespace mote {

namespace {

/// A number that is no unsigned 64-bit integer: its text.
struct OtherNumber {
    std::string text;
};
using Value = std::variant<std::nullptr_t, bool, uint64_t, OtherNumber, std::string>;

std::string_view type_name(const Value& value) {
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

Result<std::string> take_string(Value&& value) {
    return take<std::string>(std::move(value), "a string");
}

Result<bool> take_bool(Value&& value) {
    return take<bool>(std::move(value), "true or false");
}

/// A number as it would be typed; empty where it is none.
std::string number_text(const Value& value) {
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

Result<CacheMode> take_cache(Value&& value) {
    return parse_cache_mode(TRY(take_string(std::move(value))));
}

Result<ConsoleConfig> take_console(Value&& value) {
    return parse_console(TRY(take_string(std::move(value))));
}

Result<std::optional<MacAddress>> take_mac(Value&& value) {
    const std::string text = TRY(take_string(std::move(value)));
    return std::optional(TRY(parse_mac(text)));
}

Result<std::optional<uint32_t>> take_mtu(Value&& value) {
    return std::optional(TRY(take_number<parse_mtu>(std::move(value))));
}

// For keys whose value is no scalar: start_array() takes it, any other value comes here.
Result<> refuse_scalar(MachineConfig& /*config*/, Value&& value) {
    return fail("must be a list of objects, not {}", type_name(value));
}

Result<> refuse_for_object(MachineConfig& /*config*/, Value&& value) {
    return fail("must be an object, not {}", type_name(value));
}

using Config = MachineConfig;
constexpr std::string_view kDisksKey = "disks";
constexpr std::string_view kNicsKey = "net";
constexpr std::string_view kPmemsKey = "pmem";
constexpr std::string_view kVsockKey = "vsock";
constexpr std::string_view kHotplugKey = "hotplug_memory";
constexpr std::array<Key<Config>, 18> kMachineKeys{{
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
constexpr std::array<Key<DiskConfig>, 6> kDiskKeys{{
    {"path", set_field<&DiskConfig::path, take_string>},
    {"socket", set_field<&DiskConfig::socket, take_string>},
    {"read_only", set_field<&DiskConfig::read_only, take_bool>},
    {"cache", set_field<&DiskConfig::cache, take_cache>},
    {"iops", set_field<&DiskConfig::iops, take_number<parse_number>>},
    {"bps", set_field<&DiskConfig::bps, take_size<parse_size>>},
    {"own_worker", set_field<&DiskConfig::own_worker, take_bool>},
}};

constexpr std::array<Key<NicConfig>, 11> kNicKeys{{
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

constexpr std::array<Key<PmemConfig>, 4> kPmemKeys{{
    {"path", set_field<&PmemConfig::path, take_string>},
    {"read_only", set_field<&PmemConfig::read_only, take_bool>},
    {"iops", set_field<&PmemConfig::iops, take_number<parse_number>>},
    {"bps", set_field<&PmemConfig::bps, take_size<parse_size>>},
}};

constexpr std::array<Key<VsockConfig>, 4> kVsockKeys{{
    {"cid", set_field<&VsockConfig::cid, take_number<parse_cid>>},
    {"path", set_field<&VsockConfig::path, take_string>},
    {"connections", set_field<&VsockConfig::connections, take_number<parse_connections>>},
    {"own_worker", set_field<&VsockConfig::own_worker, take_bool>},
}};

using Hotplug = HotplugMemoryConfig;
constexpr std::array<Key<Hotplug>, 4> kHotplugKeys{{
    {"total", set_field<&Hotplug::total_bytes, take_size<parse_size>>},
    {"requested", set_field<&Hotplug::requested_bytes, take_size<parse_size>>},
    {"block", set_field<&Hotplug::block_bytes, take_size<parse_size>>},
    {"slot", set_field<&Hotplug::slot_bytes, take_size<parse_size>>},
}};

/// Which keys of one object have been seen, and which of them awaits its value.
template <class Target, size_t N>
class ObjectReader {
  public:
    explicit constexpr ObjectReader(const std::array<Key<Target>, N>& keys) : keys_(keys) {}

    /// A new object of the same keys begins.
    void begin() { seen_.fill(false); }

    Result<> key(std::string_view name) {
        const auto found = std::ranges::find(keys_, name, &Key<Target>::name);
        if (found == keys_.end()) return unknown(name);
        current_ = static_cast<size_t>(found - keys_.begin());
        if (seen_[current_]) return fail("is given twice; leave one out");
        seen_[current_] = true;
        return {};
    }

    Result<> value(Target& target, Value&& value) const {
        return keys_[current_].set(target, std::move(value));
    }

    [[nodiscard]] std::string_view current() const { return keys_[current_].name; }

  private:
    Result<> unknown(std::string_view name) const {
        std::array<std::string_view, N> names;
        std::ranges::transform(keys_, names.begin(), &Key<Target>::name);
        const std::string_view close = nearest(name, names);
        if (!close.empty()) return fail("is unknown; did you mean '{}'?", close);
        return fail("is unknown; known are {}", fmt::join(names, ", "));
    }

    const std::array<Key<Target>, N>& keys_;
    std::array<bool, N> seen_{};
    size_t current_ = 0;
};

/// Receives the parser's events. Only the shapes below are followed, so depth needs no limit of
/// its own: { ..., "disks": [ { ... }, ... ], ... }, "net" and "pmem" alike; "vsock" and
/// "hotplug_memory" are objects of their own.
class Handler {
  public:
    explicit Handler(const size_t& line) : line_(line) {}

    bool null() { return scalar(nullptr); }
    bool boolean(bool value) { return scalar(value); }
    bool number_unsigned(uint64_t value) { return scalar(value); }
    bool number_integer(int64_t value) { return scalar(OtherNumber{std::to_string(value)}); }
    bool number_float(double /*value*/, const std::string& text) {
        constexpr size_t kShown = 40;
        return scalar(OtherNumber{text.size() <= kShown ? text : text.substr(0, kShown) + "..."});
    }
    bool string(std::string& value) { return scalar(std::move(value)); }
    // Never called for JSON text; the parser's interface has it.
    bool binary(nlohmann::json::binary_t& /*value*/) { return false; }

    bool start_object(size_t /*size*/) {
        if (place_ == Place::outside) {
            place_ = Place::machine;
            return true;
        }
        if (place_ == Place::disks) {
            place_ = Place::disk;
            disk_keys_.begin();
            config_.disks.emplace_back();
            return true;
        }
        if (place_ == Place::nics) {
            place_ = Place::nic;
            nic_keys_.begin();
            config_.nics.emplace_back();
            return true;
        }
        if (place_ == Place::pmems) {
            place_ = Place::pmem;
            pmem_keys_.begin();
            config_.pmems.emplace_back();
            return true;
        }
        if (place_ == Place::machine && machine_keys_.current() == kVsockKey) {
            place_ = Place::vsock;
            config_.vsock.emplace();
            return true;
        }
        if (place_ == Place::machine && machine_keys_.current() == kHotplugKey) {
            place_ = Place::hotplug;
            config_.hotplug_memory.emplace();
            return true;
        }
        return wrong_shape("an object");
    }

    bool key(std::string& name) {
        key_line_ = line_;
        const Result<> result = place_ == Place::disk      ? disk_keys_.key(name)
                                : place_ == Place::nic     ? nic_keys_.key(name)
                                : place_ == Place::pmem    ? pmem_keys_.key(name)
                                : place_ == Place::vsock   ? vsock_keys_.key(name)
                                : place_ == Place::hotplug ? hotplug_keys_.key(name)
                                                           : machine_keys_.key(name);
        return result ? true : refuse(full_key(name), result.error().message);
    }

    bool end_object() {
        place_ = place_ == Place::disk                                ? Place::disks
                 : place_ == Place::nic                               ? Place::nics
                 : place_ == Place::pmem                              ? Place::pmems
                 : place_ == Place::vsock || place_ == Place::hotplug ? Place::machine
                                                                      : Place::outside;
        return true;
    }

    bool start_array(size_t /*size*/) {
        const std::string_view key =
            place_ == Place::machine ? machine_keys_.current() : std::string_view();
        if (key == kDisksKey)
            place_ = Place::disks;
        else if (key == kNicsKey)
            place_ = Place::nics;
        else if (key == kPmemsKey)
            place_ = Place::pmems;
        else
            return wrong_shape("a list");
        return true;
    }

    bool end_array() {
        place_ = Place::machine;
        return true;
    }

    bool parse_error(size_t /*position*/, const std::string& /*last_token*/,
                     const nlohmann::json::exception& why) {
        // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
        std::string_view text = why.what();
        if (const size_t bracket = text.find("] "); bracket != std::string_view::npos)
            text.remove_prefix(bracket + 2);
        error_ = text;
        return false;
    }

    Result<MachineConfig> finish(bool complete) && {
        if (!complete) return std::unexpected(Error{std::move(error_)});
        return std::move(config_);
    }

  private:
    enum class Place : uint8_t {
        outside,
        machine,
        disks,
        disk,
        nics,
        nic,
        pmems,
        pmem,
        vsock,
        hotplug
    };

    bool scalar(Value value) {
        Result<> result;
        switch (place_) {
            case Place::outside:
            case Place::disks:
            case Place::nics:
            case Place::pmems:
                return wrong_shape(type_name(value));
            case Place::machine:
                result = machine_keys_.value(config_, std::move(value));
                break;
            case Place::disk:
                result = disk_keys_.value(config_.disks.back(), std::move(value));
                break;
            case Place::nic:
                result = nic_keys_.value(config_.nics.back(), std::move(value));
                break;
            case Place::pmem:
                result = pmem_keys_.value(config_.pmems.back(), std::move(value));
                break;
            case Place::vsock:
                result = vsock_keys_.value(*config_.vsock, std::move(value));
                break;
            case Place::hotplug:
                result = hotplug_keys_.value(*config_.hotplug_memory, std::move(value));
                break;
        }
        return result ? true : refuse(current_key(), result.error().message);
    }

    bool wrong_shape(std::string_view got) {
        if (place_ == Place::outside) {
            error_ = fmt::format("line {}: the file must hold one object, not {}", line_, got);
            return false;
        }
        if (place_ == Place::disks || place_ == Place::nics || place_ == Place::pmems) {
            key_line_ = line_;
            return refuse(machine_keys_.current(),
                          fmt::format("must be a list of objects, not of {}", got));
        }
        return refuse(current_key(), fmt::format("must not be {}", got));
    }

    bool refuse(std::string_view key, std::string_view why) {
        error_ = fmt::format("line {}: key '{}' {}", key_line_, key, why);
        return false;
    }

    [[nodiscard]] std::string current_key() const {
        if (place_ == Place::disk) return full_key(disk_keys_.current());
        if (place_ == Place::pmem) return full_key(pmem_keys_.current());
        if (place_ == Place::vsock) return full_key(vsock_keys_.current());
        if (place_ == Place::hotplug) return full_key(hotplug_keys_.current());
        return full_key(place_ == Place::nic ? nic_keys_.current() : machine_keys_.current());
    }

    /// `name` with the list and the number of the object it stands in.
    [[nodiscard]] std::string full_key(std::string_view name) const {
        if (place_ == Place::disk)
            return fmt::format("{}[{}].{}", kDisksKey, config_.disks.size() - 1, name);
        if (place_ == Place::nic)
            return fmt::format("{}[{}].{}", kNicsKey, config_.nics.size() - 1, name);
        if (place_ == Place::pmem)
            return fmt::format("{}[{}].{}", kPmemsKey, config_.pmems.size() - 1, name);
        if (place_ == Place::vsock) return fmt::format("{}.{}", kVsockKey, name);
        if (place_ == Place::hotplug) return fmt::format("{}.{}", kHotplugKey, name);
        return std::string(name);
    }

    const size_t& line_;  ///< of the character that the parser read last
    size_t key_line_ = 1;
    MachineConfig config_;
    std::string error_;
    Place place_ = Place::outside;
    ObjectReader<MachineConfig, kMachineKeys.size()> machine_keys_{kMachineKeys};
    ObjectReader<DiskConfig, kDiskKeys.size()> disk_keys_{kDiskKeys};
    ObjectReader<NicConfig, kNicKeys.size()> nic_keys_{kNicKeys};
    ObjectReader<PmemConfig, kPmemKeys.size()> pmem_keys_{kPmemKeys};
    ObjectReader<VsockConfig, kVsockKeys.size()> vsock_keys_{kVsockKeys};
    ObjectReader<Hotplug, kHotplugKeys.size()> hotplug_keys_{kHotplugKeys};
};

/// Hands the parser its characters and counts the lines it has passed.
class LineCounter {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    LineCounter(const char* at, size_t* line) : at_(at), line_(line) {}
    reference operator*() const { return *at_; }
    LineCounter& operator++() {
        if (*at_ == '\n') ++*line_;
        ++at_;
        return *this;
    }
    LineCounter operator++(int) {
        LineCounter before = *this;
        ++*this;
        return before;
    }
    bool operator==(const LineCounter& other) const { return at_ == other.at_; }

  private:
    const char* at_;
    size_t* line_;
};

Result<std::string> read_all(const std::string& path, int fd) {
    std::string text(kMaxConfigFile + 1, '\0');
    size_t used = 0;
    while (used < text.size()) {
        const ssize_t got = ::read(fd, text.data() + used, text.size() - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("config: cannot read {}", path);
        if (got == 0) break;
        used += static_cast<size_t>(got);
    }
    if (used > kMaxConfigFile)
        return fail("config: {} is larger than {}; give a JSON file of mote's", path,
                    format_size(kMaxConfigFile));
    text.resize(used);
    return text;
}

}  // namespace

Result<MachineConfig> parse_config(std::string_view json) {
    if (json.size() > kMaxConfigFile) return fail("larger than {}", format_size(kMaxConfigFile));
    size_t line = 1;
    Handler handler(line);
    const char* const begin = std::to_address(json.begin());
    const char* const end = begin + json.size();
    const bool complete =
        nlohmann::json::sax_parse(LineCounter(begin, &line), LineCounter(end, &line), &handler);
    return std::move(handler).finish(complete);
}

Result<MachineConfig> read_config_file(const std::string& path) {
    const OpenFile file = TRY(open_file("config", path, O_RDONLY, AlsoAccept::pipe));
    // A pipe may have its content still to come.
    ::fcntl(file.fd.get(), F_SETFL, O_RDONLY);
    const std::string text = TRY(read_all(path, file.fd.get()));
    if (text.empty()) return fail("config: {} is empty; it must hold a JSON object", path);
    Result<MachineConfig> config = parse_config(text);
    if (!config) return fail("config: {}: {}", path, config.error().message);
    return config;
}

}  // namespace mote
