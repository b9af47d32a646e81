#include "cli/command_line.h"

// GCC 12 sees a null pointer in a vector of strings of the library's.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnull-dereference"
#include <CLI/CLI.hpp>
#pragma GCC diagnostic pop
#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "control/nearest.h"

namespace mote {

namespace {

constexpr const char* kVersion = "mote " MOTE_VERSION "\ncontract: Firecracker API 1.17.0\n";

constexpr const char* kExamples = R"(Examples:
  mote check
      tells whether this host can run Linux guests, and what to do if not
  mote run --kernel vmlinux --disk root.ext4 --cmdline "root=/dev/vda rw"
      boots a root file system; the console is this terminal, Ctrl-A x ends it
  mote run --kernel bzImage --initrd initrd.img --cpus 4 --mem 2G --disk data.img,ro
  mote run --config machine.json --console unix:/run/web.console

Exit statuses of `mote run`: 0 powered off, 240 bad input, 241 host failure, 242 reboot,
243 guest panic, 244 guest crash, 245 ended by the user or a signal.
)";

constexpr const char* kRunNotes =
    R"(Keys on a terminal: Ctrl-A x ends the machine, Ctrl-A a sends Ctrl-A, Ctrl-A h helps.
SIGTERM presses the power button; a second one ends the machine at once.

Examples:
  mote run --kernel vmlinux --disk root.ext4 --cmdline "root=/dev/vda rw"
  mote run --kernel bzImage --initrd initrd.img --cpus 4 --mem 2G --disk data.img,ro
  mote run --config machine.json --console off --grace 60
)";

/// Flags take no value: `--no-entropy=false` is an error.
void refuse_values_of_flags(CLI::App& app) {
    for (CLI::Option* option : app.get_options([](const CLI::Option*) { return true; }))
        option->disable_flag_override();
}

void add_run_options(CLI::App& run, RunOptions& options) {
    const auto text = [&run](const char* name, std::optional<std::string>& field, const char* type,
                             const char* help) {
        run.add_option_function<std::string>(
               name, [&field](const std::string& value) { field = value; }, help)
            ->type_name(type);
    };
    text("--config", options.config_file, "FILE", "JSON file; options given here override it");
    text("--kernel", options.kernel, "FILE", "ELF vmlinux or bzImage");
    text("--initrd", options.initrd, "FILE", "initial RAM disk");
    text("--cmdline", options.cmdline, "TEXT", "appended to the default kernel command line");
    run.add_option("--disk", options.disks,
                   "raw image or block device, or the socket of a vhost-user back end that serves "
                   "the disk; may be repeated (a comma in PATH is written twice)")
        ->type_name(
            "PATH[,ro][,cache=writeback|unsafe|direct][,iops=N][,bps=SIZE]"
            "[,own_worker]|socket=PATH")
        ->allow_extra_args(false);
    run.add_option("--net", options.nics,
                   "a network device: auto makes a whole network, as root; user needs no rights "
                   "(passt); tap and fd are a TAP's name and descriptor; may be repeated")
        ->type_name(
            "auto|user|tap=NAME|fd=N[,mac=MAC][,mtu=N][,rx_pps=N][,rx_bps=SIZE][,tx_pps=N]"
            "[,tx_bps=SIZE][,own_worker]")
        ->allow_extra_args(false);
    run.add_option("--pmem", options.pmems,
                   "a file that the guest has as persistent memory; may be repeated")
        ->type_name("PATH[,ro][,iops=N][,bps=SIZE]")
        ->allow_extra_args(false);
    text("--vsock", options.vsock, "path=PATH[,cid=N][,connections=N][,own_worker]",
         "sockets between guest and host, at PATH and PATH_PORT; cid default 3");
    text("--cpus", options.cpus, "N", "1 to 32; default 1");
    text("--mem", options.memory, "SIZE", "memory, like 512M or 5G; default 256M");
    text("--hotplug-mem", options.hotplug_memory,
         "total=SIZE[,requested=SIZE][,block=SIZE][,slot=SIZE]",
         "memory that is plugged while the guest runs: requested, of total; default none of it");
    text("--name", options.name, "NAME", "for people and messages; default mote");
    text("--console", options.console, "tty|off|file:PATH|unix:PATH", "COM1; default tty");
    text("--virtio-console", options.virtio_console, "tty|off|file:PATH|unix:PATH",
         "a virtio console (hvc0) beside COM1 or, with --console off, instead; default off");
    text("--grace", options.grace, "SECONDS",
         "from SIGTERM's press of the power button to the end; default 10");
    run.add_flag("--no-entropy", options.no_entropy, "leave the entropy device out");
    run.add_flag("--no-balloon", options.no_balloon,
                 "leave the balloon out, by which freed memory goes back to the host");
    run.add_flag("--no-pvpanic", options.no_pvpanic, "leave the panic device out");
    run.add_flag("--no-acpi", options.no_acpi, "MP table and command line instead of ACPI");
    run.footer(kRunNotes);
}

