// Fuzzes the DHCP responder with a guest's frames: nothing is read outside of a frame, and each
// answer fits where it goes and says what it may.
//
// Input: frames, each behind its length (16 bits, little-endian).

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/virtio/dhcp_responder.h"
#include "support/fuzz.h"

using namespace mote;

namespace {

void ask(DhcpResponder& server, const uint8_t* data, size_t size) {
    // A copy of its own, so that a byte behind it is seen to be read.
    const auto copy = std::make_unique<std::byte[]>(size);
    for (size_t i = 0; i < size; ++i)
        copy[i] = std::byte{data[i]};
    const std::span<const std::byte> frame(copy.get(), size);
    const auto head = frame.first(std::min(size, FrameFilter::kHead));
    if (parse_dhcp(frame))
        require(dhcp_destination(head).has_value(), "a message shows in its head");
    static_cast<void>(server.wants(head));
    server.take(frame);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    DhcpResponder server({.setup = {.address = {0x0AD50002},
                                    .prefix = 30,
                                    .router = {0x0AD50001},
                                    .name_servers = {{0x08080808}}},
                          .mtu = uint16_t{1500}});
    while (size >= 2) {
        const size_t length = std::min<size_t>(data[0] | size_t{data[1]} << 8U, size - 2);
        ask(server, data + 2, length);
        data += 2 + length;
        size -= 2 + length;
    }
    std::vector<std::byte> room(65536);
    for (size_t answers = 0; const size_t written = server.next(room); ++answers) {
        require(answers < DhcpResponder::kMaxWaiting, "few answers wait");
        require(written >= 342 && written < 1024, "an answer's size");
    }
    return 0;
}
