#include "control/config_file.h"

#include "catch.h"

using namespace mote;

namespace {

std::string error_of(std::string_view json) {
    const auto config = parse_config(json);
    return config ? "" : config.error().message;
}

}  // namespace

TEST_CASE("a config file sets every field", "[control]") {
    const auto config = parse_config(R"({
        "name": "web", "kernel": "/k", "initrd": "/i", "cmdline": "quiet",
        "disks": [
            {"path": "/a"},
            {"path": "/b,c", "read_only": true, "cache": "direct",
             "iops": 100, "bps": "2M"},
            {"socket": "/run/b.sock"}
        ],
        "net": [
            {"tap": "tap0"}, {"user": true},
            {"tap": "tap1", "mac": "52:54:00:00:00:01", "mtu": 9000}
        ],
        "pmem": [
            {"path": "/p"}, {"path": "/q", "read_only": true, "iops": 5, "bps": "3M"}
        ],
        "cpus": 4, "memory": "1G", "console": "file:/log",
        "entropy": false, "balloon": false, "pvpanic": false, "acpi": false, "grace_seconds": 0
    })");
    REQUIRE(config);
    CHECK(config->name == "web");
    CHECK(config->kernel == "/k");
    CHECK(config->initrd == "/i");
    CHECK(config->cmdline == "quiet");
    REQUIRE(config->disks.size() == 3);
    CHECK((config->disks[2].socket == "/run/b.sock" && config->disks[2].path.empty()));
    CHECK_FALSE(config->disks[0].cache);
    CHECK(config->disks[0].path == "/a");
    CHECK_FALSE(config->disks[0].read_only);
    CHECK(config->disks[1].path == "/b,c");
    CHECK(config->disks[1].read_only);
    CHECK(config->disks[1].cache == CacheMode::direct);
    CHECK(config->disks[1].iops == 100U);
    CHECK(config->disks[1].bps == uint64_t{2} << 20U);
    REQUIRE(config->pmems.size() == 2);
    CHECK(config->pmems[0].path == "/p");
    CHECK_FALSE(config->pmems[0].read_only);
    CHECK(config->pmems[1].read_only);
    CHECK(config->pmems[1].iops == 5U);
    CHECK(config->pmems[1].bps == uint64_t{3} << 20U);
    REQUIRE(config->nics.size() == 3);
    CHECK(config->nics[0].tap == "tap0");
    CHECK_FALSE(config->nics[0].mac);
    CHECK_FALSE(config->nics[0].user);
    CHECK(config->nics[1].user);
    CHECK(config->nics[2].mac == MacAddress{0x52, 0x54, 0, 0, 0, 1});
    CHECK(config->nics[2].mtu == 9000U);
    CHECK(config->cpus == 4);
    CHECK(config->memory_bytes == uint64_t{1} << 30U);
    CHECK(config->console.kind == ConsoleKind::file);
    CHECK(config->console.path == "/log");
    CHECK_FALSE(config->entropy);
    CHECK_FALSE(config->balloon);
    CHECK_FALSE(config->pvpanic);
    CHECK_FALSE(config->acpi);
    CHECK(config->grace_seconds == 0);
}

TEST_CASE("a config file sets memory to be plugged, a virtio console, and own workers",
          "[control]") {
    const auto config = parse_config(R"({
        "hotplug_memory": {"total": "2G", "requested": 268435456, "block": "4M", "slot": "256M"},
        "virtio_console": "unix:/run/hvc",
        "disks": [{"path": "a", "own_worker": true}, {"path": "b"}],
        "net": [{"user": true, "own_worker": true}], "vsock": {"path": "v", "own_worker": true}
    })");
    REQUIRE(config);
    REQUIRE(config->hotplug_memory);
    CHECK(config->hotplug_memory->total_bytes == uint64_t{2} << 30U);
    CHECK(config->hotplug_memory->requested_bytes == uint64_t{256} << 20U);
    CHECK(config->hotplug_memory->block_bytes == uint64_t{4} << 20U);
    CHECK(config->hotplug_memory->slot_bytes == uint64_t{256} << 20U);
    CHECK(config->virtio_console.kind == ConsoleKind::unix_socket);
    CHECK(config->virtio_console.path == "/run/hvc");
    CHECK((config->disks[0].own_worker && !config->disks[1].own_worker));
    CHECK((config->nics[0].own_worker && config->vsock->own_worker));
}

TEST_CASE("a config file sets a network device's kind and limits", "[control]") {
    const auto config = parse_config(R"({"net": [
        {"auto": true, "rx_pps": 10, "rx_bps": "1M", "tx_pps": 20, "tx_bps": 4096}, {"fd": 9}
    ]})");
    REQUIRE(config);
    REQUIRE(config->nics.size() == 2);
    CHECK(config->nics[0].automatic);
    CHECK(config->nics[0].rx.pps == 10U);
    CHECK(config->nics[0].rx.bps == uint64_t{1} << 20U);
    CHECK(config->nics[0].tx.pps == 20U);
    CHECK(config->nics[0].tx.bps == 4096U);
    CHECK(config->nics[1].fd == 9U);
    CHECK_FALSE(parse_config(R"({"net": [{"fd": "9"}]})"));
    CHECK_FALSE(parse_config(R"({"net": [{"rx_bps": true}]})"));
}

