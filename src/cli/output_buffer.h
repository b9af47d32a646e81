// OutputBuffer: what the guest has printed and nobody has taken yet, bounded.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/event_fd.h"
#include "base/mapping.h"
#include "base/result.h"
#include "devices/console_io.h"

namespace mote {

/// A ring between the threads that run the guest and one thread that hands its output on. The
/// writer never waits: while the ring is full the newest bytes are dropped, and a short line in
/// their place tells how many. While nobody listens it can keep the latest instead.
class OutputBuffer final : public ConsoleOutput {
  public:
    static constexpr size_t kDefaultCapacity = size_t{1} << 20U;

    /// `capacity` is at least 1 KiB. Errors: ENOMEM, EMFILE.
    static Result<std::unique_ptr<OutputBuffer>> create(size_t capacity = kDefaultCapacity);

    /// Any thread.
    void write(std::span<const std::byte> bytes) noexcept override;

    /// The oldest bytes that lie in one piece; they stay until consume(). Where there are none,
    /// the next write() makes readable() readable. Reader's thread.
    std::span<const std::byte> peek();
    /// Takes `count` of the bytes that peek() showed. Reader's thread.
    void consume(size_t count);
    [[nodiscard]] const EventFd& readable() const { return readable_; }

    /// From now on the oldest bytes are dropped instead of the newest. Not between peek() and
    /// consume(). Reader's thread.
    void keep_latest();
    /// Back to dropping the newest; says how many were dropped since. Reader's thread.
    uint64_t stop_keeping_latest();

    /// How many bytes nobody has taken, the dropped ones and the lines that tell of them included.
    /// Any thread.
    [[nodiscard]] uint64_t waiting();

    /// Whether the last byte written ended no line. Any thread.
    [[nodiscard]] bool ends_mid_line();

    /// The line that stands for `count` lost bytes.
    static std::string marker(uint64_t count);

  private:
    OutputBuffer(Mapping storage, EventFd readable)
        : storage_(std::move(storage)), readable_(std::move(readable)) {}

    [[nodiscard]] size_t used() const { return head_ - tail_; }
    void append(std::span<const std::byte> bytes);
    void append_marker();
    void append_dropping_oldest(std::span<const std::byte> bytes);
    void append_or_drop(std::span<const std::byte> bytes);

    const Mapping storage_;
    const EventFd readable_;
    std::mutex mutex_;   // guards what follows
    uint64_t head_ = 0;  ///< counts bytes in; modulo the capacity it is where the next one goes
    uint64_t tail_ = 0;  ///< counts bytes out
    uint64_t lost_ = 0;  ///< and not yet told by a marker
    uint64_t told_ = 0;  ///< lost, and told by markers before told_until_ in the ring
    uint64_t told_until_ = 0;  ///< what is taken of the ring up to here tells its reader
    bool keep_latest_ = false;
    bool reader_waits_ = false;
    std::byte last_{'\n'};
};

}  // namespace mote
