// Machine::Parts::create(): from a checked configuration and open files to a
// machine that can run.

#include <algorithm>

#include "devices/virtio/balloon.h"
#include "devices/virtio/block.h"
#include "devices/virtio/console.h"
#include "devices/virtio/dhcp_responder.h"
#include "devices/virtio/entropy.h"
#include "devices/virtio/net.h"
#include "devices/virtio/pmem.h"
#include "devices/virtio/tap.h"
#include "devices/virtio/user_net.h"
#include "devices/virtio/vhost_user_block.h"
#include "devices/virtio/vsock.h"
#include "kvm/kvm_api.h"
#include "memory/layout.h"
#include "vmm/hotplug_region.h"
#include "vmm/machine_parts.h"

namespace mote {

namespace {

// Slots are cheap only while the VM has neither interrupt controllers nor
// vCPUs, so all of them come first, and the window before RAM (docs/adr/0003). Those of memory that
// comes and goes are made as it comes. Returns the first free slot.
Result<uint32_t> map_memory(const Vm& vm, const VirtioWindow& window, const GuestMemory& memory,
                            std::span<const PmemRegion> pmems) {
    uint32_t slot = 0;
    // A KVM without KVM_CAP_READONLY_MEM refuses the flag: reads of registers exit there.
    if (auto shown = window.map(vm, slot); shown)
        ++slot;
    else if (shown.error().code != EINVAL)
        return std::unexpected(std::move(shown).error());
    for (const GuestMemory::Region& region : memory.regions()) {
        if (region.blocks != nullptr) continue;
        TRY(vm.set_memory({.slot = slot++,
                           .address = region.config.base,
                           .data = region.mapping.data(),
                           .size = region.config.size}));
    }
    for (const PmemRegion& region : pmems)
        TRY(vm.set_memory({.slot = slot++,
                           .address = region.base,
                           .data = region.mapping.data(),
                           .size = region.mapping.size(),
                           .read_only = region.read_only}));
    return slot;
}

Result<std::vector<RegionConfig>> plan_memory(const Kvm& kvm, const MachineConfig& config,
                                              std::span<const PmemRegion> pmems) {
    std::vector<RegionConfig> regions = ram_regions(config.memory_bytes);
    if (config.hotplug_memory) {
        const uint32_t bits = TRY(Platform::address_bits(kvm));
        regions.push_back(
            TRY(place_hotplug(bits, config.memory_bytes, pmems, *config.hotplug_memory)));
    }
    return regions;
}

Result<> create_vcpus(Machine::Parts& parts, uint32_t count) {
    const size_t mapping_size = TRY(parts.kvm_.vcpu_mapping_size());
    for (uint32_t id = 0; id < count; ++id)
        parts.vcpus_.emplace_back(TRY(Vcpu::create(parts.vm_, id, mapping_size)), parts);
    return {};
}

std::optional<std::span<std::byte>> coalesced_ring_page(Machine::Parts& parts) {
    const int page = parts.kvm_.check_extension(KVM_CAP_COALESCED_MMIO);
    if (page <= 0) return std::nullopt;
    return parts.vcpus_.front().vcpu().page(static_cast<size_t>(page));
}

BlockCache block_cache(CacheMode mode) {
    switch (mode) {
        case CacheMode::writeback:
            return BlockCache::writeback;
        case CacheMode::unsafe:
            return BlockCache::unsafe;
        case CacheMode::direct:
            return BlockCache::direct;
    }
    __builtin_unreachable();
}

/// Buckets of one second: small enough for no long burst, and larger than a retry's wait.
RateLimits per_second(std::optional<uint32_t> operations, std::optional<uint64_t> bytes) {
    return {.ops = {.size = operations.value_or(0), .refill_ms = 1000},
            .bytes = {.size = bytes.value_or(0), .refill_ms = 1000}};
}

DiskFile::Kind kind_of(bool block_device) {
    return block_device ? DiskFile::Kind::block_device : DiskFile::Kind::file;
}

Result<> add_worker(Machine::Parts& parts, std::string name) {
    parts.workers_.push_back(
        {.name = std::move(name), .loop = TRY(EventLoop::create()), .thread = {}});
    return {};
}

/// On the shared worker, or one of its own.
Result<> add_device(Machine::Parts& parts, std::unique_ptr<VirtioDevice> device,
                    bool own_worker = false) {
    if (own_worker) TRY(add_worker(parts, device->name()));
    EventLoop& loop = *(own_worker ? parts.workers_.back() : parts.workers_.front()).loop;
    EventFd line = TRY(EventFd::create());
    auto transport = TRY(MmioTransport::create(std::move(device), parts.memory_, loop,
                                               parts.window_.next_page(), std::move(line)));
    transport->on_reset_done([&parts] { parts.wake_vcpus(); });
    return parts.window_.add(parts.vm_, std::move(transport), parts.writes_->possible());
}

Result<std::unique_ptr<NetBackend>> create_backend(UniqueFd fd, bool user) {
    if (user) return std::make_unique<UserNet>(std::move(fd));
    return TRY(Tap::create(std::move(fd)));
}

Result<> add_nic(Machine::Parts& parts, NicResource nic) {
    auto backend = create_backend(std::move(nic.fd), nic.user);
    if (!backend) return fail("{}: {}", nic.id, backend.error().message);
    FrameFilter* filter = nullptr;
    if (nic.dhcp) {
        const DhcpConfig dhcp{.setup = *std::move(nic.dhcp), .mtu = nic.mtu};
        filter = parts.filters_.emplace_back(std::make_unique<DhcpResponder>(dhcp)).get();
    }
    const bool own_worker = nic.own_worker;
    auto device = TRY(NetDevice::create({.id = std::move(nic.id),
                                         .backend = *std::move(backend),
                                         .mac = nic.mac,
                                         .mtu = nic.mtu,
                                         .filter = filter,
                                         .receive_limits = per_second(nic.rx.pps, nic.rx.bps),
                                         .send_limits = per_second(nic.tx.pps, nic.tx.bps)}));
    return add_device(parts, std::move(device), own_worker);
}

Result<> add_vsock(Machine::Parts& parts, VsockResource vsock) {
    const bool own_worker = vsock.own_worker;
    auto device = TRY(VsockDevice::create({.guest_cid = vsock.cid,
                                           .listener = std::move(vsock.listener),
                                           .path = std::move(vsock.path),
                                           .max_connections = vsock.connections,
                                           .times = {}}));
    return add_device(parts, std::move(device), own_worker);
}

Result<> add_pmems(Machine::Parts& parts, std::vector<PmemResource>& pmems) {
    for (size_t i = 0; i < pmems.size(); ++i) {
        PmemResource& pmem = pmems[i];
        const PmemRegion& region = parts.pmems_[i];
        auto device = TRY(PmemDevice::create({.id = std::move(pmem.id),
                                              .file = std::move(pmem.file),
                                              .kind = kind_of(pmem.block_device),
                                              .file_bytes = pmem.size_bytes,
                                              .start = region.base,
                                              .size = region.mapping.size(),
                                              .read_only = pmem.read_only,
                                              .limits = per_second(pmem.iops, pmem.bps)}));
        TRY(add_device(parts, std::move(device)));
    }
    return {};
}

Result<> add_console(Machine::Parts& parts, ConsoleOutput& output, const ConsoleConfig& config) {
    auto device = TRY(ConsoleDevice::create(output, config.size));
    parts.virtio_console_ = device.get();
    return add_device(parts, std::move(device));
}

Result<> add_disk(Machine::Parts& parts, DiskResource disk) {
    if (!disk.socket.empty()) {
        auto device = TRY(VhostUserBlock::create({.id = std::move(disk.id),
                                                  .socket = std::move(disk.file),
                                                  .path = std::move(disk.socket)},
                                                 parts.memory_));
        return add_device(parts, std::move(device));
    }
    const bool own_worker = disk.own_worker;
    auto device = TRY(BlockDevice::create({.id = std::move(disk.id),
                                           .file = std::move(disk.file),
                                           .kind = kind_of(disk.block_device),
                                           .size_bytes = disk.size_bytes,
                                           .read_only = disk.read_only,
                                           .cache = block_cache(disk.cache),
                                           .limits = per_second(disk.iops, disk.bps)}));
    return add_device(parts, std::move(device), own_worker);
}

Result<> add_devices(Machine::Parts& parts, const MachineConfig& config, Resources& resources,
                     ConsoleOutput* console, uint32_t free_slot) {
    if (config.balloon) {
        const BalloonConfig options{.deflate_on_oom = true, .reporting = true};
        auto balloon = TRY(BalloonDevice::create(options, parts.memory_));
        TRY(add_device(parts, std::move(balloon)));
    }
    for (DiskResource& disk : resources.disks)
        TRY(add_disk(parts, std::move(disk)));
    for (NicResource& nic : resources.nics)
        TRY(add_nic(parts, std::move(nic)));
    TRY(add_pmems(parts, resources.pmems));
    if (resources.vsock) TRY(add_vsock(parts, *std::move(resources.vsock)));
    if (config.entropy) TRY(add_device(parts, EntropyDevice::create()));
    if (console != nullptr) TRY(add_console(parts, *console, config.virtio_console));
    if (!config.hotplug_memory) return {};
    auto memory = TRY(create_memory_device(parts.kvm_, parts.vm_, parts.memory_, free_slot,
                                           config.memory_bytes, *config.hotplug_memory));
    return add_device(parts, std::move(memory));
}

}  // namespace

Result<GuestRam> GuestRam::create(std::vector<RegionConfig> regions,
                                  std::span<const DiskResource> disks) {
    UniqueFd file;
    // Private memory where nobody shares it: that has huge pages wherever the host does.
    if (std::ranges::any_of(disks, [](const DiskResource& disk) { return !disk.socket.empty(); }))
        file = TRY(share_in_memfd(regions));
    return GuestRam{.file = std::move(file), .memory = TRY(GuestMemory::create(regions))};
}

Machine::Parts::Parts(Kvm&& kvm, GuestRam&& ram, std::vector<PmemRegion>&& pmems,
                      VirtioWindow&& window, Vm&& vm, EventFd&& ended)
    : kvm_(std::move(kvm)),
      memory_file_(std::move(ram.file)),
      memory_(std::move(ram.memory)),
      pmems_(std::move(pmems)),
      window_(std::move(window)),
      vm_(std::move(vm)),
      ended_(std::move(ended)) {}

Machine::Parts::~Parts() {
    for (VcpuThread& vcpu : vcpus_)
        vcpu.stop();
    for (VcpuThread& vcpu : vcpus_)
        vcpu.join();
    // Last: a vCPU may be waiting for a device's reset, and COM1's ring lies in vCPU 0's mapping.
    for (DeviceWorker& worker : workers_)
        worker.thread.reset();
}

Result<std::unique_ptr<Machine::Parts>> Machine::Parts::create(const MachineConfig& config,
                                                               Resources resources,
                                                               const ConsoleOutputs& outputs) {
    Kvm kvm = TRY(Kvm::open());
    Vm vm = TRY(Vm::create(kvm));
    VirtioWindow window = TRY(VirtioWindow::create());
    std::vector<PmemRegion> pmems = TRY(map_pmems(kvm, config.memory_bytes, resources.pmems));
    std::vector<RegionConfig> regions = TRY(plan_memory(kvm, config, pmems));
    GuestRam ram = TRY(GuestRam::create(std::move(regions), resources.disks));
    const uint32_t free_slot = TRY(map_memory(vm, window, ram.memory, pmems));
    TRY(Platform::prepare(vm));
    TRY(vm.create_interrupt_controller());

    auto parts = std::make_unique<Parts>(std::move(kvm), std::move(ram), std::move(pmems),
                                         std::move(window), std::move(vm), TRY(EventFd::create()));
    TRY(add_worker(*parts, "devices"));
    TRY(create_vcpus(*parts, config.cpus));
    parts->writes_.emplace(coalesced_ring_page(*parts));
    parts->writes_->to_mmio([&window = parts->window_](uint64_t address, auto bytes) {
        window.write({address}, bytes);
    });
    const bool coalesce_ports =
        parts->writes_->possible() && parts->kvm_.check_extension(KVM_CAP_COALESCED_PIO) != 0;
    parts->platform_ = TRY(Platform::create({.kvm = parts->kvm_,
                                             .vm = parts->vm_,
                                             .worker = *parts->workers_.front().loop,
                                             .events = *parts,
                                             .config = config,
                                             .output = outputs.serial,
                                             .writes = *parts->writes_,
                                             .coalesce_ports = coalesce_ports}));
    TRY(add_devices(*parts, config, resources, outputs.virtio, free_slot));

    std::vector<Vcpu*> vcpus;
    for (VcpuThread& thread : parts->vcpus_)
        vcpus.push_back(&thread.vcpu());
    TRY(parts->platform_->load(parts->memory_, resources, parts->window_.transports().size(),
                               vcpus));
    return parts;
}

}  // namespace mote
