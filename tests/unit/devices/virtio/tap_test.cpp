#include "devices/virtio/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "devices/virtio/net_protocol.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::virtio;

namespace {

/// A TAP of this process alone, down and without a name of ours; invalid where that is forbidden.
UniqueFd attach(int flags) {
    UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    ifreq request{};
    request.ifr_flags = static_cast<short>(flags);
    if (fd.valid() && ::ioctl(fd.get(), TUNSETIFF, &request) != 0) fd.reset();
    return fd;
}

}  // namespace

TEST_CASE("Tap: refuses what is no TAP with a virtio header") {
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const auto refused = Tap::create(std::move(null));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("is no attached TAP") != std::string::npos);
    UniqueFd plain = attach(IFF_TAP | IFF_NO_PI);
    if (!plain.valid()) {
        WARN("TAPs NOT TESTED: this process may not make one");
        return;
    }
    CHECK(Tap::create(std::move(plain)).error().message.find("IFF_VNET_HDR") != std::string::npos);
    CHECK_FALSE(Tap::create(attach(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)));
}

TEST_CASE("Tap: offloads, and a TAP that is down") {
    UniqueFd fd = attach(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    if (!fd.valid()) {
        WARN("TAPs NOT TESTED: this process may not make one");
        return;
    }
    auto created = Tap::create(std::move(fd));
    REQUIRE(created);
    Tap& tap = **created;
    constexpr uint64_t kAlways = kNetCsum | kNetGuestCsum | kNetGuestTso4 | kNetGuestTso6 |
                                 kNetGuestUfo | kNetHostTso4 | kNetHostTso6 | kNetHostUfo;
    CHECK((tap.offloads() & kAlways) == kAlways);
    CHECK(tap.set_offloads(tap.offloads()));
    CHECK(tap.set_offloads(kNetGuestCsum | kNetGuestUso4));  // one version of IP: none is set
    CHECK(tap.set_offloads(kNetGuestTso4));                  // nothing goes without checksums
    int size = 0;
    REQUIRE(::ioctl(tap.fd(), TUNGETVNETHDRSZ, &size) == 0);
    CHECK(size == 12);
    CHECK((::fcntl(tap.fd(), F_GETFL) & O_NONBLOCK) != 0);

    std::byte bytes[64]{};
    const iovec all{.iov_base = bytes, .iov_len = sizeof bytes};
    CHECK(tap.receive({&all, 1}) == -EAGAIN);
    CHECK(tap.send({&all, 1}) == -EIO);
}
