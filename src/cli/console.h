// Console: COM1's other end. Takes what the guest prints, brings it what somebody types.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/event_fd.h"
#include "base/result.h"
#include "cli/output_buffer.h"
#include "control/machine_config.h"
#include "devices/console_io.h"

namespace mote {

/// What a console has to tell the main thread.
enum class ConsoleEvent : uint8_t { none, quit, hangup };

/// What every console is made of.
struct ConsoleParts {
    std::unique_ptr<OutputBuffer> buffer;
    EventFd event;
    EventFd wake;
    /// Errors: ENOMEM, EMFILE.
    static Result<ConsoleParts> create(size_t buffer_capacity = OutputBuffer::kDefaultCapacity);
};

/// The error for a path that a system call has just refused, with the way out.
[[nodiscard]] std::unexpected<Error> console_failed(std::string_view tried,
                                                    const std::string& path);

/// Made before the machine, opened once nothing can fail any more except the console itself,
/// finished after the machine. Methods are the main thread's.
class Console {
  public:
    /// The console that `config` asks for; null where it is off. Nothing outside is touched yet.
    /// Errors: ENOMEM, EMFILE.
    static Result<std::unique_ptr<Console>> create(const ConsoleConfig& config);

    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;
    virtual ~Console() = default;

    [[nodiscard]] ConsoleOutput* output() const { return parts_.buffer.get(); }

    /// Makes the file or socket, or takes the terminal, and begins to hand output on.
    /// Errors: the path cannot be written or is in use; EAGAIN for a thread.
    virtual Result<> open() = 0;
    /// Begins to bring input. `input` outlives the console's threads.
    /// Errors: EAGAIN for a thread.
    virtual Result<> start_input(ConsoleInput& input) = 0;

    /// This process is about to stop; it has been continued.
    virtual void suspend() {}
    virtual void resume() {}

    /// Hands on what is left, for at most `limit`, and gives everything back: the terminal's
    /// modes, the socket's path. Says how many bytes a reader who is there has not taken.
    /// Idempotent.
    virtual uint64_t finish(std::chrono::milliseconds limit) = 0;

    /// Whether a message on standard error would continue a line of the guest's.
    [[nodiscard]] virtual bool leaves_line_open() { return false; }

    /// Readable when take_event() has something to say.
    [[nodiscard]] const EventFd& event() const { return parts_.event; }
    ConsoleEvent take_event();

  protected:
    explicit Console(ConsoleParts parts) : parts_(std::move(parts)) {}
    [[nodiscard]] OutputBuffer& buffer() { return *parts_.buffer; }
    /// Wakes a thread of the console that waits for something else.
    [[nodiscard]] const EventFd& wake() const { return parts_.wake; }
    /// Any thread.
    void tell(ConsoleEvent what);

  private:
    const ConsoleParts parts_;
    std::atomic<ConsoleEvent> told_ = ConsoleEvent::none;
};

}  // namespace mote
