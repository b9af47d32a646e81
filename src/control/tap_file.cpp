#include "control/tap_file.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/log.h"

namespace mote {

namespace {

ifreq request_for(const std::string& name) {
    ifreq request{};
    name.copy(request.ifr_name, sizeof request.ifr_name - 1);
    return request;
}

/// True where the device is up. TUNSETIFF would make one that is missing, which nobody has set up.
Result<bool> look_up(std::string_view what, const std::string& name) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request = request_for(name);
    if (!socket.valid()) return fail_errno("{}: cannot ask for network devices", what);
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) {
        if (errno == ENODEV)
            return fail(
                "{}: there is no network device {}; make one: sudo ip tuntap add dev {} mode tap "
                "user $USER && sudo ip link set {} up",
                what, name, name, name);
        return fail_errno("{}: cannot look at the network device {}", what, name);
    }
    return (static_cast<unsigned short>(request.ifr_flags) & IFF_UP) != 0;
}

std::string_view advice(int code) {
    switch (code) {
        case EBUSY:
            return "; another program has it: end that, or give another TAP";
        case EPERM:
        case EACCES:
            return "; it belongs to another user: run as its owner or root, or make it with 'user "
                   "$USER'";
        case EINVAL:
            return "; it is no TAP, or one with several queues: make it by 'ip tuntap add dev NAME "
                   "mode tap'";
        default:
            return "";
    }
}

}  // namespace

Result<UniqueFd> open_tun(std::string_view what, std::string_view no_rights) {
    UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (fd.valid()) return fd;
    const int code = errno;
    std::unexpected<Error> failure = fail_code(code, "{}: cannot open /dev/net/tun", what);
    if (code == ENOENT || code == ENODEV || code == ENXIO)
        failure.error().message += "; the host lacks TUN/TAP: sudo modprobe tun";
    if (code == EACCES || code == EPERM) failure.error().message += no_rights;
    return failure;
}

Result<UniqueFd> take_tap(std::string_view what, uint32_t fd) {
    const int number = static_cast<int>(fd);
    if (::fcntl(number, F_GETFD) < 0)
        return fail(
            "{}: file descriptor {} is not open: whoever starts mote has to open it, without "
            "close-on-exec",
            what, fd);
    ifreq request{};
    if (::ioctl(number, TUNGETIFF, &request) != 0)
        return fail(
            "{}: file descriptor {} is no TAP that is attached: open /dev/net/tun and use "
            "TUNSETIFF with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR",
            what, fd);
    constexpr unsigned kNeeded = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    const auto flags = static_cast<uint16_t>(request.ifr_flags);
    if ((flags & (kNeeded | IFF_TUN)) != kNeeded)
        return fail(
            "{}: file descriptor {} is {} with the flags {:#x}: attach it with IFF_TAP | "
            "IFF_NO_PI | IFF_VNET_HDR",
            what, fd, (flags & IFF_TUN) != 0 ? "a TUN" : "a TAP", flags);
    // From here on it is ours, and not a child's.
    UniqueFd tap(number);
    if (::fcntl(number, F_SETFD, FD_CLOEXEC) != 0)
        return fail_errno("{}: cannot take file descriptor {}", what, fd);
    return tap;
}

Result<UniqueFd> open_tap(std::string_view what, const std::string& name) {
    UniqueFd fd = TRY(open_tun(what, "; run as root, or: sudo chmod 0666 /dev/net/tun"));
    const bool up = TRY(look_up(what, name));
    ifreq request = request_for(name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    const int code = ::ioctl(fd.get(), TUNSETIFF, &request) == 0 ? 0 : errno;
    if (code == 0) {
        if (!up)
            log_message(LogLevel::warning,
                        "{}: {} is down: no frame passes until: sudo ip link set {} up", what, name,
                        name);
        return fd;
    }
    std::unexpected<Error> failure = fail_code(code, "{}: cannot attach to the TAP {}", what, name);
    failure.error().message += advice(code);
    return failure;
}

}  // namespace mote
