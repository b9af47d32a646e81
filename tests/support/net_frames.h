// Frames for tests of network devices, and a filter that answers some.
#pragma once

#include <cstring>
#include <deque>
#include <span>
#include <string>

#include "devices/virtio/frame_filter.h"

namespace mote::test {

/// A frame that no other is equal to.
inline std::string frame(unsigned number, size_t size) {
    std::string text = std::to_string(number) + ":";
    while (text.size() < size)
        text += static_cast<char>('a' + (text.size() + number) % 26);
    text.resize(size);
    return text;
}

/// Wants frames that begin with "filter", answers each with "answer" and what followed.
class Filter final : public FrameFilter {
  public:
    bool wants(std::span<const std::byte> head) override {
        return text(head).starts_with("filter");
    }
    void take(std::span<const std::byte> frame) override {
        answers_.push_back("answer" + text(frame).substr(6));
    }
    size_t next(std::span<std::byte> room) override {
        if (answers_.empty()) return 0;
        const std::string answer = answers_.front();
        answers_.pop_front();
        std::memcpy(room.data(), answer.data(), answer.size());
        return answer.size();
    }

  private:
    static std::string text(std::span<const std::byte> bytes) {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    std::deque<std::string> answers_;
};

}  // namespace mote::test
