// mote: the program.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>

#include "cli/check.h"
#include "cli/command_line.h"
#include "cli/exit_status.h"
#include "cli/print.h"
#include "cli/run.h"

namespace mote {

namespace {

/// Makes sure that descriptors 0 to 2 are open, so that no disk or socket gets one of them and then
/// what is meant for standard output.
void open_standard_descriptors() {
    std::array<pollfd, 3> descriptors{};
    for (int fd = 0; fd < 3; ++fd)
        descriptors[static_cast<size_t>(fd)].fd = fd;
    if (::poll(descriptors.data(), descriptors.size(), 0) == 0) return;
    for (const pollfd& descriptor : descriptors) {
        // The lowest free number is this one: those below it are open by now.
        if ((descriptor.revents & POLLNVAL) != 0) [[maybe_unused]]
            const int fd = ::open("/dev/null", O_RDWR);
    }
}

ExitStatus print(std::string_view text) {
    return print_text(text) ? ExitStatus::success : ExitStatus::host_failure;
}

ExitStatus without_subcommand() {
    if (::isatty(STDIN_FILENO) != 0) return print(help_text());
    print_error("this version has no REST API yet; see mote --help");
    return ExitStatus::bad_input;
}

ExitStatus run_main(int argc, const char* const* argv) {
    open_standard_descriptors();
    const auto command = parse_command_line(argc, argv);
    if (!command) {
        print_error(command.error().message);
        return ExitStatus::bad_input;
    }
    switch (command->subcommand) {
        case Subcommand::nothing:
            return without_subcommand();
        case Subcommand::print_text:
            return print(command->text);
        case Subcommand::run:
            return run_command(command->run);
        case Subcommand::check:
            return check_command(command->quiet);
    }
    return ExitStatus::bad_input;
}

}  // namespace

}  // namespace mote

int main(int argc, char* argv[]) {
    return static_cast<int>(mote::run_main(argc, argv));
}
