#include "control/options.h"

#include <string>

#include "catch.h"

using namespace mote;

TEST_CASE("parse_size reads bytes and suffixes", "[control]") {
    CHECK(parse_size("0").value() == 0);
    CHECK(parse_size("1048576").value() == 1048576);
    CHECK(parse_size("4k").value() == 4096);
    CHECK(parse_size("256M").value() == uint64_t{256} << 20U);
    CHECK(parse_size("5G").value() == uint64_t{5} << 30U);
    CHECK(parse_size("1t").value() == uint64_t{1} << 40U);
    CHECK(parse_size("18446744073709551615").value() == UINT64_MAX);
}

TEST_CASE("parse_size refuses what is no size", "[control]") {
    for (const char* text : {"", "M", "-1", "+1", " 1", "1 ", "1MB", "1MiB", "1.5G", "0x10", "1x",
                             "1e3", "18446744073709551616", "16777216T", "99999999999G"}) {
        INFO(text);
        CHECK_FALSE(parse_size(text));
    }
    CHECK(parse_size("12q").error().message ==
          "'12q' is not a size, bytes or a number with K, M, G or T, like 256M");
    CHECK(parse_size("16777216T").error().message == "'16777216T' is too large");
}

TEST_CASE("parse_number takes 32 bits", "[control]") {
    CHECK(parse_number("0").value() == 0);
    CHECK(parse_number("4294967295").value() == UINT32_MAX);
    for (const char* text : {"", "-1", "4294967296", "1a", "four", " 1"}) {
        INFO(text);
        CHECK_FALSE(parse_number(text));
    }
}

TEST_CASE("parse_disk reads a path and its options", "[control]") {
    const DiskConfig plain = parse_disk("/images/root.ext4").value();
    CHECK(plain.path == "/images/root.ext4");
    CHECK_FALSE(plain.read_only);
    CHECK_FALSE(plain.cache);
    CHECK(plain.socket.empty());
    CHECK_FALSE(plain.iops);
    CHECK_FALSE(plain.bps);

    const DiskConfig all = parse_disk("a.img,ro,cache=direct,iops=500,bps=10M,own_worker").value();
    CHECK(all.own_worker);
    CHECK_FALSE(plain.own_worker);
    CHECK(parse_nic("auto,own_worker").value().own_worker);
    CHECK(parse_vsock("path=x,own_worker").value().own_worker);
    CHECK(all.iops == 500U);
    CHECK(all.bps == uint64_t{10} << 20U);
    CHECK(all.path == "a.img");
    CHECK(all.read_only);
    CHECK(all.cache == CacheMode::direct);
    CHECK(parse_disk("a,cache=unsafe").value().cache == CacheMode::unsafe);
    CHECK(parse_disk("a,cache=writeback").value().cache == CacheMode::writeback);
}

TEST_CASE("parse_pmem reads a path and its options", "[control]") {
    const PmemConfig plain = parse_pmem("a,,b").value();
    CHECK(plain.path == "a,b");
    CHECK_FALSE(plain.read_only);
    CHECK_FALSE(plain.iops);
    const PmemConfig all = parse_pmem("a,ro,iops=5,bps=3M").value();
    CHECK(all.read_only);
    CHECK(all.iops == 5U);
    CHECK(all.bps == uint64_t{3} << 20U);
    CHECK(parse_pmem(",ro").error().message ==
          "',ro' names no file; give PATH[,ro][,iops=N][,bps=SIZE]");
    CHECK(parse_pmem("a,cache=direct").error().message ==
          "'a,cache=direct' has the unknown part 'cache=direct'; known are ro, iops=N and bps=SIZE "
          "(a comma in the path is written twice)");
    CHECK(parse_pmem("a,ro,ro").error().message == "'a,ro,ro' has ro twice; leave one out");
    CHECK(parse_pmem("a,iops=x").error().message == "'x' is not a whole number");
}

