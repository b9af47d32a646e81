#include "control/validate.h"

#include <functional>

#include "catch.h"

using namespace mote;
using Catch::Matchers::StartsWith;

namespace {

MachineConfig good() {
    MachineConfig config;
    config.kernel = "vmlinux";
    return config;
}

/// The error that a change of a good configuration draws, or "" for none.
std::string error_of(const std::function<void(MachineConfig&)>& change) {
    MachineConfig config = good();
    change(config);
    const auto valid = validate(std::move(config));
    return valid ? "" : valid.error().message;
}

}  // namespace

TEST_CASE("validate passes a good configuration through", "[control]") {
    MachineConfig config = good();
    config.name = "web-1.a_b";
    config.disks = {{.path = "a"}, {.path = "b", .read_only = true}};
    config.cpus = 32;
    const auto valid = validate(config);
    REQUIRE(valid);
    CHECK((*valid)->name == "web-1.a_b");
    CHECK((*valid)->disks.size() == 2);
    CHECK((*valid)->cpus == 32);
}

TEST_CASE("validate names the field, the value and the rule", "[control]") {
    CHECK(error_of([](auto& c) { c.kernel.clear(); }) ==
          "kernel: none is given; use --kernel FILE, or \"kernel\" in the config file");
    CHECK(error_of([](auto& c) { c.cpus = 0; }) == "cpus: 0 is not possible; give 1 to 32");
    CHECK(error_of([](auto& c) { c.cpus = 33; }) == "cpus: 33 is not possible; give 1 to 32");
    CHECK(error_of([](auto& c) { c.memory_bytes = 0; }) ==
          "memory: 0 bytes is not possible; give 2M to 4T");
    CHECK(error_of([](auto& c) { c.memory_bytes = UINT64_MAX; }) ==
          "memory: 18446744073709551615 bytes is not possible; give 2M to 4T");
    CHECK(error_of([](auto& c) { c.memory_bytes = (2U << 20U) + 1; }) ==
          "memory: 2097153 bytes is not a multiple of the page size, 4K");
    CHECK(error_of([](auto& c) { c.grace_seconds = 3601; }) ==
          "grace_seconds: 3601 is too long; give 0 to 3600");
    CHECK(error_of([](auto& c) { c.cmdline = "a\nb"; }) ==
          "cmdline: byte 1 is a control character (0x0a); leave it out");
    CHECK(error_of([](auto& c) { c.cmdline = std::string(2048, 'a'); }) ==
          "cmdline: 2048 bytes are too many, the limit is 2047 with mote's own; shorten it");
    CHECK(error_of([](auto& c) { c.cmdline = std::string(2047, 'a'); }).empty());
}

TEST_CASE("validate checks names", "[control]") {
    for (const std::string& name : {std::string(), std::string("a b"), std::string("ä"),
                                    std::string("a/b"), std::string(65, 'a')}) {
        INFO(name);
        CHECK_FALSE(error_of([&](auto& c) { c.name = name; }).empty());
    }
    CHECK(error_of([](auto& c) { c.name = std::string(64, 'a'); }).empty());
}

TEST_CASE("validate checks paths", "[control]") {
    CHECK(error_of([](auto& c) { c.initrd = ""; }) ==
          "initrd: the path is empty; give that of a file");
    CHECK(error_of([](auto& c) { c.kernel = std::string("a\0b", 3); }) ==
          "kernel: the path holds a zero byte");
    CHECK(error_of([](auto& c) { c.disks = {{.path = "a"}, {.path = ""}}; }) ==
          "disk1: the path is empty; give that of a file");
    const ConsoleConfig long_socket{.kind = ConsoleKind::unix_socket,
                                    .path = std::string(108, 'a')};
    CHECK(error_of([&](auto& c) { c.console = long_socket; }) ==
          "console: the path has 108 bytes, at most 107 are possible");
    const ConsoleConfig no_file{.kind = ConsoleKind::file, .path = ""};
    CHECK_FALSE(error_of([&](auto& c) { c.console = no_file; }).empty());
    CHECK_THAT(error_of([&](auto& c) { c.virtio_console = long_socket; }),
               StartsWith("virtio_console: the path has 108 bytes"));
    CHECK_THAT(error_of([&](auto& c) { c.virtio_console = ConsoleConfig{}; }),
               StartsWith("virtio_console: the terminal is the console's already"));
    CHECK(error_of([&](auto& c) {
              c.virtio_console = ConsoleConfig{};
              c.console.kind = ConsoleKind::off;
          }).empty());
    CHECK(error_of([&](auto& c) {
              c.console = {.kind = ConsoleKind::file, .path = "one", .size = {}};
              c.virtio_console = c.console;
          }) == "virtio_console: one is the console's path already; give another");
}