/// The parser's Apps, and where they put what they find. Options of `run` are made only when asked
/// for: each costs start-up time.
struct Parser {
    CommandLine result;
    CLI::App app{"mote: a small monitor for Linux microVMs on KVM", "mote"};
    CLI::App* run = nullptr;
    CLI::App* check = nullptr;
    bool version = false;

    explicit Parser(bool with_run_options) {
        app.set_help_flag("-h,--help", "print this help");
        app.add_flag("--version", version, "print the versions of mote and of its API");
        app.footer(kExamples);
        run = app.add_subcommand("run", "run a virtual machine until it ends");
        check = app.add_subcommand("check", "tell what this host can run, and what it lacks");
        if (with_run_options) add_run_options(*run, result.run);
        check->add_flag("--quiet", result.quiet,
                        "only the reason, on one line, if Linux cannot run here (status 1)");
        for (CLI::App* each : {&app, run, check})
            refuse_values_of_flags(*each);
    }

    static std::string see_help(const CLI::App& in) {
        return fmt::format("; see mote {}{}--help", in.get_parent() != nullptr ? in.get_name() : "",
                           in.get_parent() != nullptr ? " " : "");
    }

    /// What may have been meant by an argument that `in` does not know.
    static std::string suggestion(const CLI::App& in, std::string_view argument) {
        std::vector<std::string_view> known;
        for (const CLI::Option* option : in.get_options())
            for (const std::string& name : option->get_lnames())
                known.emplace_back(name);
        if (!argument.starts_with('-')) {
            known.clear();
            for (const CLI::App* sub : in.get_subcommands([](const CLI::App*) { return true; }))
                known.emplace_back(sub->get_name());
        }
        const bool is_option = argument.starts_with('-');
        argument.remove_prefix(std::min(argument.find_first_not_of('-'), argument.size()));
        argument = argument.substr(0, argument.find('='));
        const std::string_view close = nearest(argument, known);
        if (close.empty()) return see_help(in);
        return fmt::format("; did you mean {}{}?", is_option ? "--" : "", close);
    }

    [[nodiscard]] const CLI::App& parsed() const { return *run ? *run : *check ? *check : app; }

    Result<CommandLine> unknown_argument() const {
        std::vector<std::string> left = app.remaining(true);
        const std::string argument = left.empty() ? "" : left.front();
        return fail("unknown argument '{}'{}", argument, suggestion(parsed(), argument));
    }

    /// What is wrong with an option, in our words; of the library's, only the name is used.
    std::unexpected<Error> wrong_option(std::string_view library_text) const {
        library_text.remove_prefix(
            std::min(library_text.find_first_not_of('-'), library_text.size()));
        const std::string name =
            fmt::format("--{}", library_text.substr(0, library_text.find_first_of(": ")));
        const CLI::Option* const option = parsed().get_option_no_throw(name);
        if (option == nullptr) return fail("bad arguments{}", see_help(parsed()));
        if (option->count() > 1)
            return fail("{}: is given {} times; give it once", name, option->count());
        if (option->get_items_expected_max() == 0)
            return fail("{}: takes no value; give it alone", name);
        return fail("{}: lacks its value, {}{}", name, option->get_type_name(), see_help(parsed()));
    }
};

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
    using namespace std::string_view_literals;
    Parser parser(argc > 1 && argv[1] == "run"sv);
    try {
        parser.app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        CommandLine help;
        help.subcommand = Subcommand::print_text;
        help.text = parser.app.help();
        return help;
    } catch (const CLI::ExtrasError&) {
        return parser.unknown_argument();
    } catch (const CLI::Error& error) {
        return parser.wrong_option(error.what());
    }
    CommandLine result = std::move(parser.result);
    if (parser.version) {
        result.subcommand = Subcommand::print_text;
        result.text = kVersion;
    } else if (*parser.run) {
        result.subcommand = Subcommand::run;
    } else if (*parser.check) {
        result.subcommand = Subcommand::check;
    }
    return result;
}

std::string help_text() {
    return Parser(false).app.help();
}

}  // namespace mote
