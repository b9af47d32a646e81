#include "vmm/virtio_window.h"

#include <algorithm>

namespace mote {

Result<VirtioWindow> VirtioWindow::create() {
    const VirtioLayout place = virtio_layout();
    return VirtioWindow(place, TRY(Mapping::anonymous(place.window_size)));
}

Result<> VirtioWindow::map(const Vm& vm, uint32_t slot) const {
    return vm.set_memory({.slot = slot,
                          .address = place_.window,
                          .data = pages_.data(),
                          .size = place_.window_size,
                          .read_only = true});
}

std::span<std::byte, kVirtioPageSize> VirtioWindow::next_page() const {
    const size_t first = place_.first_page.value - place_.window.value;
    const size_t offset = first + transports_.size() * kVirtioPageSize;
    return pages_.bytes().subspan(offset).first<kVirtioPageSize>();
}

Result<> VirtioWindow::add(const Vm& vm, std::unique_ptr<MmioTransport> transport, bool coalesce) {
    const size_t index = transports_.size();
    if (index >= place_.max_devices)
        return fail("{}: no room: a machine has at most {} virtio devices", transport->name(),
                    place_.max_devices);
    const uint64_t base = place_.first_page.value + index * kVirtioPageSize;
    TRY(vm.add_interrupt(transport->line(), place_.first_gsi + static_cast<uint32_t>(index)));
    for (const auto& bell : transport->doorbells())
        TRY(vm.add_doorbell({.address = {base + bell.offset},
                             .length = bell.length,
                             .value = bell.value,
                             .fd = bell.fd}));
    if (coalesce)
        for (const auto& part : MmioTransport::kDeferredWrites)
            TRY(vm.coalesce_writes({base + part.offset}, part.size));
    transports_.push_back(std::move(transport));
    return {};
}

bool VirtioWindow::contains(GuestAddress address) const {
    return address >= place_.window && address.value - place_.window.value < place_.window_size;
}

MmioTransport* VirtioWindow::find(GuestAddress address) const {
    if (address < place_.first_page) return nullptr;
    const uint64_t index = (address.value - place_.first_page.value) / kVirtioPageSize;
    return index < transports_.size() ? transports_[index].get() : nullptr;
}

void VirtioWindow::read(GuestAddress address, std::span<std::byte> data) const {
    if (const MmioTransport* transport = find(address))
        transport->read(address.value % kVirtioPageSize, data);
    else
        std::fill(data.begin(), data.end(), std::byte{0});
}

MmioTransport* VirtioWindow::write(GuestAddress address, std::span<const std::byte> data) {
    MmioTransport* transport = find(address);
    if (transport == nullptr) return nullptr;
    const auto result = transport->write(address.value % kVirtioPageSize, data);
    return result == MmioTransport::WriteResult::reset_pending ? transport : nullptr;
}

}  // namespace mote