TEST_CASE("validate refuses limits that let nothing through", "[control]") {
    const auto with = [](const DiskConfig& disk) {
        return error_of([&](auto& c) { c.disks = {disk}; });
    };
    CHECK(with({.path = "a", .iops = 1U, .bps = uint64_t{1}}).empty());
    CHECK(with({.path = "a", .iops = 0U}) ==
          "disk0: iops of 0 would let nothing through; leave it out for no limit");
    CHECK(with({.path = "a", .bps = uint64_t{0}}) ==
          "disk0: bps of 0 would let nothing through; leave it out for no limit");
}

TEST_CASE("validate takes a disk's socket, and nothing beside it", "[control]") {
    const auto with = [](const DiskConfig& disk) {
        return error_of([&](auto& c) { c.disks = {disk}; });
    };
    CHECK(with({.socket = "/run/b.sock"}).empty());
    CHECK(with({.path = "a", .socket = "b"}) == "disk0: has a path and a socket; give one");
    CHECK(with({.socket = std::string(108, 'a')}) ==
          "disk0: the path has 108 bytes, at most 107 are possible");
    const std::string beside =
        "disk0: ro, cache, iops, bps and own_worker are not for a disk with a socket; ask its back "
        "end for them";
    CHECK(with({.socket = "b", .read_only = true}) == beside);
    CHECK(with({.socket = "b", .cache = CacheMode::writeback}) == beside);
    CHECK(with({.socket = "b", .iops = 5U}) == beside);
    CHECK(with({.socket = "b", .bps = uint64_t{5}}) == beside);
    CHECK(with({.socket = "b", .own_worker = true}) == beside);
}

TEST_CASE("validate limits the devices to what the machine has room for", "[control]") {
    const std::vector<DiskConfig> sixteen(16, DiskConfig{.path = "a"});
    const std::vector<DiskConfig> eighteen(18, DiskConfig{.path = "a"});
    const std::vector<DiskConfig> nineteen(19, DiskConfig{.path = "a"});
    CHECK(error_of([&](auto& c) { c.disks = sixteen; }).empty());
    CHECK(error_of([&](auto& c) { c.disks = eighteen; }) ==
          "disks: 18 are too many, at most 16 are possible beside the other devices");
    const auto without_others = [&](auto& disks) {
        return error_of([&](auto& c) {
            c.disks = disks;
            c.entropy = c.balloon = false;
        });
    };
    CHECK(without_others(eighteen).empty());
    CHECK(without_others(nineteen) == "disks: 19 are too many, at most 18 are possible");
    const auto with_nics = [&](size_t disks, size_t nics) {
        return error_of([&](auto& c) {
            c.disks.assign(disks, {.path = "a"});
            for (size_t i = 0; i < nics; ++i)
                c.nics.push_back({.tap = fmt::format("tap{}", i)});
        });
    };
    CHECK(with_nics(8, 8).empty());
    CHECK(with_nics(9, 8) ==
          "disks: 9 are too many, at most 8 are possible beside the other devices");
    const auto with_pmems = [&](size_t count, PmemConfig pmem) {
        return error_of([&](MachineConfig& c) { c.pmems.assign(count, pmem); });
    };
    CHECK(with_pmems(4, {.path = "a"}).empty());
    CHECK(with_pmems(5, {.path = "a"}) == "pmem: 5 are too many, at most 4 are possible");
    CHECK(with_pmems(1, {}) == "pmem0: the path is empty; give that of a file");
    CHECK(with_pmems(1, {.path = "a", .iops = 0}) ==
          "pmem0: iops of 0 would let nothing through; leave it out for no limit");
    CHECK(with_nics(0, 9) == "net: 9 network devices are too many, at most 8 are possible");
}

TEST_CASE("validate checks memory to be plugged", "[control]") {
    constexpr uint64_t kMiB = uint64_t{1} << 20U;
    const auto with = [](const HotplugMemoryConfig& memory) {
        return error_of([&](MachineConfig& c) { c.hotplug_memory = memory; });
    };
    CHECK(with({.total_bytes = 128 * kMiB}).empty());
    CHECK(with({.total_bytes = 768 * kMiB,
                .requested_bytes = 768 * kMiB,
                .block_bytes = 128 * kMiB,
                .slot_bytes = 384 * kMiB})
              .empty());
    CHECK(with({}) ==
          "hotplug_memory: a total of 0 bytes is not possible; give a multiple of 128M up to 4T");
    CHECK(with({.total_bytes = 192 * kMiB}) ==
          "hotplug_memory: a total of 192M is not possible; give a multiple of 128M up to 4T");
    CHECK_FALSE(with({.total_bytes = kMaxMemory + 128 * kMiB}).empty());
    for (const uint64_t block : {uint64_t{0}, kMiB, 3 * kMiB, 2 * kMiB + 1})
        CHECK(with({.total_bytes = 128 * kMiB, .block_bytes = block})
                  .ends_with("are not possible; give a power of two from 2M"));
    CHECK(with({.total_bytes = 128 * kMiB, .slot_bytes = 64 * kMiB}) ==
          "hotplug_memory: slots of 64M are not possible; give a multiple of 2M from 128M");
    CHECK_FALSE(with({.total_bytes = 129 * kMiB, .slot_bytes = 129 * kMiB}).empty());
    CHECK_FALSE(with({.total_bytes = 256 * kMiB, .slot_bytes = 0}).empty());
    CHECK(with({.total_bytes = 128 * kMiB, .requested_bytes = kMiB}) ==
          "hotplug_memory: 1M cannot be requested; give a multiple of 2M up to 128M");
    CHECK_FALSE(with({.total_bytes = 128 * kMiB, .requested_bytes = 130 * kMiB}).empty());
    // Who serves a disk has all memory that there ever will be.
    CHECK(error_of([](MachineConfig& c) {
              c.hotplug_memory = HotplugMemoryConfig{.total_bytes = uint64_t{128} << 20U};
              c.disks = {{.socket = "b"}};
          }) ==
          "hotplug_memory: not beside a disk with a socket, whose back end would reach what is "
          "not plugged; leave one out");
}

