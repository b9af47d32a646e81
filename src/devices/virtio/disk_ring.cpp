#include "devices/virtio/disk_ring.h"

#include <array>
#include <cassert>
#include <cerrno>

namespace mote {

namespace {

/// Reads and writes above this are never begun on the worker's thread, where copying them would
/// take too long.
constexpr uint64_t kMaxInline = uint64_t{1} << 20U;

/// A completion carries what was asked for, to tell a short transfer: tag and expected bytes.
constexpr unsigned kTagBits = 16;

uint64_t user_data(uint16_t tag, uint64_t expected) {
    return expected << kTagBits | tag;
}

/// What a completion with `result` comes to. Only what another way can do better is tried again:
/// the kernel reports a failed writeback once, and a second sync would say that all is well.
int outcome(int result, uint64_t expected) {
    if (result >= 0) return static_cast<uint64_t>(result) == expected ? 0 : DiskRing::kTakeOver;
    const bool elsewhere =
        result == -EAGAIN || result == -EINTR || result == -EINVAL || result == -EOPNOTSUPP;
    return elsewhere ? DiskRing::kTakeOver : result;
}

}  // namespace

Result<std::unique_ptr<DiskRing>> DiskRing::create(const DiskFile& file, uint16_t depth) {
    EventFd event = TRY(EventFd::create());
    std::unique_ptr<DiskRing> ring(new DiskRing(std::move(event)));
    TRY(ring->set_up(file.fd(), depth));
    return ring;
}

Result<> DiskRing::set_up(int fd, uint16_t depth) {
    int status = ::io_uring_queue_init(depth, &ring_, IORING_SETUP_R_DISABLED);
    if (status != 0) return fail_code(-status, "cannot create an io_uring");
    live_ = true;
    status = ::io_uring_register_files(&ring_, &fd, 1);
    if (status == 0) status = ::io_uring_register_eventfd(&ring_, event_.fd());
    if (status == 0) status = restrict_ring();
    if (status == 0) status = ::io_uring_enable_rings(&ring_);
    if (status != 0) return fail_code(-status, "cannot set up an io_uring");
    return {};
}

int DiskRing::restrict_ring() {
    std::array<io_uring_restriction, 5> rules{};
    const std::array<uint8_t, 3> operations{IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC};
    for (size_t i = 0; i < operations.size(); ++i) {
        rules[i].opcode = IORING_RESTRICTION_SQE_OP;
        rules[i].sqe_op = operations[i];
    }
    rules[3].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
    rules[3].sqe_flags = IOSQE_FIXED_FILE;
    rules[4].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rules[4].sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC;
    return ::io_uring_register_restrictions(&ring_, rules.data(), rules.size());
}

DiskRing::~DiskRing() {
    while (in_flight_ != 0) {
        io_uring_cqe* entry = nullptr;
        if (::io_uring_wait_cqe(&ring_, &entry) == 0) reap([](uint16_t, int) {});
    }
    if (live_) ::io_uring_queue_exit(&ring_);
}

void DiskRing::submit(uint16_t tag, const DiskRequest& request) {
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    assert(entry != nullptr && "more requests than the ring's depth");
    const auto count = static_cast<unsigned>(request.buffers.size());
    switch (request.op) {
        case DiskOp::read:
            ::io_uring_prep_readv(entry, 0, request.buffers.data(), count, request.offset);
            break;
        case DiskOp::write:
            ::io_uring_prep_writev2(entry, 0, request.buffers.data(), count, request.offset,
                                    request.durable ? RWF_DSYNC : 0);
            break;
        case DiskOp::flush:
            ::io_uring_prep_fsync(entry, 0, IORING_FSYNC_DATASYNC);
            break;
        case DiskOp::discard:
        case DiskOp::write_zeroes:
            assert(false && "not a request for a ring");
    }
    const uint64_t expected = request.op == DiskOp::flush ? 0 : request.length;
    entry->flags |= IOSQE_FIXED_FILE;
    if (expected > kMaxInline) entry->flags |= IOSQE_ASYNC;
    entry->user_data = user_data(tag, expected);
    ++unsent_;
}

bool DiskRing::flush() {
    while (unsent_ != 0) {
        const int sent = ::io_uring_submit(&ring_);
        if (sent > 0) {
            unsent_ -= static_cast<unsigned>(sent);
            in_flight_ += static_cast<unsigned>(sent);
        } else if (sent != -EINTR) {
            return false;  // out of memory for the moment, or completions are to be reaped first
        }
    }
    return true;
}

bool DiskRing::ready() const {
    return ::io_uring_cq_ready(&ring_) != 0;
}

void DiskRing::reap(const std::function<void(uint16_t tag, int result)>& completed) {
    io_uring_cqe* entry = nullptr;
    while (::io_uring_peek_cqe(&ring_, &entry) == 0) {
        const auto tag = static_cast<uint16_t>(entry->user_data);
        const uint64_t expected = entry->user_data >> kTagBits;
        const int result = entry->res;
        ::io_uring_cqe_seen(&ring_, entry);
        --in_flight_;
        completed(tag, outcome(result, expected));
    }
}

}  // namespace mote
