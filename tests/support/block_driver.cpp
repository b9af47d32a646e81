#include "support/block_driver.h"

#include <fcntl.h>

#include <algorithm>
#include <stdexcept>

namespace mote::test {

using namespace virtio;

uint64_t word_at(uint64_t offset) {
    return offset + 1;
}

UniqueFd numbered_file(uint64_t size, const char* folder, int flags) {
    UniqueFd file(::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    std::vector<uint64_t> words(size / sizeof(uint64_t));
    for (size_t i = 0; i < words.size(); ++i)
        words[i] = word_at(i * sizeof(uint64_t));
    if (::pwrite(file.get(), words.data(), size, 0) != static_cast<ssize_t>(size))
        throw std::runtime_error("cannot make the test's disk");
    if (flags != 0) ::fcntl(file.get(), F_SETFL, flags);
    return file;
}

bool all(const std::vector<std::byte>& bytes, uint8_t value) {
    return !bytes.empty() &&
           std::ranges::all_of(bytes, [value](std::byte b) { return b == std::byte{value}; });
}

BlockDriver::BlockDriver(std::unique_ptr<BlockDevice> made, uint64_t features, uint16_t queue_size)
    : device(*made),
      driver(ram, std::move(made)),
      queue(ram, queue_size, (features & kFeatureEventIndex) != 0) {
    if (!driver.start(queue, features)) throw std::runtime_error("the device does not start");
}

AddedChain BlockDriver::add(uint32_t type, uint64_t sector, std::span<const std::byte> readable,
                            uint32_t writable) {
    const BlockHeader header{.type = type, .reserved = 0U, .sector = sector};
    auto chain = queue.chain();
    chain.readable(std::as_bytes(std::span(&header, 1)));
    if (!readable.empty()) chain.readable(readable);
    if (writable != 0) chain.writable(writable, 0xCC);
    return chain.writable(1, 0xEE).add();
}

BlockAnswer BlockDriver::request(uint32_t type, uint64_t sector,
                                 std::span<const std::byte> readable, uint32_t writable) {
    const AddedChain sent = add(type, sector, readable, writable);
    send();
    BlockAnswer answer;
    const auto used = wait();
    if (!used || used->head != sent.head) throw std::runtime_error("no answer of the disk");
    answer.written = used->written;
    answer.status = ram.byte(sent.buffers.back());
    if (writable != 0) answer.data = ram.bytes(sent.buffers.end()[-2], writable);
    return answer;
}

BlockAnswer BlockDriver::read(uint64_t sector, uint32_t bytes) {
    return request(kBlockIn, sector, {}, bytes);
}

BlockAnswer BlockDriver::write(uint64_t sector, std::span<const std::byte> data) {
    return request(kBlockOut, sector, data, 0);
}

BlockAnswer BlockDriver::write(uint64_t sector, uint32_t bytes, uint8_t fill) {
    return write(sector, std::vector<std::byte>(bytes, std::byte{fill}));
}

BlockAnswer BlockDriver::flush() {
    return request(kBlockFlushRequest, 0, {}, 0);
}

BlockAnswer BlockDriver::get_id(uint32_t room) {
    return request(kBlockGetId, 0, {}, room);
}

BlockAnswer BlockDriver::ranges(uint32_t type, const std::vector<BlockRange>& ranges) {
    return request(type, 0, std::as_bytes(std::span(ranges)), 0);
}

}  // namespace mote::test