TEST_CASE("an empty object keeps every default", "[control]") {
    const auto config = parse_config("{}");
    REQUIRE(config);
    CHECK(config->memory_bytes == MachineConfig{}.memory_bytes);
    CHECK(config->name == MachineConfig{}.name);
    CHECK_FALSE(config->initrd);
    CHECK(parse_config(R"({"memory": 1048576})")->memory_bytes == 1048576);
    CHECK(parse_config(R"({"disks": []})")->disks.empty());
}

TEST_CASE("unknown keys are refused with the line and the nearest key", "[control]") {
    CHECK(error_of("{\n\"kernle\": \"x\"}") ==
          "line 2: key 'kernle' is unknown; did you mean 'kernel'?");
    CHECK(error_of("{\"disks\": [\n{\"path\": \"a\"},\n{\"readonly\": true}]}") ==
          "line 3: key 'disks[1].readonly' is unknown; did you mean 'read_only'?");
    CHECK(error_of(R"({"disks": [{"zzz": 1}]})") ==
          "line 1: key 'disks[0].zzz' is unknown; known are path, socket, read_only, cache, iops, "
          "bps, own_worker");
    CHECK_FALSE(error_of(R"({"": 1})").empty());
}

TEST_CASE("duplicate keys are refused", "[control]") {
    CHECK(error_of("{\"cpus\": 1,\n\n\"cpus\": 2}") ==
          "line 3: key 'cpus' is given twice; leave one out");
    CHECK(error_of(R"({"disks": [], "disks": []})") ==
          "line 1: key 'disks' is given twice; leave one out");
    CHECK(error_of(R"({"disks": [{"path": "a", "path": "b"}]})") ==
          "line 1: key 'disks[0].path' is given twice; leave one out");
    // The same key in two disks is no duplicate.
    CHECK(error_of(R"({"disks": [{"path": "a"}, {"path": "b"}]})").empty());
}

TEST_CASE("wrong types are refused", "[control]") {
    CHECK(error_of(R"({"cpus": "4"})") ==
          "line 1: key 'cpus' must be a whole number, not a string");
    CHECK(error_of(R"({"cpus": -1})") ==
          "line 1: key 'cpus' '-1' is not a whole number; give 1 to 32");
    CHECK(error_of(R"({"cpus": 1e1})") ==
          "line 1: key 'cpus' '1e1' is not a whole number; give 1 to 32");
    CHECK(error_of(R"({"memory": 99999999999999999999})") ==
          "line 1: key 'memory' '99999999999999999999' is too large; give 2M to 4T");
    CHECK(error_of(R"({"memory": 1.5})") ==
          "line 1: key 'memory' '1.5' is not a size, bytes or a number with K, M, G or T, like "
          "256M; give 2M to 4T");
    CHECK(error_of("{\"cpus\": 0." + std::string(100, '1') + "}") ==
          "line 1: key 'cpus' '0." + std::string(38, '1') +
              "...' is not a whole number; give 1 to 32");
    CHECK(error_of(R"({"cpus": 4294967296})") ==
          "line 1: key 'cpus' '4294967296' is too large; give 1 to 32");
    CHECK(error_of(R"({"kernel": null})") == "line 1: key 'kernel' must be a string, not null");
    CHECK(error_of(R"({"acpi": 1})") == "line 1: key 'acpi' must be true or false, not a number");
    CHECK(
        error_of(R"({"memory": true})") ==
        "line 1: key 'memory' must be a size: a string like \"256M\", or bytes, not true or false");
    CHECK(
        error_of(R"({"memory": "12q"})") ==
        "line 1: key 'memory' '12q' is not a size, bytes or a number with K, M, G or T, like 256M; "
        "give 2M to 4T");
    CHECK(error_of(R"({"disks": "a"})") ==
          "line 1: key 'disks' must be a list of objects, not a string");
    CHECK(error_of("{\"disks\": [\n\"a\"]}") ==
          "line 2: key 'disks' must be a list of objects, not of a string");
    CHECK(error_of(R"({"disks": [[]]})") ==
          "line 1: key 'disks' must be a list of objects, not of a list");
    CHECK(error_of(R"({"disks": {}})") == "line 1: key 'disks' must not be an object");
    CHECK(error_of(R"({"kernel": {"a": 1}})") == "line 1: key 'kernel' must not be an object");
    CHECK(error_of(R"({"disks": [{"path": ["a"]}]})") ==
          "line 1: key 'disks[0].path' must not be a list");
    CHECK(error_of(R"({"console": "pty"})") ==
          "line 1: key 'console' 'pty' is unknown; there are tty, off, file:PATH and unix:PATH");
}

