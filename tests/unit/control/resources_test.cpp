#include "control/resources.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/un.h>

#include "catch.h"
#include "control/config_file.h"
#include "control/temporary_folder.h"

using namespace mote;

namespace {

struct Fixture {
    TemporaryFolder folder;
    MachineConfig config;
    Fixture() { config.kernel = folder.file("kernel", "not empty"); }

    Result<Resources> open() const {
        auto valid = validate(config);
        REQUIRE(valid);
        return open_resources(*valid);
    }
    std::string error() const {
        const auto resources = open();
        return resources ? "" : resources.error().message;
    }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "open_resources opens what is named", "[control]") {
    config.initrd = folder.file("initrd", "x");
    config.disks = {{.path = folder.file("a", "", 4096)},
                    {.path = folder.file("b", "", 1024), .read_only = true}};
    const auto resources = open();
    REQUIRE(resources);
    CHECK(resources->kernel.valid());
    CHECK(resources->initrd.valid());
    REQUIRE(resources->disks.size() == 2);
    CHECK(resources->disks[0].id == "disk0");
    CHECK(resources->disks[0].size_bytes == 4096);
    CHECK_FALSE(resources->disks[0].read_only);
    CHECK(resources->disks[1].size_bytes == 1024);
    CHECK(resources->disks[1].read_only);
    for (const DiskResource& disk : resources->disks) {
        CHECK((::fcntl(disk.file.get(), F_GETFL) & O_NONBLOCK) == 0);
        CHECK((::fcntl(disk.file.get(), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE_METHOD(Fixture, "open_resources names the file that cannot be opened", "[control]") {
    config.kernel = folder.path("none");
    CHECK(error() ==
          "kernel: cannot open " + config.kernel + ": No such file or directory; check the path");
    config.kernel = folder.file("kernel", "x");
    config.initrd = folder.path("none");
    CHECK(error() ==
          "initrd: cannot open " + *config.initrd + ": No such file or directory; check the path");
    config.initrd.reset();
    config.disks = {{.path = folder.path("none")}};
    CHECK(error() == "disk0: cannot open " + config.disks[0].path +
                         ": No such file or directory; check the path");
}

TEST_CASE_METHOD(Fixture, "open_resources refuses other kinds of file", "[control]") {
    const std::string fifo = folder.path("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const std::string socket_path = folder.path("socket");
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);

    config.kernel = fifo;
    CHECK(error() == "kernel: " + fifo + " is a FIFO; give a regular file");
    config.kernel = folder.path("");
    CHECK(error() == "kernel: " + folder.path("") + " is a directory; give a regular file");
    config.kernel = "/dev/null";
    CHECK(error() == "kernel: /dev/null is a character device; give a regular file");
    config.kernel = folder.file("kernel", "x");
    config.disks = {{.path = fifo}};
    CHECK(error() == "disk0: " + fifo + " is a FIFO; give a regular file or a block device");
    config.disks = {{.path = socket_path}};
    CHECK(error() ==
          "disk0: " + socket_path + " is a socket; give a regular file or a block device");
}

TEST_CASE_METHOD(Fixture, "open_resources refuses what is empty or too small", "[control]") {
    config.kernel = folder.file("empty", "");
    CHECK(error() == "kernel: " + config.kernel + " is empty; give another file");
    config.kernel = folder.file("kernel", "x");
    config.disks = {{.path = folder.path("empty")}};
    CHECK(error() == "disk0: " + config.disks[0].path + " is empty; give a disk image");
    config.disks = {{.path = folder.file("small", "", 511)}};
    CHECK(error() ==
          "disk0: " + config.disks[0].path + " has 511 bytes, less than one sector of 512");
}

TEST_CASE_METHOD(Fixture, "a disk's incomplete last sector is left out", "[control]") {
    config.disks = {{.path = folder.file("odd", "", 1500)}};
    const auto resources = open();
    REQUIRE(resources);
    CHECK(resources->disks[0].size_bytes == 1024);
}

TEST_CASE_METHOD(Fixture, "a qcow2 image is used as a raw one", "[control]") {
    config.disks = {{.path = folder.file("image", "QFI\xFB", 1024)}};
    CHECK(error().empty());
}

TEST_CASE_METHOD(Fixture, "a disk has one writer or several readers", "[control]") {
    const std::string path = folder.file("disk", "", 1024);
    const auto use = [&](bool read_only) {
        config.disks = {{.path = path, .read_only = read_only}};
        return open();
    };
    SECTION("a writer keeps everybody else out") {
        const auto writer = use(false);
        REQUIRE(writer);
        CHECK(use(false).error().message ==
              "disk0: " + path +
                  " is used for writing by another process; end that one, or give a copy");
        CHECK_FALSE(use(true));
    }
    SECTION("readers keep a writer out, but not each other") {
        const auto reader = use(true);
        REQUIRE(reader);
        CHECK(use(true));
        CHECK(use(false).error().message ==
              "disk0: " + path +
                  " is used for reading by another process; end that one, or attach it read-only "
                  "(,ro)");
    }
    SECTION("the lock ends with its holder") {
        REQUIRE(use(false));
        CHECK(use(false));
    }
}

TEST_CASE_METHOD(Fixture, "one file is not two disks while one of them writes", "[control]") {
    const std::string path = folder.file("disk", "", 1024);
    const std::string link = folder.path("link");
    REQUIRE(::symlink(path.c_str(), link.c_str()) == 0);
    config.disks = {{.path = path, .read_only = true}, {.path = link}};
    CHECK(error() ==
          "disk1: " + link +
              " is the same file as disk0; attach it once, or each time read-only (,ro)");
    config.disks = {{.path = path, .read_only = true}, {.path = link, .read_only = true}};
    CHECK(error().empty());
    config.pmems = {{.path = path}};
    CHECK(error() ==
          "pmem0: " + path +
              " is the same file as disk0; attach it once, or each time read-only (,ro)");
    config.pmems = {{.path = path, .read_only = true}};
    CHECK(error().empty());
}

TEST_CASE_METHOD(Fixture, "a pmem is a file of its own", "[control]") {
    config.pmems = {{.path = folder.file("a", "", 8192), .iops = 3, .bps = 5},
                    {.path = folder.file("b", "", 1024), .read_only = true}};
    const auto resources = open();
    REQUIRE(resources);
    REQUIRE(resources->pmems.size() == 2);
    CHECK(resources->pmems[0].id == "pmem0");
    CHECK(resources->pmems[0].size_bytes == 8192);
    CHECK(resources->pmems[0].iops == 3U);
    CHECK(resources->pmems[0].bps == 5U);
    CHECK(resources->pmems[1].read_only);
    CHECK(error().starts_with("pmem0: " + config.pmems[0].path + " is used for writing"));
    config.pmems = {{.path = folder.path("none")}};
    CHECK(error() == "pmem0: cannot open " + config.pmems[0].path +
                         ": No such file or directory; check the path");
}

TEST_CASE_METHOD(Fixture, "the console is no other file of the machine", "[control]") {
    const std::string disk = folder.file("disk", "", 1024);
    const std::string link = folder.path("link");
    REQUIRE(::link(disk.c_str(), link.c_str()) == 0);
    config.initrd = folder.file("initrd", "x");
    config.disks = {{.path = folder.file("first", "", 1024)}, {.path = disk, .read_only = true}};
    const auto error_with = [&](ConsoleKind kind, const std::string& path) {
        config.console = {.kind = kind, .path = path};
        return error();
    };
    for (const ConsoleKind kind : {ConsoleKind::file, ConsoleKind::unix_socket}) {
        CHECK(error_with(kind, config.kernel) ==
              "console: " + config.kernel + " is also kernel; give another path");
        CHECK(error_with(kind, *config.initrd) ==
              "console: " + *config.initrd + " is also initrd; give another path");
        CHECK(error_with(kind, link) == "console: " + link + " is also disk1; give another path");
        CHECK(error_with(kind, folder.file("other", "x")).empty());
        CHECK(error_with(kind, folder.path("none")).empty());
    }
}

TEST_CASE_METHOD(Fixture, "a disk's socket is connected to, or the reason is told", "[control]") {
    const std::string path = folder.path("b.sock");
    config.disks = {{.path = folder.file("a", "", 1024), .read_only = true}, {.socket = path}};
    CHECK(error() ==
          "disk1: there is no socket " + path + "; start its server first, or check the path");
    folder.file("b.sock", "x");
    CHECK(error() == "disk1: " + path + " is no socket; give that of a running server");
    const UniqueFd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    std::filesystem::remove(path);
    REQUIRE(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(error() == "disk1: nobody serves the socket " + path + "; start its server first");
    REQUIRE(::listen(server.get(), 0) == 0);
    const auto resources = open();
    REQUIRE(resources);
    CHECK(resources->disks[1].id == "disk1");
    CHECK(resources->disks[1].socket == path);
    CHECK(::write(resources->disks[1].file.get(), "x", 1) == 1);
    // Nobody takes the first client out of the queue.
    CHECK(error() ==
          "disk1: the server of the socket " + path + " takes no more clients; see that it runs");
}

TEST_CASE_METHOD(Fixture, "memory beyond the host's is refused", "[control]") {
    struct sysinfo info{};
    REQUIRE(::sysinfo(&info) == 0);
    config.memory_bytes = (uint64_t{info.totalram} * info.mem_unit + (1U << 30U)) & ~uint64_t{4095};
    CHECK(error().find("is more than this host has") != std::string::npos);
    config.memory_bytes = uint64_t{256} << 20U;
    const uint64_t slot = config.hotplug_memory.emplace().slot_bytes;
    config.hotplug_memory->total_bytes = uint64_t{info.totalram} * info.mem_unit / slot * slot;
    CHECK(error().starts_with("memory and hotplug_memory: "));
    config.hotplug_memory.reset();
    CHECK(error().empty());
}

TEST_CASE_METHOD(Fixture, "a config file is read from a file", "[control]") {
    CHECK(read_config_file(folder.file("good", R"({"cpus": 2})"))->cpus == 2);
    CHECK(read_config_file(folder.path("none")).error().message ==
          "config: cannot open " + folder.path("none") +
              ": No such file or directory; check the path");
    const std::string empty = folder.file("empty", "");
    CHECK(read_config_file(empty).error().message ==
          "config: " + empty + " is empty; it must hold a JSON object");
    const std::string bad = folder.file("bad", "{\n\"cpu\": 1}");
    CHECK(read_config_file(bad).error().message ==
          "config: " + bad + ": line 2: key 'cpu' is unknown; did you mean 'cpus'?");
    const std::string large = folder.file("large", "", kMaxConfigFile + 1);
    CHECK_FALSE(read_config_file(large));
    const std::string fifo = folder.path("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK_FALSE(read_config_file(fifo));  // without a writer it is empty, and nothing waits
}
