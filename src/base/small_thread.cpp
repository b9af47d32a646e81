#include "base/small_thread.h"

#include <sys/prctl.h>

#include <csignal>
#include <cstddef>
#include <utility>

namespace mote {

namespace {
constexpr size_t kStackSize = size_t{128} << 10U;
}

void* SmallThread::run(void* work) {
    const auto& mine = *static_cast<const Work*>(work);
    // By itself: from another thread, the C library would need /proc for it.
    ::prctl(PR_SET_NAME, mine.name.c_str());
    mine.body();
    return nullptr;
}

Result<> SmallThread::start(std::string name, std::function<void()> body) {
    work_ = std::make_unique<Work>(Work{std::move(name), std::move(body)});
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, kStackSize);
    const int code = ::pthread_create(&thread_, &attributes, run, work_.get());
    ::pthread_attr_destroy(&attributes);
    if (code != 0) return fail_code(code, "cannot start the thread {}", work_->name);
    started_ = true;
    return {};
}

SmallThread::~SmallThread() {
    join();
}

void SmallThread::join() {
    if (std::exchange(started_, false)) ::pthread_join(thread_, nullptr);
}

void SmallThread::signal(int number) const {
    ::pthread_kill(thread_, number);
}

}  // namespace mote
