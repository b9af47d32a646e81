#include "devices/virtio/disk_pool.h"

namespace mote {

Result<std::unique_ptr<DiskPool>> DiskPool::create(const DiskFile& file) {
    EventFd event = TRY(EventFd::create());
    return std::unique_ptr<DiskPool>(new DiskPool(file, std::move(event)));
}

DiskPool::~DiskPool() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    jobs_changed_.notify_all();
    threads_.clear();
}

void DiskPool::submit(uint16_t tag, const DiskRequest& request) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({tag, request});
    if (jobs_.size() <= idle_ || threads_.size() == kMaxThreads) {
        jobs_changed_.notify_one();
        return;
    }
    if (threads_.emplace_back().start("disk-io", [this] { work(); })) return;
    threads_.pop_back();
    // The threads there are serve it later; without any, it fails.
    if (!threads_.empty()) return;
    jobs_.pop_back();
    done_.push_back({tag, -EAGAIN});
    any_done_.store(true, std::memory_order_release);
    event_.signal();
}

void DiskPool::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        jobs_changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        --idle_;
        if (jobs_.empty()) return;
        const Job job = jobs_.front();
        jobs_.pop_front();
        lock.unlock();
        const int result = file_.run(job.request);
        lock.lock();
        done_.push_back({job.tag, result});
        any_done_.store(true, std::memory_order_release);
        event_.signal();
    }
}

bool DiskPool::ready() const {
    return any_done_.load(std::memory_order_acquire);
}

void DiskPool::reap(const std::function<void(uint16_t tag, int result)>& completed) {
    {
        const std::lock_guard lock(mutex_);
        reaped_.swap(done_);
        any_done_.store(false, std::memory_order_release);
    }
    for (const Done& done : reaped_)
        completed(done.tag, done.result);
    reaped_.clear();
}

}  // namespace mote
