#include "base/event_fd.h"

#include <sys/eventfd.h>

#include <cstdint>

namespace mote {

Result<EventFd> EventFd::create() {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd.valid()) return fail_errno("cannot create an eventfd");
    return EventFd(std::move(fd));
}

void EventFd::signal() const noexcept {
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
}

bool EventFd::consume() const noexcept {
    uint64_t count = 0;
    return ::read(fd_.get(), &count, sizeof count) == static_cast<ssize_t>(sizeof count);
}

}  // namespace mote
