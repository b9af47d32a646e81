#include "cli/output_buffer.h"

#include <atomic>
#include <thread>

#include "catch.h"
#include "cli/bytes.h"

using namespace mote;

namespace {

constexpr size_t kCapacity = 4096;

std::string take_all(OutputBuffer& buffer) {
    std::string text;
    for (auto bytes = buffer.peek(); !bytes.empty(); bytes = buffer.peek()) {
        text += text_of(bytes);
        buffer.consume(bytes.size());
    }
    return text;
}

}  // namespace

TEST_CASE("what is written comes out once, in order", "[cli]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    CHECK(buffer->peek().empty());
    buffer->write(bytes_of("hello "));
    buffer->write(bytes_of("world"));
    CHECK(text_of(buffer->peek()) == "hello world");
    buffer->consume(6);
    CHECK(take_all(*buffer) == "world");
    CHECK(take_all(*buffer).empty());
}

TEST_CASE("the ring wraps", "[cli]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    buffer->write(bytes_of(std::string(3000, 'a')));
    (void)buffer->peek();
    buffer->consume(2999);
    buffer->write(bytes_of(std::string(3000, 'b')));
    CHECK(take_all(*buffer) == "a" + std::string(3000, 'b'));
}

TEST_CASE("while the ring is full the newest bytes are dropped and counted", "[cli]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    buffer->write(bytes_of(std::string(kCapacity, 'a')));
    buffer->write(bytes_of("lost"));
    (void)buffer->peek();
    buffer->consume(1);
    buffer->write(bytes_of("this too"));  // too little room to go on yet
    (void)buffer->peek();
    buffer->consume(kCapacity / 2);
    buffer->write(bytes_of("back"));
    CHECK(take_all(*buffer) ==
          std::string(kCapacity / 2 - 1, 'a') + OutputBuffer::marker(12) + "back");
}

TEST_CASE("a loss at the end is told too", "[cli]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    buffer->write(bytes_of(std::string(kCapacity + 7, 'a')));
    CHECK(take_all(*buffer) == std::string(kCapacity, 'a') + OutputBuffer::marker(7));
    CHECK(take_all(*buffer).empty());
}

TEST_CASE("while nobody listens the latest bytes are kept", "[cli]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    buffer->keep_latest();
    buffer->write(bytes_of(std::string(kCapacity, 'a')));
    buffer->write(bytes_of("latest"));
    CHECK(buffer->stop_keeping_latest() == 6);
    CHECK(take_all(*buffer) == std::string(kCapacity - 6, 'a') + "latest");
    buffer->keep_latest();
    buffer->write(bytes_of(std::string(3 * kCapacity, 'b')));
    CHECK(buffer->stop_keeping_latest() == 2 * kCapacity);
    CHECK(take_all(*buffer) == std::string(kCapacity, 'b'));
}

TEST_CASE("the reader is woken once it has seen the ring empty", "[cli]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    buffer->write(bytes_of("a"));
    CHECK_FALSE(buffer->readable().consume());
    take_all(*buffer);
    buffer->write(bytes_of("b"));
    CHECK(buffer->readable().consume());
    buffer->write(bytes_of("c"));
    CHECK_FALSE(buffer->readable().consume());
}

TEST_CASE("it is known whether a line is open", "[cli]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    CHECK_FALSE(buffer->ends_mid_line());
    buffer->write(bytes_of("login: "));
    CHECK(buffer->ends_mid_line());
    buffer->write(bytes_of("\r\n"));
    CHECK_FALSE(buffer->ends_mid_line());
}

namespace {

/// The bytes that `text` shows or tells the loss of.
size_t accounted_for(std::string_view text) {
    static constexpr std::string_view kBegin = "\r\n[mote: ";
    size_t total = 0;
    while (!text.empty()) {
        if (!text.starts_with(kBegin)) {
            ++total;
            text.remove_prefix(1);
            continue;
        }
        const size_t lost = std::stoul(std::string(text.substr(kBegin.size(), 12)));
        total += lost;
        text.remove_prefix(OutputBuffer::marker(lost).size());
    }
    return total;
}

}  // namespace

TEST_CASE("a writer and a reader at once lose nothing that is not told", "[cli][threads]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    constexpr size_t kWrites = 20'000;
    std::atomic<bool> done = false;
    std::thread writer([&] {
        for (size_t i = 0; i < kWrites; ++i)
            buffer->write(bytes_of("0123456789"));
        done = true;
    });
    std::string text;
    while (!done)
        text += take_all(*buffer);
    writer.join();
    text += take_all(*buffer);
    CHECK(accounted_for(text) == kWrites * 10);
}

TEST_CASE("what nobody has taken is counted, told or not", "[cli]") {
    const auto buffer = OutputBuffer::create(kCapacity).value();
    CHECK(buffer->waiting() == 0);
    buffer->write(bytes_of(std::string(kCapacity + 7, 'a')));
    CHECK(buffer->waiting() == kCapacity + 7);
    buffer->peek();
    buffer->consume(kCapacity / 2);
    buffer->write(bytes_of("b"));  // behind the line that tells of 7
    CHECK(buffer->waiting() == kCapacity / 2 + 7 + OutputBuffer::marker(7).size() + 1);
    take_all(*buffer);
    CHECK(buffer->waiting() == 0);
}