TEST_CASE("parse_disk reads the socket of a back end in place of a path", "[control]") {
    const DiskConfig disk = parse_disk("socket=/run/a,,b.sock").value();
    CHECK(disk.socket == "/run/a,b.sock");
    CHECK(disk.path.empty());
    // What does not go with it is for validate() to say.
    CHECK(parse_disk("socket=/a,ro").value().read_only);
    CHECK(parse_disk("./socket=a").value().path == "./socket=a");
    CHECK(parse_disk("socket=").error().message ==
          "'socket=' names no file; give PATH[,ro][,cache=MODE][,iops=N][,bps=SIZE][,own_worker], "
          "or socket=PATH");
    CHECK_FALSE(parse_disk("a,socket=b"));
    CHECK_FALSE(parse_disk("socket=a,socket=b"));
}

TEST_CASE("parse_hotplug_memory reads sizes", "[control]") {
    const HotplugMemoryConfig plain = parse_hotplug_memory("total=1G").value();
    CHECK(plain.total_bytes == uint64_t{1} << 30U);
    CHECK(plain.requested_bytes == 0);
    CHECK(plain.block_bytes == uint64_t{2} << 20U);
    CHECK(plain.slot_bytes == uint64_t{128} << 20U);
    const HotplugMemoryConfig all =
        parse_hotplug_memory("requested=512M,slot=256M,block=4M,total=2G").value();
    CHECK(all.total_bytes == uint64_t{2} << 30U);
    CHECK(all.requested_bytes == uint64_t{512} << 20U);
    CHECK(all.block_bytes == uint64_t{4} << 20U);
    CHECK(all.slot_bytes == uint64_t{256} << 20U);
    CHECK(parse_hotplug_memory("1G").error().message ==
          "'1G' has the unknown part '1G'; known are total=SIZE, requested=SIZE, block=SIZE and "
          "slot=SIZE");
    CHECK(parse_hotplug_memory("total=1G,total=2G").error().message ==
          "'total=1G,total=2G' has total twice; leave one out");
    CHECK_FALSE(parse_hotplug_memory("total=lots"));
    CHECK_FALSE(parse_hotplug_memory(""));
}

TEST_CASE("parse_disk takes a doubled comma as part of the path", "[control]") {
    CHECK(parse_disk("a,,b.img").value().path == "a,b.img");
    CHECK(parse_disk("a,,ro").value().path == "a,ro");
    const DiskConfig odd = parse_disk("a,,,ro").value();
    CHECK(odd.path == "a,");
    CHECK(odd.read_only);
}

TEST_CASE("parse_disk refuses what it does not know", "[control]") {
    for (const char* text : {"", ",ro", "a,rw", "a,", "a,cache=", "a,cache=none", "a,ro,x=1",
                             "a,iops=", "a,iops=1K", "a,bps=x", "a,bps"}) {
        INFO(text);
        CHECK_FALSE(parse_disk(text));
    }
    CHECK(parse_disk("a,ro,ro").error().message == "'a,ro,ro' has ro twice; leave one out");
    CHECK(parse_disk("a,cache=unsafe,ro,cache=direct").error().message ==
          "'a,cache=unsafe,ro,cache=direct' has cache twice; leave one out");
    CHECK(parse_disk("ro,ro").value().path == "ro");
    CHECK(parse_disk("a,cache=none").error().message ==
          "cache mode 'none' is unknown; there are writeback, unsafe and direct");
}

TEST_CASE("parse_console reads each kind", "[control]") {
    CHECK(parse_console("tty").value().kind == ConsoleKind::tty);
    CHECK(parse_console("off").value().kind == ConsoleKind::off);
    CHECK(parse_console("file:/tmp/a:b").value().kind == ConsoleKind::file);
    CHECK(parse_console("file:/tmp/a:b").value().path == "/tmp/a:b");
    CHECK(parse_console("unix:s").value().kind == ConsoleKind::unix_socket);
    for (const char* text : {"", "file", "file:", "unix:", "pty", "TTY", "file /x"}) {
        INFO(text);
        CHECK_FALSE(parse_console(text));
    }
}

