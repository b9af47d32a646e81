#include "cli/output_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mote {

Result<std::unique_ptr<OutputBuffer>> OutputBuffer::create(size_t capacity) {
    Mapping storage = TRY(Mapping::anonymous(capacity));
    EventFd readable = TRY(EventFd::create());
    return std::unique_ptr<OutputBuffer>(new OutputBuffer(std::move(storage), std::move(readable)));
}

std::string OutputBuffer::marker(uint64_t count) {
    return fmt::format("\r\n[mote: {} bytes of console output lost]\r\n", count);
}

void OutputBuffer::append(std::span<const std::byte> bytes) {
    const size_t at = head_ % storage_.size();
    const size_t before_end = std::min(bytes.size(), storage_.size() - at);
    std::memcpy(storage_.data() + at, bytes.data(), before_end);
    std::memcpy(storage_.data(), bytes.data() + before_end, bytes.size() - before_end);
    head_ += bytes.size();
}

void OutputBuffer::append_marker() {
    const std::string text = marker(lost_);
    told_ = std::exchange(lost_, 0) + (tail_ < told_until_ ? told_ : 0);
    append(std::as_bytes(std::span(text)));
    told_until_ = head_;
}

void OutputBuffer::append_dropping_oldest(std::span<const std::byte> bytes) {
    if (bytes.size() > storage_.size()) {
        lost_ += bytes.size() - storage_.size();
        bytes = bytes.last(storage_.size());
    }
    const size_t room = storage_.size() - used();
    const size_t excess = bytes.size() > room ? bytes.size() - room : 0;
    tail_ += excess;
    lost_ += excess;
    append(bytes);
}

void OutputBuffer::append_or_drop(std::span<const std::byte> bytes) {
    if (lost_ != 0) {
        // A quarter of the room first, so that a slow reader sees few gaps, not many.
        if (storage_.size() - used() < storage_.size() / 4) {
            lost_ += bytes.size();
            return;
        }
        append_marker();
    }
    const size_t taken = std::min(bytes.size(), storage_.size() - used());
    append(bytes.first(taken));
    lost_ += bytes.size() - taken;
}

void OutputBuffer::write(std::span<const std::byte> bytes) noexcept {
    if (bytes.empty()) return;
    bool reader_waited = false;
    {
        const std::lock_guard lock(mutex_);
        if (keep_latest_) {
            append_dropping_oldest(bytes);
        } else {
            append_or_drop(bytes);
        }
        last_ = bytes.back();
        reader_waited = std::exchange(reader_waits_, false);
    }
    // Without the lock: the reader wakes to take it.
    if (reader_waited) readable_.signal();
}

uint64_t OutputBuffer::waiting() {
    const std::lock_guard lock(mutex_);
    return used() + lost_ + (tail_ < told_until_ ? told_ : 0);
}

bool OutputBuffer::ends_mid_line() {
    const std::lock_guard lock(mutex_);
    return last_ != std::byte{'\n'};
}

std::span<const std::byte> OutputBuffer::peek() {
    const std::lock_guard lock(mutex_);
    if (used() == 0 && lost_ != 0 && !keep_latest_) append_marker();
    if (used() == 0) {
        reader_waits_ = true;
        return {};
    }
    const size_t at = tail_ % storage_.size();
    return storage_.bytes().subspan(at, std::min(used(), storage_.size() - at));
}

void OutputBuffer::consume(size_t count) {
    const std::lock_guard lock(mutex_);
    tail_ += count;
    // Starting over at the front keeps the memory that is ever touched small.
    if (tail_ == head_) head_ = tail_ = told_until_ = 0;
}

void OutputBuffer::keep_latest() {
    const std::lock_guard lock(mutex_);
    keep_latest_ = true;
}

uint64_t OutputBuffer::stop_keeping_latest() {
    const std::lock_guard lock(mutex_);
    keep_latest_ = false;
    return std::exchange(lost_, 0);
}

}  // namespace mote
