// Terminal: the person's terminal in raw mode, and back as it was whatever happens.
#pragma once

#include <termios.h>

#include <mutex>

namespace mote {

/// The terminal behind one file descriptor. Raw only while this process is in the foreground:
/// in the background the terminal is somebody else's. At most one exists. Any thread.
class Terminal {
  public:
    /// `fd` stays the caller's. Where it is no terminal, everything below does nothing.
    explicit Terminal(int fd);
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    /// Restores.
    ~Terminal();

    [[nodiscard]] bool is_terminal() const { return is_terminal_; }
    /// Sets raw mode if this process is in the foreground and the terminal is not suspended. True
    /// where what is typed is for the guest.
    bool claim();
    /// Gives the terminal back until resume(): before this process stops.
    void suspend();
    /// After this process was stopped, by whatever: somebody may have changed the modes since.
    void resume();
    /// Gives the terminal back for good.
    void restore();

  private:
    void leave_raw();
    [[nodiscard]] bool in_background() const;

    const int fd_;
    bool is_terminal_ = false;
    std::mutex mutex_;  // guards what follows
    termios saved_{};
    bool raw_ = false;
    bool suspended_ = false;
};

}  // namespace mote
