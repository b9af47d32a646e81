// vCPU threads with real guests of a few bytes; needs /dev/kvm.
#include "vmm/vcpu_thread.h"

#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "kvm/x86_64/registers.h"
#include "memory/guest_memory.h"
#include "unit/catch.h"

using namespace mote;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

/// Counts exits, and does what the test wants after each.
struct Counter final : ExitHandler {
    AfterExit handle(Vcpu& /*vcpu*/, const Exit& exit) override {
        ++exits;
        last = exit.kind;
        if (exit.kind == Exit::Kind::shutdown || exit.kind == Exit::Kind::failure)
            return {.next = AfterExit::Next::stop, .ready = {}};
        if (waiting) return {.next = AfterExit::Next::wait, .ready = [this] { return !waiting; }};
        return {};
    }
    void run_failed(const Error& error) override { failed = error.message; }

    std::atomic<uint64_t> exits = 0;
    std::atomic<Exit::Kind> last = Exit::Kind::interrupted;
    std::atomic<bool> waiting = false;
    std::string failed;
};

/// A VM whose vCPUs start in real mode at `code`.
struct Guest {
    explicit Guest(std::initializer_list<uint8_t> code, uint32_t cpus = 1) {
        const std::vector<RegionConfig> ram{{.base = {0}, .size = 0x2000}};
        memory.emplace(GuestMemory::create(ram).value());
        memory->write({0x1000}, std::as_bytes(std::span(code.begin(), code.size())));
        vm = std::make_unique<Vm>(Vm::create(kvm).value());
        const auto& region = memory->regions()[0];
        REQUIRE(vm->set_memory({.slot = 0,
                                .address = {0},
                                .data = region.mapping.data(),
                                .size = region.config.size}));
        for (uint32_t id = 0; id < cpus; ++id) {
            auto vcpu = Vcpu::create(*vm, id, kvm.vcpu_mapping_size().value()).value();
            start_at(vcpu, 0x1000);
            threads.emplace_back(std::move(vcpu), counter);
        }
    }

    static void start_at(const Vcpu& vcpu, uint64_t address);

    Kvm kvm = Kvm::open().value();
    std::optional<GuestMemory> memory;
    std::unique_ptr<Vm> vm;
    Counter counter;
    std::deque<VcpuThread> threads;
};

void Guest::start_at(const Vcpu& vcpu, uint64_t address) {
    kvm_sregs sregs = special_registers(vcpu).value();
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    REQUIRE(set_special_registers(vcpu, sregs));
    kvm_regs regs{};
    regs.rip = address;
    regs.rflags = 2;
    REQUIRE(set_general_registers(vcpu, regs));
}

/// Nanoseconds of processor time that the thread of vCPU `id` has used; 0 where there is none.
uint64_t processor_time(uint32_t id) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        uint64_t used = 0;
        std::ifstream(task.path() / "comm") >> name;
        std::ifstream(task.path() / "schedstat") >> used;
        if (name == "vcpu" + std::to_string(id)) return used;
    }
    return 0;
}

/// Whether all vCPUs get on within 5 s. A guest that never exits shows only in this that it runs.
bool all_run(const Guest& guest) {
    constexpr uint64_t kEnough = 2'000'000;
    std::vector<uint64_t> before;
    for (uint32_t id = 0; id < guest.threads.size(); ++id)
        before.push_back(processor_time(id));
    const auto limit = Clock::now() + 5s;
    for (uint32_t id = 0; id < before.size(); ++id)
        while (processor_time(id) < before[id] + kEnough) {
            if (Clock::now() > limit) return false;
            std::this_thread::sleep_for(1ms);
        }
    return true;
}

}  // namespace

TEST_CASE("a vCPU that never exits is paused, resumed and stopped") {
    Guest guest({0xEB, 0xFE}, 2);  // jmp .
    for (auto& thread : guest.threads)
        REQUIRE(thread.start());
    for (int round = 0; round < 20; ++round) {
        REQUIRE(all_run(guest));
        for (auto& thread : guest.threads)
            thread.pause();
        for (auto& thread : guest.threads)
            CHECK(thread.at_rest(Clock::now() + 5s));
        for (auto& thread : guest.threads)
            thread.resume();
    }
    REQUIRE(all_run(guest));
    for (auto& thread : guest.threads)
        thread.stop();
    for (auto& thread : guest.threads)
        CHECK(thread.at_rest(Clock::now() + 5s));
    CHECK(guest.counter.exits == 0);
}

TEST_CASE("a paused vCPU does not run, and goes on where it was") {
    Guest guest({0xE6, 0x10, 0xEB, 0xFC});  // out 0x10, al; jmp back
    auto& thread = guest.threads.front();
    REQUIRE(thread.start());
    while (guest.counter.exits < 10)
        std::this_thread::yield();
    thread.pause();
    REQUIRE(thread.at_rest(Clock::now() + 5s));
    const uint64_t exits = guest.counter.exits;
    std::this_thread::sleep_for(50ms);
    CHECK(guest.counter.exits == exits);
    thread.resume();
    while (guest.counter.exits < exits + 10)
        std::this_thread::yield();
    CHECK(guest.counter.last == Exit::Kind::port_write);
}

TEST_CASE("a vCPU that waits for a device is at rest, can be paused, and goes on when it is done") {
    Guest guest({0xE6, 0x10, 0xEB, 0xFC});
    guest.counter.waiting = true;
    auto& thread = guest.threads.front();
    REQUIRE(thread.start());
    REQUIRE(thread.at_rest(Clock::now() + 5s));
    CHECK(guest.counter.exits == 1);
    thread.pause();
    CHECK(thread.at_rest(Clock::now() + 5s));
    guest.counter.waiting = false;
    thread.wake();
    std::this_thread::sleep_for(20ms);
    CHECK(guest.counter.exits == 1);  // the device is done, but the machine is paused
    thread.resume();
    while (guest.counter.exits < 10)
        std::this_thread::yield();
    guest.counter.waiting = true;  // and one that waits for ever can be stopped
    thread.stop();
    CHECK(thread.at_rest(Clock::now() + 5s));
}

TEST_CASE("a triple fault ends the thread by itself") {
    Guest guest({0x0F, 0x01, 0x1E, 0x00, 0x00, 0x0F, 0x0B});  // lidt with limit 0; ud2
    auto& thread = guest.threads.front();
    REQUIRE(thread.start());
    const auto limit = Clock::now() + 5s;
    while (guest.counter.exits == 0 && Clock::now() < limit)
        std::this_thread::yield();
    CHECK(
        (guest.counter.last == Exit::Kind::shutdown || guest.counter.last == Exit::Kind::failure));
    thread.stop();
    thread.join();
}

TEST_CASE("guest memory that the host cannot give ends the run, not the process") {
    Guest guest({0xEB, 0xFE});
    const auto& region = guest.memory->regions()[0];
    // The slot stays, the memory behind it goes.
    REQUIRE(::mprotect(region.mapping.data(), region.config.size, PROT_NONE) == 0);
    auto& thread = guest.threads.front();
    REQUIRE(thread.start());
    const auto limit = Clock::now() + 5s;
    while (!thread.at_rest(Clock::now() + 10ms) && Clock::now() < limit) {
    }
    thread.stop();
    thread.join();
    CHECK((guest.counter.failed.find("cannot run vCPU 0") != std::string::npos ||
           guest.counter.last == Exit::Kind::failure));
}
