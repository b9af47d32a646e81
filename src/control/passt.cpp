#include "control/passt.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <string>

namespace mote {

namespace {

/// Where passt finds its socket.
constexpr int kSocket = 3;

/// posix_spawn's two objects; its functions return an errno.
class Spawn {
  public:
    Spawn() {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
    }
    ~Spawn() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }
    Spawn(const Spawn&) = delete;
    Spawn& operator=(const Spawn&) = delete;

    /// Standard input from /dev/null, standard output to standard error, `socket` as kSocket, and a
    /// process group of its own: the terminal's Ctrl-C and Ctrl-Z are not for it.
    int run(const char* program, char* const* arguments, int socket) {
        sigset_t none;
        ::sigemptyset(&none);
        ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_adddup2(&actions_, STDERR_FILENO, STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions_, socket, kSocket);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setpgroup(&attributes_, 0);
        ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        pid_t child = 0;
        return ::posix_spawnp(&child, program, &actions_, &attributes_, arguments, environ);
    }

  private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

}  // namespace

Result<UniqueFd> start_passt(std::string_view what, std::optional<uint16_t> mtu) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno("{}: cannot make a socket pair for passt", what);
    UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    // dup2 onto itself would leave the descriptor to be closed by exec.
    const UniqueFd apart(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, kSocket + 1));
    if (!apart.valid()) return fail_errno("{}: cannot prepare passt's socket", what);

    std::array<std::string, 7> words{"passt", "--foreground",          "--quiet", "--no-map-gw",
                                     "--fd",  std::to_string(kSocket), ""};
    if (mtu) words.back() = "--mtu=" + std::to_string(*mtu);
    std::array<char*, words.size() + 1> arguments{};
    for (size_t i = 0; i < words.size(); ++i)
        arguments[i] = words[i].empty() ? nullptr : words[i].data();
    Spawn spawn;
    const int code = spawn.run(words[0].c_str(), arguments.data(), apart.get());
    if (code == 0) return ours;
    std::unexpected<Error> failure = fail_code(code, "{}: cannot start passt", what);
    if (code == ENOENT)
        failure.error().message += "; user networking needs it: sudo apt install passt";
    return failure;
}

}  // namespace mote
