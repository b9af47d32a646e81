#include "base/event_loop.h"

#include <poll.h>
#include <sys/epoll.h>

#include <array>
#include <condition_variable>

namespace mote {

namespace {
constexpr int kEventsPerWait = 32;
}

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.valid()) return fail_errno("cannot create an epoll instance");
    EventFd wake = TRY(EventFd::create());
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = wake.fd();
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.fd(), &event) != 0)
        return fail_errno("cannot watch the event loop's own eventfd");
    return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

Result<> EventLoop::add(int fd, uint32_t events, Handler handler) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return fail_errno("cannot watch file descriptor {}", fd);
    watches_[fd] = std::make_shared<Watch>(Watch{std::move(handler)});
    return {};
}

Result<> EventLoop::modify(int fd, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0)
        return fail_errno("cannot change what file descriptor {} is watched for", fd);
    return {};
}

void EventLoop::remove(int fd) {
    if (watches_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::post(Task task) {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    wake_.signal();
}

void EventLoop::post_and_wait(const Task& task) {
    std::mutex mutex;
    std::condition_variable done_changed;
    bool done = false;
    post([&] {
        task();
        const std::lock_guard lock(mutex);
        done = true;
        done_changed.notify_one();
    });
    std::unique_lock lock(mutex);
    done_changed.wait(lock, [&] { return done; });
}

void EventLoop::stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.signal();
}

bool EventLoop::others_wait() const {
    pollfd descriptor{.fd = epoll_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&descriptor, 1, 0) > 0;
}

void EventLoop::run_posted() {
    std::vector<Task> tasks;
    {
        const std::lock_guard lock(mutex_);
        tasks.swap(posted_);
    }
    for (const Task& task : tasks)
        task();
}

void EventLoop::run_deferred() {
    // What these defer in turn comes after the next look for events.
    deferred_now_.swap(deferred_);
    for (const Task& task : deferred_now_)
        task();
    deferred_now_.clear();
}

void EventLoop::dispatch(int fd, uint32_t events) {
    // A handler may remove its own watch or one whose event is still to come in this batch.
    const auto found = watches_.find(fd);
    if (found == watches_.end()) return;
    const std::shared_ptr<Watch> watch = found->second;
    watch->handler(events);
}

void EventLoop::run() {
    std::array<epoll_event, kEventsPerWait> events;
    for (;;) {
        const int limit = deferred_.empty() ? -1 : 0;
        const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerWait, limit);
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<size_t>(i)];
            if (event.data.fd == wake_.fd()) {
                wake_.consume();
                run_posted();
            } else {
                dispatch(event.data.fd, event.events);
            }
        }
        run_deferred();
        const std::lock_guard lock(mutex_);
        if (stopping_ && posted_.empty()) return;
    }
}

}  // namespace mote
