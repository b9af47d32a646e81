#include "cli/run_options.h"

#include <sys/ioctl.h>

#include "control/config_file.h"
#include "control/options.h"

namespace mote {

namespace {

/// Puts what `parse` makes of `text` into `field`, if the option was given.
template <class T, class Parsed>
Result<> apply(const std::optional<std::string>& text, const char* option,
               Result<Parsed> (*parse)(std::string_view), T& field) {
    if (!text) return {};
    Result<Parsed> parsed = parse(*text);
    if (!parsed) return fail("{}: {}", option, parsed.error().message);
    field = *std::move(parsed);
    return {};
}

Result<std::string> as_it_is(std::string_view text) {
    return std::string(text);
}

/// The same for an option that may be repeated: what is given replaces the whole list.
template <class T>
Result<> apply_list(const std::vector<std::string>& texts, const char* option,
                    Result<T> (*parse)(std::string_view), std::vector<T>& list) {
    if (texts.empty()) return {};
    list.clear();
    for (const std::string& text : texts) {
        Result<T> item = parse(text);
        if (!item) return fail("{}: {}", option, item.error().message);
        list.push_back(*std::move(item));
    }
    return {};
}

}  // namespace

Result<MachineConfig> build_config(const RunOptions& options) {
    MachineConfig config;
    if (options.config_file) config = TRY(read_config_file(*options.config_file));
    TRY(apply(options.name, "--name", as_it_is, config.name));
    TRY(apply(options.kernel, "--kernel", as_it_is, config.kernel));
    TRY(apply(options.initrd, "--initrd", as_it_is, config.initrd));
    TRY(apply(options.cmdline, "--cmdline", as_it_is, config.cmdline));
    TRY(apply_list(options.disks, "--disk", parse_disk, config.disks));
    TRY(apply_list(options.nics, "--net", parse_nic, config.nics));
    TRY(apply_list(options.pmems, "--pmem", parse_pmem, config.pmems));
    TRY(apply(options.vsock, "--vsock", parse_vsock, config.vsock));
    TRY(apply(options.cpus, "--cpus", parse_cpus, config.cpus));
    TRY(apply(options.memory, "--mem", parse_memory, config.memory_bytes));
    TRY(apply(options.hotplug_memory, "--hotplug-mem", parse_hotplug_memory,
              config.hotplug_memory));
    TRY(apply(options.console, "--console", parse_console, config.console));
    TRY(apply(options.virtio_console, "--virtio-console", parse_console, config.virtio_console));
    TRY(apply(options.grace, "--grace", parse_grace, config.grace_seconds));
    if (options.no_entropy) config.entropy = false;
    if (options.no_balloon) config.balloon = false;
    if (options.no_pvpanic) config.pvpanic = false;
    if (options.no_acpi) config.acpi = false;
    return config;
}

void add_window_size(MachineConfig& config, int fd) {
    const bool com1 = config.console.kind == ConsoleKind::tty;
    if (!com1 && config.virtio_console.kind != ConsoleKind::tty) return;
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return;
    if (!com1) config.virtio_console.size = {.rows = size.ws_row, .columns = size.ws_col};
    if (com1) config.own_cmdline = fmt::format("mote.winsize={}x{}", size.ws_row, size.ws_col);
}

Result<ValidMachineConfig> validate_options(MachineConfig config, const RunOptions& options) {
    auto valid = validate(std::move(config));
    if (valid || !options.config_file) return valid;
    // It is the file's fault unless what was typed is wrong by itself.
    RunOptions typed = options;
    typed.config_file.reset();
    if (!typed.kernel) typed.kernel = "-";
    const auto alone = validate(TRY(build_config(typed)));
    if (!alone && alone.error().message == valid.error().message) return valid;
    return fail("config: {}: {}", *options.config_file, valid.error().message);
}

}  // namespace mote