TEST_CASE("what is no object is refused", "[control]") {
    CHECK(error_of("[]") == "line 1: the file must hold one object, not a list");
    CHECK(error_of("\n3") == "line 2: the file must hold one object, not a number");
    for (const char* text : {"", "{", "{} {}", "{\"cpus\": }", "{\"cpus\": 1,}", "{'cpus': 1}",
                             "{\"cpus\": 1e999}", "\xFF", "{\"name\": \"\xFF\"}", "// c\n{}"}) {
        INFO(text);
        CHECK_FALSE(error_of(text).empty());
    }
    CHECK(error_of("{\n\n\"cpus\" 1}").find("line 3") != std::string::npos);
}

TEST_CASE("depth and size are bounded", "[control]") {
    CHECK_FALSE(error_of(std::string(1'000'000, '[')).empty());
    CHECK_FALSE(error_of("{\"disks\": " + std::string(100'000, '[')).empty());
    CHECK_FALSE(error_of(std::string(kMaxConfigFile + 1, ' ')).empty());
}

TEST_CASE("a pmem in the config file is read as strictly", "[control]") {
    CHECK(error_of("{\"pmem\": [\n{\"path\": \"a\"},\n{\"cache\": \"b\"}]}") ==
          "line 3: key 'pmem[1].cache' is unknown; known are path, read_only, iops, bps");
    CHECK(error_of(R"({"pmem": ["a"]})") ==
          "line 1: key 'pmem' must be a list of objects, not of a string");
    CHECK(error_of(R"({"pmem": "a"})") ==
          "line 1: key 'pmem' must be a list of objects, not a string");
    CHECK(error_of(R"({"pmem": [{"path": 1}]})") ==
          "line 1: key 'pmem[0].path' must be a string, not a number");
    CHECK(error_of(R"({"pmem": [{"path": "a", "path": "b"}]})") ==
          "line 1: key 'pmem[0].path' is given twice; leave one out");
}

TEST_CASE("memory to be plugged is read as strictly", "[control]") {
    CHECK(error_of(R"({"hotplug_memory": {"size": "1G"}})") ==
          "line 1: key 'hotplug_memory.size' is unknown; known are total, requested, block, slot");
    CHECK(error_of(R"({"hotplug_memory": "1G"})") ==
          "line 1: key 'hotplug_memory' must be an object, not a string");
    CHECK(error_of(R"({"hotplug_memory": [1]})") ==
          "line 1: key 'hotplug_memory' must not be a list");
    CHECK(error_of(R"({"hotplug_memory": {"total": true}})") ==
          "line 1: key 'hotplug_memory.total' must be a size: a string like \"256M\", or bytes, "
          "not true or false");
}

TEST_CASE("a network device in the config file is read as strictly", "[control]") {
    CHECK(error_of("{\"net\": [\n{\"tap\": \"a\"},\n{\"tpa\": \"b\"}]}") ==
          "line 3: key 'net[1].tpa' is unknown; did you mean 'tap'?");
    CHECK(error_of(R"({"net": [{"mac": "x"}]})") ==
          "line 1: key 'net[0].mac' 'x' is no MAC address; give one like 52:54:00:12:34:56");
    CHECK(error_of(R"({"net": [{"mtu": "9000"}]})") ==
          "line 1: key 'net[0].mtu' must be a whole number, not a string");
    CHECK(error_of(R"({"net": ["tap0"]})") ==
          "line 1: key 'net' must be a list of objects, not of a string");
    CHECK(error_of(R"({"net": "tap0"})") ==
          "line 1: key 'net' must be a list of objects, not a string");
    CHECK(error_of(R"({"net": [{"tap": []}]})") == "line 1: key 'net[0].tap' must not be a list");
    CHECK(error_of(R"({"net": [{"tap": "a", "tap": "b"}]})") ==
          "line 1: key 'net[0].tap' is given twice; leave one out");
}

TEST_CASE("the vsock device in the config file is an object, read as strictly", "[control]") {
    const auto config =
        parse_config(R"({"vsock": {"cid": 5, "path": "/run/x", "connections": 7}, "cpus": 2})");
    REQUIRE(config);
    REQUIRE(config->vsock);
    CHECK(config->vsock->cid == 5);
    CHECK(config->vsock->path == "/run/x");
    CHECK(config->vsock->connections == 7);
    CHECK(config->cpus == 2);
    CHECK(error_of("{\"vsock\": {\n\"pth\": \"b\"}}") ==
          "line 2: key 'vsock.pth' is unknown; did you mean 'path'?");
    CHECK(error_of(R"({"vsock": {"cid": "3"}})") ==
          "line 1: key 'vsock.cid' must be a whole number, not a string");
    CHECK(error_of(R"({"vsock": {"cid": 3, "cid": 4}})") ==
          "line 1: key 'vsock.cid' is given twice; leave one out");
    CHECK(error_of(R"({"vsock": {}, "vsock": {}})") ==
          "line 1: key 'vsock' is given twice; leave one out");
    CHECK(error_of(R"({"vsock": "x"})") == "line 1: key 'vsock' must be an object, not a string");
    CHECK(error_of(R"({"vsock": []})") == "line 1: key 'vsock' must not be a list");
    CHECK(error_of(R"({"vsock": {"path": {}}})") ==
          "line 1: key 'vsock.path' must not be an object");
}
