#include "devices/virtio/vsock_tx.h"

#include <algorithm>
#include <utility>

namespace mote {

using virtio::VsockHeader;

void VsockTx::attach(Queue* queue) {
    chain_.reset();
    run_.clear();
    parts_.clear();
    bytes_ = 0;
    queue_ = queue;
}

std::optional<VsockHeader> VsockTx::next() {
    auto chain = queue_->pop();
    if (!chain) return std::nullopt;
    VsockHeader header{};
    if (chain->writable() != 0 || !chain->read(std::as_writable_bytes(std::span(&header, 1)))) {
        queue_->reject(*std::move(chain), "a packet without a whole header");
        return std::nullopt;
    }
    if (header.length > chain->readable()) {
        queue_->reject(*std::move(chain), "a packet with less data than its header says");
        return std::nullopt;
    }
    length_ = header.length;
    chain_.emplace(*std::move(chain));
    return header;
}

void VsockTx::keep() {
    size_t left = length_;
    for (const iovec& part : chain_->readable_parts()) {
        if (left == 0) break;
        const size_t here = std::min(left, part.iov_len);
        parts_.push_back({.iov_base = part.iov_base, .iov_len = here});
        left -= here;
    }
    bytes_ += length_;
    run_.push_back(*std::move(chain_));
    chain_.reset();
}

void VsockTx::drop() {
    queue_->complete(*std::move(chain_), 0);
    chain_.reset();
}

void VsockTx::finish_run() {
    for (Chain& chain : run_)
        queue_->complete(std::move(chain), 0);
    run_.clear();
    parts_.clear();
    bytes_ = 0;
}

}  // namespace mote