TEST_CASE("validate checks network devices", "[control]") {
    const auto with = [](const NicConfig& nic) {
        return error_of([&](auto& c) { c.nics = {{.tap = "tap0"}, nic}; });
    };
    CHECK(with({.tap = "a2345678901234\xC3", .mac = {{0x52, 0, 0, 0, 0, 0}}, .mtu = 68U}).empty());
    CHECK(with({.tap = "t", .mtu = 65535U}).empty());
    CHECK(with({}) == "net1: has none of auto, tap, user and fd; give one");
    for (const char* name : {"1234567890123456", "a b", "a/b", "a:b", "a%d", "a\n"})
        CHECK(with({.tap = name}).find("is no name of a network device") != std::string::npos);
    CHECK(with({.tap = "tap0"}) == "net1: the TAP tap0 is that of net0 already; give another");
    CHECK(with({.user = true}).empty());
    CHECK(with({.tap = "t", .user = true}) ==
          "net1: has several of auto, tap, user and fd; give one");
    CHECK_FALSE(with({.automatic = true, .user = true}).empty());
    CHECK_FALSE(with({.automatic = true, .fd = 3U}).empty());
    CHECK(with({.automatic = true}).empty());
    CHECK(with({.fd = 3U}).empty());
    CHECK(with({.fd = 2U}) == "net1: a file descriptor 2 cannot be handed over; give 3 to 1048575");
    CHECK(error_of([](auto& c) { c.nics = {{.fd = 5U}, {.fd = 5U}}; }) ==
          "net1: the file descriptor 5 is that of net0 already; give another");
    CHECK(error_of([](auto& c) { c.nics = {{.automatic = true}, {.automatic = true}}; }).empty());
    // DHCP's answers have to fit.
    CHECK(with({.automatic = true, .mtu = 575U}) ==
          "net1: an MTU of 575 is not possible; give 576 to 65535");
    CHECK(with({.tap = "t", .rx = {.pps = 1U, .bps = 1U}, .tx = {.pps = 1U, .bps = 1U}}).empty());
    CHECK(with({.tap = "t", .rx = {.pps = 0U}}) ==
          "net1: rx_pps of 0 would let nothing through; leave it out for no limit");
    CHECK(with({.tap = "t", .tx = {.bps = 0U}}) ==
          "net1: tx_bps of 0 would let nothing through; leave it out for no limit");
    CHECK(with({.tap = "t", .mac = {{0x53, 0, 0, 0, 0, 1}}}).find("is one of a group") !=
          std::string::npos);
    CHECK(with({.tap = "t", .mac = {{0, 0, 0, 0, 0, 0}}}).find("zeros") != std::string::npos);
    CHECK(with({.tap = "t", .mtu = 67U}) == "net1: an MTU of 67 is not possible; give 68 to 65535");
    CHECK_FALSE(with({.tap = "t", .mtu = 65536U}).empty());
}

TEST_CASE("validate checks the vsock device", "[control]") {
    const auto with = [](uint32_t cid, const std::string& path, uint32_t connections) {
        return error_of([&](auto& c) {
            c.vsock = VsockConfig{.cid = cid, .path = path, .connections = connections};
        });
    };
    CHECK(with(3, std::string(96, 'a'), 1023).empty());
    CHECK(with(UINT32_MAX - 1, "a", 1).empty());
    CHECK(with(2, "a", 1) == "vsock: a cid of 2 is not possible; give 3 to 4294967294");
    CHECK_FALSE(with(UINT32_MAX, "a", 1).empty());
    CHECK(with(3, "a", 0) == "vsock: 0 connections are not possible; give 1 to 8191");
    CHECK_FALSE(with(3, "a", 8192).empty());
    CHECK(with(3, "", 1) == "vsock: the path is empty; give that of a file");
    // "_" and a port have to fit behind it.
    CHECK(with(3, std::string(97, 'a'), 1) ==
          "vsock: the path has 97 bytes, at most 96 are possible");
    CHECK_FALSE(error_of([](auto& c) {
                    c.vsock = VsockConfig{.path = "a"};
                    c.disks = std::vector<DiskConfig>(17, DiskConfig{.path = "a"});
                }).empty());
}
