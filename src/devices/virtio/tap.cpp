#include "devices/virtio/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "devices/virtio/net_protocol.h"

namespace mote {

using namespace virtio;

namespace {

// From Linux 6.2 on; older headers lack them.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;

constexpr uint64_t kOffloads = kNetCsum | kNetGuestCsum | kNetGuestTso4 | kNetGuestTso6 |
                               kNetGuestUfo | kNetHostTso4 | kNetHostTso6 | kNetHostUfo;
constexpr uint64_t kGuestUso = kNetGuestUso4 | kNetGuestUso6;

/// TUNSETOFFLOAD's word. Nothing goes without checksums (5.1.3.1), and the kernel knows USO for
/// both versions of IP or none.
unsigned tun_offloads(uint64_t features) {
    if ((features & kNetGuestCsum) == 0) return 0;
    unsigned flags = TUN_F_CSUM;
    if ((features & kNetGuestTso4) != 0) flags |= TUN_F_TSO4;
    if ((features & kNetGuestTso6) != 0) flags |= TUN_F_TSO6;
    if ((features & kNetGuestUfo) != 0) flags |= TUN_F_UFO;
    if ((features & kGuestUso) == kGuestUso) flags |= kTunUso4 | kTunUso6;
    return flags;
}

/// Again where a signal came in between; a failure as a negative errno.
template <class Call>
ssize_t retried(Call call) {
    for (;;) {
        const ssize_t done = call();
        if (done >= 0) return done;
        if (errno != EINTR) return -errno;
    }
}

}  // namespace

Result<std::unique_ptr<Tap>> Tap::create(UniqueFd fd) {
    ifreq request{};
    if (::ioctl(fd.get(), TUNGETIFF, &request) != 0)
        return fail_errno("file descriptor {} is no attached TAP", fd.get());
    constexpr unsigned kNeeded = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    const auto flags = static_cast<uint16_t>(request.ifr_flags);
    if ((flags & (kNeeded | IFF_TUN)) != kNeeded)
        return fail(
            "file descriptor {} is not a TAP with IFF_NO_PI and IFF_VNET_HDR (its flags "
            "are {:#x})",
            fd.get(), flags);
    int header = sizeof(NetHeader);
    if (::ioctl(fd.get(), TUNSETVNETHDRSZ, &header) != 0)
        return fail_errno("cannot set the TAP's header to {} bytes", header);
    const int status = ::fcntl(fd.get(), F_GETFL);
    if (status < 0 || ::fcntl(fd.get(), F_SETFL, status | O_NONBLOCK) != 0)
        return fail_errno("cannot make the TAP's descriptor non-blocking");

    std::unique_ptr<Tap> tap(new Tap(std::move(fd)));
    tap->offloads_ = kOffloads;
    // The kernel's own way to ask is to try; then nothing is offloaded until a driver agrees to it.
    if (::ioctl(tap->fd(), TUNSETOFFLOAD, tun_offloads(kNetGuestCsum | kGuestUso)) == 0)
        tap->offloads_ |= kGuestUso | kNetHostUso;
    TRY(tap->set_offloads(0));
    return tap;
}

Result<> Tap::set_offloads(uint64_t features) {
    const unsigned flags = tun_offloads(features);
    if (::ioctl(fd_.get(), TUNSETOFFLOAD, flags) != 0)
        return fail_errno("cannot set the TAP's offloads ({:#x})", flags);
    return {};
}

ssize_t Tap::receive(std::span<const iovec> parts) {
    return retried([&] { return ::readv(fd(), parts.data(), static_cast<int>(parts.size())); });
}

ssize_t Tap::send(std::span<const iovec> parts) {
    return retried([&] { return ::writev(fd(), parts.data(), static_cast<int>(parts.size())); });
}

}  // namespace mote
