// FakeBackEnd: a vhost-user back end at the other end of a socket pair. It answers as it should,
// or as the test says, and serves no request.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "devices/virtio/vhost_user_protocol.h"

namespace mote::test {

class FakeBackEnd {
  public:
    using Request = vhost_user::Request;
    struct Message {
        Request request{};
        std::vector<std::byte> payload;
        std::vector<UniqueFd> files;

        /// The payload's first bytes.
        template <class T>
        [[nodiscard]] T as() const {
            T value{};
            std::memcpy(&value, payload.data(), std::min(payload.size(), sizeof value));
            return value;
        }
    };
    /// Called on the back end's thread in place of the usual answer.
    using Answer = std::function<void()>;

    /// With a disk of 2048 sectors and all features there are.
    FakeBackEnd();
    ~FakeBackEnd();
    FakeBackEnd(const FakeBackEnd&) = delete;
    FakeBackEnd& operator=(const FakeBackEnd&) = delete;

    /// mote's end; once.
    UniqueFd take_front_end() { return std::move(front_end_); }

    // What it tells. Set before it is asked.
    uint64_t features = ~uint64_t{0};
    uint64_t protocol_features = ~uint64_t{0};
    vhost_user::ConfigSpace space{};
    vhost_user::VringState stopped_at{};

    void on(Request request, Answer answer);
    /// No answer at all.
    void ignore(Request request) {
        on(request, [] {});
    }
    /// The usual answer to `request`.
    void answer(Request request);
    /// Any message; from any thread.
    void send(uint32_t request, uint32_t flags, uint32_t size, std::span<const std::byte> payload,
              std::span<const int> files = {});
    void send_bytes(std::span<const std::byte> bytes, std::span<const int> files = {});
    /// Both ways; from any thread.
    void hang_up();

    /// Waits until so many messages of this kind came since the start; false after 10 s.
    bool wait_for(Request request, size_t count = 1);
    [[nodiscard]] size_t count(Request request);
    /// All requests so far, in their order.
    [[nodiscard]] std::vector<Request> requests();
    /// The last message of this kind, of which one has come; stays until the back end goes.
    [[nodiscard]] const Message& last(Request request);

  private:
    bool receive(Message& message) const;
    void run();

    UniqueFd front_end_;
    UniqueFd socket_;
    std::mutex mutex_;
    std::condition_variable came_;
    std::deque<Message> messages_;
    std::map<Request, Answer> answers_;
    std::thread thread_;
};

}  // namespace mote::test
