#include "cli/command_line.h"

#include <pty.h>
#include <sys/ioctl.h>

#include <vector>

#include "cli/console_support.h"
#include "control/temporary_folder.h"

using namespace mote;

namespace {

Result<CommandLine> parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "mote");
    return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

std::string error_of(std::vector<const char*> arguments) {
    const auto parsed = parse(std::move(arguments));
    return parsed ? "" : parsed.error().message;
}

Result<MachineConfig> config_of(std::vector<const char*> arguments) {
    const auto parsed = parse(std::move(arguments));
    REQUIRE(parsed);
    REQUIRE(parsed->subcommand == Subcommand::run);
    return build_config(parsed->run);
}

}  // namespace

TEST_CASE("the subcommand is found", "[cli]") {
    CHECK(parse({})->subcommand == Subcommand::nothing);
    CHECK(parse({"run"})->subcommand == Subcommand::run);
    CHECK(parse({"check"})->subcommand == Subcommand::check);
    CHECK_FALSE(parse({"check"})->quiet);
    CHECK(parse({"check", "--quiet"})->quiet);
}

TEST_CASE("version and help are printed", "[cli]") {
    const auto version = parse({"--version"});
    CHECK(version->subcommand == Subcommand::print_text);
    CHECK(version->text == "mote " MOTE_VERSION "\ncontract: Firecracker API 1.17.0\n");
    const auto help = parse({"--help"});
    CHECK(help->subcommand == Subcommand::print_text);
    CHECK(help->text.find("Examples:") != std::string::npos);
    const auto run_help = parse({"run", "-h"});
    CHECK(run_help->text.find("--kernel FILE") != std::string::npos);
    CHECK(run_help->text.find("Examples:") != std::string::npos);
    CHECK(help_text() == help->text);
}

TEST_CASE("wrong arguments are named, with what may have been meant", "[cli]") {
    CHECK(error_of({"rum"}) == "unknown argument 'rum'; did you mean run?");
    CHECK(error_of({"run", "--kernle", "x"}) ==
          "unknown argument '--kernle'; did you mean --kernel?");
    CHECK(error_of({"run", "--kernle=x"}) ==
          "unknown argument '--kernle=x'; did you mean --kernel?");
    CHECK(error_of({"run", "--network"}) == "unknown argument '--network'; see mote run --help");
    CHECK(error_of({"check", "--quite"}) == "unknown argument '--quite'; did you mean --quiet?");
    CHECK(error_of({"run", "file"}) == "unknown argument 'file'; see mote run --help");
    CHECK(error_of({"--frob"}) == "unknown argument '--frob'; see mote --help");
}

TEST_CASE("wrong uses of an option are told in mote's words", "[cli]") {
    CHECK(error_of({"run", "--kernel"}) == "--kernel: lacks its value, FILE; see mote run --help");
    CHECK(error_of({"run", "--disk"}) ==
          "--disk: lacks its value, PATH[,ro][,cache=writeback|unsafe|direct][,iops=N][,bps=SIZE]"
          "[,own_worker]"
          "|socket=PATH; see mote run --help");
    CHECK(error_of({"run", "--cpus", "1", "--cpus", "2"}) ==
          "--cpus: is given 2 times; give it once");
    CHECK(error_of({"run", "--cpus=1", "--mem", "1G", "--cpus=2", "--cpus", "3"}) ==
          "--cpus: is given 3 times; give it once");
    for (const char* flag :
         {"--no-entropy=banana", "--no-entropy=false", "--no-entropy=0", "--no-entropy=2"})
        CHECK(error_of({"run", flag}) == "--no-entropy: takes no value; give it alone");
    CHECK(error_of({"check", "--quiet=no"}) == "--quiet: takes no value; give it alone");
    CHECK(error_of({"--version=1.0"}) == "--version: takes no value; give it alone");
    CHECK(config_of({"run", "--no-acpi", "--no-acpi"})->acpi == false);
}

TEST_CASE("run's options fill the configuration", "[cli]") {
    const auto config = config_of({"run",
                                   "--kernel",
                                   "k",
                                   "--initrd=i",
                                   "--cmdline",
                                   "--quiet -- sh",
                                   "--disk",
                                   "a,ro",
                                   "--disk",
                                   "b",
                                   "--cpus",
                                   "4",
                                   "--mem",
                                   "1G",
                                   "--name",
                                   "n",
                                   "--console",
                                   "off",
                                   "--grace",
                                   "3",
                                   "--no-entropy",
                                   "--no-balloon",
                                   "--no-pvpanic",
                                   "--no-acpi"});
    REQUIRE(config);
    CHECK(config->kernel == "k");
    CHECK(config->initrd == "i");
    CHECK(config->cmdline == "--quiet -- sh");
    REQUIRE(config->disks.size() == 2);
    CHECK(config->disks[0].read_only);
    CHECK(config->disks[1].path == "b");
    CHECK(config->cpus == 4);
    CHECK(config->memory_bytes == uint64_t{1} << 30U);
    CHECK(config->name == "n");
    CHECK(config->console.kind == ConsoleKind::off);
    CHECK(config->grace_seconds == 3);
    CHECK_FALSE(config->entropy);
    CHECK_FALSE(config->balloon);
    CHECK_FALSE(config->pvpanic);
    CHECK_FALSE(config->acpi);
}

