#include "control/config_file.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

#include "control/config_keys.h"
#include "control/nearest.h"
#include "control/open_file.h"
#include "control/options.h"

#define JSON_NO_IO 1
#include <nlohmann/json.hpp>

namespace mote {

namespace {

using namespace config_keys;

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