TEST_CASE("format_size shows the largest whole unit", "[control]") {
    CHECK(format_size(0) == "0 bytes");
    CHECK(format_size(1000) == "1000 bytes");
    CHECK(format_size(4096) == "4K");
    CHECK(format_size(uint64_t{256} << 20U) == "256M");
    CHECK(format_size(uint64_t{5} << 30U) == "5G");
    CHECK(format_size(uint64_t{4} << 40U) == "4T");
}

TEST_CASE("parse_nic reads a TAP and its options", "[control]") {
    const NicConfig plain = parse_nic("tap=tap0").value();
    CHECK(plain.tap == "tap0");
    CHECK_FALSE(plain.mac);
    CHECK_FALSE(plain.mtu);
    const NicConfig all = parse_nic("mtu=9000,tap=web,mac=52:54:00:aB:Cd:ef").value();
    CHECK(all.tap == "web");
    CHECK(all.mac == MacAddress{0x52, 0x54, 0x00, 0xAB, 0xCD, 0xEF});
    CHECK(all.mtu == 9000U);
    CHECK_FALSE(all.user);
    CHECK(parse_nic("user,mtu=1500").value().user);
    CHECK(parse_nic("auto").value().automatic);
    CHECK(parse_nic("fd=7").value().fd == 7U);
    const NicConfig limited = parse_nic("auto,rx_pps=1000,rx_bps=1M,tx_pps=2000,tx_bps=2M").value();
    CHECK(limited.rx.pps == 1000U);
    CHECK(limited.rx.bps == uint64_t{1} << 20U);
    CHECK(limited.tx.pps == 2000U);
    CHECK(limited.tx.bps == uint64_t{2} << 20U);
}

TEST_CASE("parse_nic refuses what it does not know", "[control]") {
    for (const char* text :
         {"", "tap=", "tap0", "tap=a,mtu=x", "tap=a,", "mac=52:54:00:00:00:01",
          "auto=", "fd=", "fd=-1", "auto,rx_=1", "auto,rx_pps=", "auto,tx_bps=x", "auto,auto"}) {
        INFO(text);
        CHECK_FALSE(parse_nic(text));
    }
    CHECK(parse_nic("tap=a,mtu=1500,tap=b").error().message ==
          "'tap=a,mtu=1500,tap=b' has tap twice; leave one out");
    CHECK(parse_nic("tap=a,mtu=x").error().message ==
          "'x' is not a whole number; give 68 to 65535");
    CHECK(parse_nic("tap=a,ip=1").error().message ==
          "'tap=a,ip=1' has the unknown part 'ip=1'; known are auto, tap=NAME, user, fd=N, "
          "mac=MAC, mtu=N, rx_pps=N, rx_bps=SIZE, tx_pps=N, tx_bps=SIZE and own_worker");
    CHECK(parse_nic("fd=x").error().message == "'x' is not a whole number; give 3 to 1048575");
    for (const char* text :
         {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:567", "52-54-00-12-34-56",
          "52:54:00:12:34:g6", "52:54:00:12:34: 6", "+2:54:00:12:34:56", "-2:54:00:12:34:56"}) {
        INFO(text);
        CHECK_FALSE(parse_mac(text));
    }
    CHECK(parse_mac("1").error().message ==
          "'1' is no MAC address; give one like 52:54:00:12:34:56");
}

TEST_CASE("parse_vsock reads a path, an address and a number of connections", "[control]") {
    const VsockConfig plain = parse_vsock("path=/run/web.vsock").value();
    CHECK(plain.path == "/run/web.vsock");
    CHECK(plain.cid == 3);
    CHECK(plain.connections == 1023);
    const VsockConfig all = parse_vsock("cid=42,path=a,,b,connections=5").value();
    CHECK(all.path == "a,b");
    CHECK(all.cid == 42);
    CHECK(all.connections == 5);
    CHECK(parse_vsock("cid=3").error().message ==
          "'cid=3' names no socket; give path=PATH[,cid=N]");
    CHECK(parse_vsock("/run/x").error().message ==
          "'/run/x' has the unknown part '/run/x'; known are cid=N, path=PATH, connections=N and "
          "own_worker");
    CHECK_FALSE(parse_vsock("path=a,cid=x"));
    CHECK_FALSE(parse_vsock("path=a,connections=-1"));
}
