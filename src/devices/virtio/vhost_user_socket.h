// VhostUserSocket: messages to a vhost-user back end, and its answers.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/result.h"
#include "base/unique_fd.h"
#include "devices/virtio/vhost_user_protocol.h"

namespace mote {

/// Puts one answer together from the pieces that a stream gives. What is read is never more than
/// that answer, and its size is known before: nothing that the back end says sizes anything.
class VhostUserAnswer {
  public:
    /// The next answer is one to `request`, of `size` bytes up to vhost_user::kMaxAnswer.
    void expect(vhost_user::Request request, size_t size);

    /// Where the next bytes of it go; empty where none is expected.
    [[nodiscard]] std::span<std::byte> room();
    /// The first `count` bytes of room() are there. True once the answer is complete; none is
    /// expected then. Errors: it is not the answer that was expected.
    Result<bool> filled(size_t count);

    [[nodiscard]] bool expected() const { return expected_; }
    /// Of the last complete answer.
    [[nodiscard]] std::span<const std::byte> payload() const {
        return std::span(buffer_).subspan(sizeof(vhost_user::Header), size_);
    }

  private:
    [[nodiscard]] Result<> check_header() const;

    std::array<std::byte, sizeof(vhost_user::Header) + vhost_user::kMaxAnswer> buffer_{};
    vhost_user::Request request_{};
    size_t size_ = 0;
    size_t used_ = 0;
    bool expected_ = false;
};

/// The connection to one back end. Nothing here waits but ask(). Errors, in all methods, are
/// phrases that stand behind "the back end ": "has hung up"; nothing can be said to it after one.
/// One thread at a time.
class VhostUserSocket {
  public:
    using Deadline = std::chrono::steady_clock::time_point;

    /// `socket`: connected, of type SOCK_STREAM.
    explicit VhostUserSocket(UniqueFd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] bool open() const { return socket_.valid(); }
    void close() { socket_.reset(); }

    /// Sends a message with its files.
    Result<> send(vhost_user::Request request, std::span<const std::byte> payload,
                  std::span<const int> files = {});
    template <class T>
    Result<> send(vhost_user::Request request, const T& payload, std::span<const int> files = {}) {
        static_assert(std::has_unique_object_representations_v<T>);
        return send(request, std::as_bytes(std::span(&payload, 1)), files);
    }

    /// The next bytes to come are the answer to `request`, of `size` bytes.
    void expect(vhost_user::Request request, size_t size) { answer_.expect(request, size); }
    /// Takes what has come: true once the expected answer is complete, false where more is to
    /// come. Errors: it hung up, or what came is not what was expected.
    Result<bool> receive();
    /// Of the last complete answer.
    [[nodiscard]] std::span<const std::byte> payload() const { return answer_.payload(); }

    /// Sends `payload`, and waits until the answer, of `size` bytes, is complete.
    Result<> ask(vhost_user::Request request, std::span<const std::byte> payload, size_t size,
                 Deadline deadline);

  private:
    UniqueFd socket_;
    VhostUserAnswer answer_;
};

}  // namespace mote
