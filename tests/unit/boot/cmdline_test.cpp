#include "boot/cmdline.h"

#include "unit/boot/images.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using Catch::Matchers::Contains;

namespace {

const std::vector<BootDevice> kTwo{{.address = {0xC000'1000}, .size = 4096, .gsi = 5},
                                   {.address = {0xC000'2000}, .size = 4096, .gsi = 6}};
const ConsoleDevices kSerial{.serial = true, .virtio = false};
const std::string kEntries =
    "virtio_mmio.device=4K@0xc0001000:5 virtio_mmio.device=4K@0xc0002000:6";

}  // namespace

TEST_CASE("command line: device entries go before what is init's") {
    CHECK(with_virtio_devices("a b", kTwo) == "a b " + kEntries);
    CHECK(with_virtio_devices("a -- b c", kTwo) == "a " + kEntries + " -- b c");
    CHECK(with_virtio_devices("a -- b -- c", kTwo) == "a " + kEntries + " -- b -- c");
    CHECK(with_virtio_devices("a --", kTwo) == "a " + kEntries + " --");
    CHECK(with_virtio_devices("-- b", kTwo) == kEntries + " -- b");
    CHECK(with_virtio_devices("a --b", kTwo) == "a --b " + kEntries);
    CHECK(with_virtio_devices("a -- b", {}) == "a -- b");
    CHECK(with_virtio_devices("-- b", {}) == "-- b");
}

TEST_CASE("command line: 2047 characters fit, 2048 do not") {
    const GuestMemory memory = make_memory(2 * kMiB);
    REQUIRE(write_cmdline(memory, std::string(2047, 'x')));
    CHECK(memory.load<uint8_t>({layout::kCommandLine.value + 2046}) == 'x');
    CHECK(memory.load<uint8_t>({layout::kCommandLine.value + 2047}) == 0);
    const auto result = write_cmdline(memory, std::string(2048, 'x'));
    REQUIRE_FALSE(result);
    CHECK_THAT(result.error().message, Contains("2048 characters") && Contains("limit is 2047"));
    CHECK_FALSE(write_cmdline(memory, std::string("a\0b", 3)));
}

TEST_CASE("command line: the default names the console, and the root where there is one") {
    CHECK_THAT(default_cmdline(kSerial, true), Contains("console=ttyS0") && Contains("nr_uarts=1"));
    CHECK_THAT(default_cmdline({}, true), !Contains("console=") && Contains("nr_uarts=0"));
    CHECK_THAT(default_cmdline({.serial = false, .virtio = true}, true),
               Contains("console=hvc0") && Contains("nr_uarts=0"));
    CHECK_THAT(default_cmdline({.serial = true, .virtio = true}, true),
               Contains("console=ttyS0") && !Contains("hvc0"));
    CHECK_THAT(default_cmdline(kSerial, true), !Contains("root=") && Contains("reboot=acpi,force"));
    CHECK_THAT(default_cmdline(kSerial, false),
               Contains("reboot=pci,force acpi=off no_timer_check"));
    CHECK_THAT(default_cmdline(kSerial, true, RootDevice{"/dev/vda", true}),
               Contains("root=/dev/vda ro"));
    CHECK_THAT(default_cmdline(kSerial, true, RootDevice{"/dev/pmem0", false}),
               Contains("root=/dev/pmem0 rw"));
}
