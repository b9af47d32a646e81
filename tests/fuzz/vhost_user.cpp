// Fuzzes what a vhost-user back end says: whatever it is, no crash, no hang, no descriptor kept,
// and each drain comes to its end.
//
// Input: a byte of choices (kSendFiles and its like), one of sizes, then the back end's bytes,
// after which it hangs up.

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "devices/virtio/vhost_user_block.h"
#include "support/fuzz.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{64} << 10U;
constexpr size_t kMaxBytes = 4096;

constexpr unsigned kSendFiles = 1;
constexpr unsigned kResume = 2;
constexpr unsigned kStartAgain = 4;

class Interrupt final : public VirtioInterrupt {
  public:
    void queue(uint16_t /*index*/) override {}
    void config() override {}
    void refresh_config() override {}
    void needs_reset(std::string_view /*why*/) override {}
};

/// Puts an answer together in pieces of `step` bytes, as long as there are any.
void read_answer(std::span<const uint8_t> bytes, size_t size, size_t step) {
    VhostUserAnswer answer;
    answer.expect(vhost_user::Request::get_config, size);
    for (bool done = false; !done && !bytes.empty();) {
        const std::span<std::byte> room = answer.room();
        require(!room.empty(), "an answer that is not complete has room");
        const size_t count = std::min({room.size(), step, bytes.size()});
        std::memcpy(room.data(), bytes.data(), count);
        bytes = bytes.subspan(count);
        const auto filled = answer.filled(count);
        if (!filled) return;
        done = *filled;
        require(done != answer.expected(), "what is complete is expected no more");
    }
    require(answer.payload().size() == size, "an answer has the size that was asked for");
}

class Guest {
  public:
    Guest(const GuestMemory& memory, std::unique_ptr<VhostUserBlock> device)
        : device_(std::move(device)) {
        queue_ = Queue::create({.max_size = 256,
                                .size = 8,
                                .ready = true,
                                .descriptors = {0x1000},
                                .driver = {0x1400},
                                .device = {0x1800}},
                               memory, 0, {})
                     .value();
    }
    ~Guest() { device_->reset(); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    void run(unsigned choices) {
        if (!activate()) return;
        rest();
        if ((choices & kResume) != 0) {
            device_->resume();
            rest();
        }
        if ((choices & kStartAgain) == 0) return;
        device_->reset();
        if (activate()) rest();
    }

  private:
    bool activate() {
        // A loop that was stopped stays so: the device gets another one.
        device_->reset();
        loop_ = EventLoop::create().value();
        Queue* const list[] = {queue_.get()};
        const std::array<int, 1> kicks{kick_.fd()};
        return device_
            ->activate({.queues = list,
                        .interrupt = interrupt_,
                        .loop = *loop_,
                        .features = device_->features(),
                        .kick_fds = kicks,
                        .call_fd = call_.fd()})
            .has_value();
    }

    /// A drain, waited for.
    void rest() {
        bool rested = false;
        device_->drain([&] {
            rested = true;
            loop_->stop();
        });
        // Stopped once, it comes back from each turn.
        while (!rested)
            loop_->run();
        require(rested, "a drained device rests");
    }

    Interrupt interrupt_;
    const EventFd kick_ = EventFd::create().value();
    const EventFd call_ = EventFd::create().value();
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<Queue> queue_;
    std::unique_ptr<VhostUserBlock> device_;
};

void say(int fd, std::span<const uint8_t> bytes, bool files) {
    iovec part{.iov_base = const_cast<uint8_t*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (files) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    if (!bytes.empty() && ::sendmsg(fd, &message, MSG_NOSIGNAL) < 0) std::abort();
    ::shutdown(fd, SHUT_WR);
}

int lowest_free_descriptor() {
    const UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return fd.get();
}

struct SharedRam {
    std::vector<RegionConfig> regions{{.base = {0}, .size = kRam}};
    UniqueFd file = share_in_memfd(regions).value();
    GuestMemory memory = GuestMemory::create(regions).value();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const SharedRam ram;
    if (size < 2 || size > kMaxBytes) return 0;
    const unsigned choices = data[0];
    const auto bytes = std::span(data, size).subspan(2);
    read_answer(bytes, data[1] % (vhost_user::kMaxAnswer + 1), 1 + data[1] % 16);

    const int before = lowest_free_descriptor();
    {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
        UniqueFd front_end(ends[0]);
        const UniqueFd back_end(ends[1]);
        say(back_end.get(), bytes, (choices & kSendFiles) != 0);
        auto device = VhostUserBlock::create(
            {.id = "disk0", .socket = std::move(front_end), .path = "fuzz"}, ram.memory);
        if (device) Guest(ram.memory, *std::move(device)).run(choices);
    }
    require(lowest_free_descriptor() == before, "no descriptor is kept");
    return 0;
}
