#include "cli/consoles.h"

#include <algorithm>

namespace mote {

namespace {

ConsoleOutput* output_of(const std::unique_ptr<Console>& console) {
    return console != nullptr ? console->output() : nullptr;
}

}  // namespace

Result<Consoles> Consoles::create(const MachineConfig& config) {
    Consoles consoles;
    consoles.consoles_ = {TRY(Console::create(config.console)),
                          TRY(Console::create(config.virtio_console))};
    return consoles;
}

ConsoleOutputs Consoles::outputs() const {
    return {.serial = output_of(consoles_[0]), .virtio = output_of(consoles_[1])};
}

Result<> Consoles::open() {
    for (const auto& console : consoles_) {
        if (console == nullptr) continue;
        if (auto opened = console->open(); !opened) {
            finish(std::chrono::milliseconds(0));
            return opened;
        }
    }
    return {};
}

Result<> Consoles::start_input(Machine& machine) {
    const std::array<ConsoleInput*, kMost> inputs{machine.serial_input(),
                                                  machine.virtio_console_input()};
    Result<> started;
    for (size_t i = 0; i < kMost; ++i) {
        if (consoles_[i] == nullptr || inputs[i] == nullptr) continue;
        if (auto one = consoles_[i]->start_input(*inputs[i]); !one) started = std::move(one);
    }
    return started;
}

void Consoles::suspend() {
    for (const auto& console : consoles_)
        if (console != nullptr) console->suspend();
}

void Consoles::resume() {
    for (const auto& console : consoles_)
        if (console != nullptr) console->resume();
}

uint64_t Consoles::finish(std::chrono::milliseconds limit) {
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + limit;
    uint64_t untaken = 0;
    for (const auto& console : consoles_) {
        if (console == nullptr) continue;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
        untaken += console->finish(std::max(left, std::chrono::milliseconds(0)));
    }
    return untaken;
}

bool Consoles::leaves_line_open() {
    return std::ranges::any_of(consoles_, [](const auto& console) {
        return console != nullptr && console->leaves_line_open();
    });
}

std::array<int, Consoles::kMost> Consoles::events() const {
    std::array<int, kMost> fds{};
    std::ranges::transform(consoles_, fds.begin(), [](const auto& console) {
        return console != nullptr ? console->event().fd() : -1;
    });
    return fds;
}

ConsoleEvent Consoles::take_event() {
    for (const auto& console : consoles_) {
        if (console == nullptr) continue;
        const ConsoleEvent event = console->take_event();
        if (event != ConsoleEvent::none) return event;
    }
    return ConsoleEvent::none;
}

}  // namespace mote