TEST_CASE("bad values name the option", "[cli]") {
    CHECK(config_of({"run", "--mem", "lots"}).error().message ==
          "--mem: 'lots' is not a size, bytes or a number with K, M, G or T, like 256M; give 2M to "
          "4T");
    CHECK(config_of({"run", "--cpus", "two"}).error().message ==
          "--cpus: 'two' is not a whole number; give 1 to 32");
    CHECK(config_of({"run", "--cpus", "999999999999"}).error().message ==
          "--cpus: '999999999999' is too large; give 1 to 32");
    CHECK(config_of({"run", "--mem", "9999999999999999999999"}).error().message ==
          "--mem: '9999999999999999999999' is too large; give 2M to 4T");
    CHECK(config_of({"run", "--disk", "a,rw"}).error().message.starts_with("--disk: 'a,rw' has"));
    CHECK(config_of({"run", "--console", "pty"}).error().message.starts_with("--console: 'pty'"));
    CHECK(config_of({"run", "--grace", "-1"}).error().message.starts_with("--grace: '-1'"));
}

TEST_CASE("options override the config file", "[cli]") {
    const TemporaryFolder folder;
    const std::string path = folder.file("config", R"({"kernel": "k", "cpus": 2, "memory": "1G",
        "disks": [{"path": "a"}, {"path": "b"}], "entropy": false})");
    const auto config =
        config_of({"run", "--config", path.c_str(), "--cpus", "3", "--disk", "c", "--no-acpi"});
    REQUIRE(config);
    CHECK(config->kernel == "k");
    CHECK(config->cpus == 3);
    CHECK(config->memory_bytes == uint64_t{1} << 30U);
    REQUIRE(config->disks.size() == 1);
    CHECK(config->disks[0].path == "c");
    CHECK_FALSE(config->entropy);
    CHECK_FALSE(config->acpi);
}

TEST_CASE("the size of the terminal is a word of the command line", "[cli]") {
    const Pty pty;
    MachineConfig config;
    config.cmdline = "quiet -- sh";
    add_window_size(config, pty.slave.get());
    CHECK(config.own_cmdline.empty());  // a new pty tells no size
    const Pipe pipe;
    add_window_size(config, pipe.writer.get());
    CHECK(config.own_cmdline.empty());
    const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    REQUIRE(::ioctl(pty.master.get(), TIOCSWINSZ, &size) == 0);
    add_window_size(config, pty.slave.get());
    CHECK(config.own_cmdline == "mote.winsize=24x80");
    CHECK(config.cmdline == "quiet -- sh");
    // A virtio console has it in its configuration, not on the command line.
    MachineConfig other;
    other.console.kind = ConsoleKind::off;
    add_window_size(other, pty.slave.get());
    CHECK_FALSE(other.virtio_console.size.has_value());
    other.virtio_console.kind = ConsoleKind::tty;
    add_window_size(other, pty.slave.get());
    CHECK(other.own_cmdline.empty());
    REQUIRE(other.virtio_console.size.has_value());
    CHECK(other.virtio_console.size->columns == 80);
}

TEST_CASE("a value out of range names the file that it stands in", "[cli]") {
    const TemporaryFolder folder;
    const std::string path = folder.file("config", R"({"kernel": "k", "cpus": 33})");
    const auto error_with = [&](std::vector<const char*> arguments) {
        arguments.insert(arguments.begin(), {"run", "--config", path.c_str()});
        const auto parsed = parse(std::move(arguments));
        REQUIRE(parsed);
        const auto valid = validate_options(build_config(parsed->run).value(), parsed->run);
        return valid ? "" : valid.error().message;
    };
    CHECK(error_with({}) == "config: " + path + ": cpus: 33 is not possible; give 1 to 32");
    CHECK(error_with({"--cpus", "2"}).empty());
    CHECK(error_with({"--cpus", "40"}) == "cpus: 40 is not possible; give 1 to 32");
    CHECK(error_with({"--cpus", "2", "--mem", "1M"}) ==
          "memory: 1M is not possible; give 2M to 4T");
    CHECK(error_with({"--mem", "1M", "--name", "a b"}).starts_with("name: 'a b'"));
}
