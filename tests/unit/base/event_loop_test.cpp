#include "base/event_loop.h"

#include <sys/epoll.h>

#include <atomic>
#include <thread>

#include "unit/catch.h"

using mote::EventFd;
using mote::EventLoop;

TEST_CASE("EventLoop runs posted tasks in order and ends after the last") {
    const auto loop = EventLoop::create().value();
    std::vector<int> seen;
    std::thread thread([&] { loop->run(); });
    for (int i = 0; i < 100; ++i)
        loop->post([&seen, i] { seen.push_back(i); });
    loop->post_and_wait([&seen] { seen.push_back(100); });
    CHECK(seen.size() == 101);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
    loop->stop();
    thread.join();
}

TEST_CASE("EventLoop hands out events and forgets a removed descriptor") {
    const auto loop = EventLoop::create().value();
    const EventFd first = EventFd::create().value();
    const EventFd second = EventFd::create().value();
    std::atomic<int> firsts = 0;
    REQUIRE(loop->add(first.fd(), EPOLLIN, [&](uint32_t) {
        first.consume();
        ++firsts;
        loop->remove(second.fd());
    }));
    REQUIRE(loop->add(second.fd(), EPOLLIN, [&](uint32_t) {
        second.consume();
        loop->stop();
    }));
    CHECK_FALSE(loop->others_wait());
    first.signal();
    CHECK(loop->others_wait());
    std::thread thread([&] { loop->run(); });
    while (firsts == 0)
        loop->post_and_wait([] {});
    second.signal();
    loop->post_and_wait([] {});
    loop->stop();
    thread.join();
    CHECK(second.consume());
}

TEST_CASE("EventLoop says which descriptor epoll does not take") {
    const auto loop = EventLoop::create().value();
    const auto added = loop->add(-1, EPOLLIN, [](uint32_t) {});
    REQUIRE_FALSE(added);
    CHECK(added.error().message == "cannot watch file descriptor -1: Bad file descriptor");
}

TEST_CASE("EventLoop: deferred work runs once what is known by then was handled") {
    auto loop = EventLoop::create().value();
    const EventFd first = EventFd::create().value();
    const EventFd second = EventFd::create().value();
    std::string order;
    const auto on_event = [&](const EventFd& event, char name) {
        return [&, name](uint32_t) {
            event.consume();
            order += name;
            loop->defer([&, name] {
                order += static_cast<char>(name - 'a' + 'A');
                if (name == 'a') loop->defer([&] { loop->stop(); });
            });
        };
    };
    REQUIRE(loop->add(first.fd(), EPOLLIN, on_event(first, 'a')).has_value());
    REQUIRE(loop->add(second.fd(), EPOLLIN, on_event(second, 'b')).has_value());
    first.signal();
    second.signal();
    loop->run();
    CHECK(order == "abAB");
}
