// Bus: which device answers at an address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mote {

/// Answers guest accesses to a range; knows offsets, never the address it was placed at. Called on
/// vCPU threads, several at a time.
class IoHandler {
  public:
    IoHandler() = default;
    IoHandler(const IoHandler&) = delete;
    IoHandler& operator=(const IoHandler&) = delete;
    virtual ~IoHandler() = default;

    /// Fills all of `data` (1, 2, 4 or 8 bytes).
    virtual void read(uint64_t offset, std::span<std::byte> data) = 0;
    virtual void write(uint64_t offset, std::span<const std::byte> data) = 0;
};

/// Places handlers at addresses of one space (ports or guest physical). Built before the guest
/// runs, then read by all vCPU threads.
class Bus {
  public:
    /// Places `handler`, which outlives the bus, at [base, base + size). Ranges do not overlap.
    void place(uint64_t base, uint64_t size, IoHandler& handler);

    /// As on a real bus: where nobody answers, reads give all ones and writes are lost.
    void read(uint64_t address, std::span<std::byte> data) const;
    void write(uint64_t address, std::span<const std::byte> data) const;

  private:
    struct Range {
        uint64_t base;
        uint64_t size;
        IoHandler* handler;
    };
    [[nodiscard]] const Range* find(uint64_t address, size_t size) const;

    std::vector<Range> ranges_;
};

}  // namespace mote
