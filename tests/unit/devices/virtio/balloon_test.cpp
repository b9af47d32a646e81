#include "devices/virtio/balloon.h"

#include <sys/mman.h>

#include <algorithm>
#include <thread>

#include "devices/virtio/balloon_pages.h"
#include "support/fake_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

constexpr uint64_t kPage = kBalloonPageSize;
constexpr uint64_t kTwoMib = uint64_t{2} << 20U;

/// A driver with all of the device's queues, in a guest of 16 MiB and 8 MiB more above 4 GiB.
struct Balloon {
    explicit Balloon(const BalloonConfig& config)
        : created(BalloonDevice::create(config, ram.memory()).value()),
          device(*created),
          driver(ram, std::move(created)) {
        start();
    }

    void start() {
        queues.clear();
        for (size_t i = 0; i < device.queue_sizes().size(); ++i)
            queues.emplace_back(ram, uint16_t{16});
        REQUIRE(driver.negotiate(driver.offered()));
        for (uint16_t i = 0; i < queues.size(); ++i)
            driver.configure(i, queues[i].config());
        driver.go();
    }

    FakeQueue& queue(uint16_t index) { return queues[index]; }
    void kick(uint16_t index) { driver.kick(index); }
    bool answered(uint16_t index) { return FakeDriver::wait_used(queue(index)).has_value(); }
    /// Fills whole pages, so that the host has memory behind them; no huge ones, which the host's
    /// kernel may make of those around a hole at any time, and the hole is full again.
    void fill(uint64_t address, uint64_t size) {
        ::madvise(ram.memory().window({address}, size).value().data(), size, MADV_NOHUGEPAGE);
        ram.memory().write({address}, std::vector<std::byte>(size, std::byte{0xA5}));
    }
    /// Inflates: page numbers in one request.
    bool give(const std::vector<uint32_t>& pages) {
        queue(0).chain().readable(std::as_bytes(std::span(pages))).submit();
        kick(0);
        return answered(0);
    }
    /// On the worker's thread.
    template <class Call>
    auto on_worker(Call call) {
        std::optional<decltype(call())> result;
        driver.worker().loop().post_and_wait([&] { result.emplace(call()); });
        return *std::move(result);
    }
    uint32_t config(uint64_t offset) { return driver.read(mmio::kConfig + offset); }

    FakeRam ram{uint64_t{16} << 20U, uint64_t{8} << 20U};
    std::unique_ptr<BalloonDevice> created;
    BalloonDevice& device;
    FakeDriver driver;
    std::vector<FakeQueue> queues;
};

std::string stats(const std::vector<std::pair<uint16_t, uint64_t>>& entries) {
    std::string bytes;
    for (const auto& [tag, value] : entries) {
        bytes.append(reinterpret_cast<const char*>(&tag), sizeof tag);
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    return bytes;
}

/// Pages of [address, address + size) that the host has memory for.
size_t resident(const FakeRam& ram, uint64_t address, uint64_t size) {
    const auto bytes = ram.memory().window({address}, size).value();
    std::vector<unsigned char> pages(size / kPage);
    REQUIRE(::mincore(bytes.data(), size, pages.data()) == 0);
    return static_cast<size_t>(std::ranges::count_if(pages, [](auto p) { return (p & 1U) != 0; }));
}

}  // namespace

TEST_CASE("balloon: queues and features are those that were asked for") {
    const auto offered = [](const BalloonConfig& config) {
        FakeRam ram;
        FakeDriver driver(ram, BalloonDevice::create(config, ram.memory()).value());
        CHECK(driver.read(mmio::kDeviceId) == 5);
        unsigned queues = 0;
        for (; driver.write(mmio::kQueueSel, queues), driver.read(mmio::kQueueNumMax) != 0;)
            ++queues;
        return std::pair(driver.offered() & 0xFF, queues);
    };
    CHECK(offered({}) == std::pair(uint64_t{0}, 2U));
    CHECK(offered({.deflate_on_oom = true, .reporting = true}) == std::pair(uint64_t{0x24}, 3U));
    CHECK(offered({.deflate_on_oom = true,
                   .reporting = true,
                   .hinting = true,
                   .statistics_interval_s = 1}) == std::pair(uint64_t{0x2E}, 5U));
}

TEST_CASE("balloon: pages put into it go back to the host, and only those") {
    Balloon balloon({});
    balloon.fill(4 * kTwoMib, kTwoMib);
    const uint32_t first = 4 * kTwoMib / kPage;
    // Descending, twice the same, and one alone.
    REQUIRE(balloon.give({first + 9, first + 8, first + 7, first + 8, first + 100}));
    CHECK(resident(balloon.ram, 4 * kTwoMib, kTwoMib) == 512 - 4);
    for (const uint32_t page : {7U, 8U, 9U, 100U})
        CHECK(balloon.ram.byte({4 * kTwoMib + page * kPage}) == 0);
    for (const uint32_t page : {6U, 10U, 99U, 101U})
        CHECK(balloon.ram.byte({4 * kTwoMib + page * kPage}) == 0xA5);

    // Also above 4 GiB.
    balloon.fill(uint64_t{4} << 30U, kPage);
    REQUIRE(balloon.give({uint32_t{1} << 20U}));
    CHECK(balloon.ram.byte({uint64_t{4} << 30U}) == 0);
}

TEST_CASE("balloon: deflating is answered, and the pages can be used again") {
    Balloon balloon({});
    const uint32_t page = 4 * kTwoMib / kPage;
    REQUIRE(balloon.give({page}));
    balloon.queue(1).chain().readable(std::as_bytes(std::span(&page, 1))).submit();
    balloon.kick(1);
    REQUIRE(balloon.answered(1));
    balloon.fill(4 * kTwoMib, kPage);
    CHECK(balloon.ram.byte({4 * kTwoMib}) == 0xA5);
}

TEST_CASE("balloon: a page that is not RAM costs the driver its device, and no memory") {
    Balloon balloon({});
    balloon.fill(4 * kTwoMib, kPage);
    const uint32_t good = 4 * kTwoMib / kPage;
    const uint32_t bad = GENERATE(0xFFFF'FFFFU, 16U << 8U, (1U << 20U) - 1, (1U << 20U) + 2048);
    const std::vector<uint32_t> pages{good, bad};
    balloon.queue(0).chain().readable(std::as_bytes(std::span(pages))).submit();
    balloon.kick(0);
    REQUIRE(wait_until([&] { return balloon.driver.needs_reset(); }));
    CHECK(balloon.queue(0).used_index() == 0);
    CHECK(balloon.ram.byte({4 * kTwoMib}) == 0xA5);

    balloon.start();
    REQUIRE(balloon.give({good}));
    CHECK(balloon.ram.byte({4 * kTwoMib}) == 0);
}

TEST_CASE("balloon: requests that are none need a reset") {
    Balloon balloon({.reporting = true, .hinting = true, .statistics_interval_s = 60});
    uint16_t queue = 0;
    SECTION("an inflate request to be written") {
        balloon.queue(0).chain().writable(8).submit();
    }
    SECTION("half a page number") {
        balloon.queue(0).chain().readable("123456").submit();
    }
    SECTION("statistics to be written") {
        balloon.queue(queue = 2).chain().writable(10).submit();
    }
    SECTION("a hinting command of 3 bytes") {
        balloon.queue(queue = 3).chain().readable("123").submit();
    }
    SECTION("a hinting command with a buffer") {
        balloon.queue(queue = 3).chain().readable("1234").writable(8).submit();
    }
    SECTION("a report to be read") {
        balloon.queue(queue = 4).chain().readable("x").writable(8).submit();
    }
    balloon.kick(queue);
    REQUIRE(wait_until([&] { return balloon.driver.needs_reset(); }));
    CHECK(balloon.queue(queue).used_index() == 0);
}

TEST_CASE("balloon: an inflate request is served up to its limit") {
    Balloon balloon({});
    balloon.fill(2 * kTwoMib, 3 * kTwoMib);
    std::vector<uint32_t> pages(kMaxInflatePages + 8);
    for (uint32_t i = 0; i < pages.size(); ++i)
        pages[i] = 2 * kTwoMib / kPage + i;
    REQUIRE(balloon.give(pages));
    CHECK(resident(balloon.ram, 2 * kTwoMib, 3 * kTwoMib) == 3 * 512 - kMaxInflatePages);
}

TEST_CASE("balloon: many scattered requests take several turns and are all answered") {
    Balloon balloon({});
    balloon.fill(4 * kTwoMib, 2 * kTwoMib);
    std::vector<uint32_t> pages;
    for (uint32_t i = 0; i < 500; ++i)
        pages.push_back(4 * kTwoMib / kPage + 2 * i);
    for (unsigned i = 0; i < 16; ++i)
        balloon.queue(0).chain().readable(std::as_bytes(std::span(pages))).add();
    balloon.queue(0).publish();
    balloon.kick(0);
    for (unsigned i = 0; i < 16; ++i)
        REQUIRE(balloon.answered(0));
    CHECK(resident(balloon.ram, 4 * kTwoMib, 2 * kTwoMib) == 1024 - 500);
}

TEST_CASE("balloon: reported memory goes back to the host, whole pages of it") {
    Balloon balloon({.reporting = true});
    balloon.fill(2 * kTwoMib, 4 * kTwoMib);
    balloon.queue(2)
        .chain()
        .raw({3 * kTwoMib}, kTwoMib, kDescriptorWrite)
        .raw({2 * kTwoMib}, kTwoMib, kDescriptorWrite)
        .raw({4 * kTwoMib + 100}, kPage * 2, kDescriptorWrite)
        .submit();
    balloon.kick(2);
    REQUIRE(balloon.answered(2));
    CHECK(resident(balloon.ram, 2 * kTwoMib, 2 * kTwoMib) == 0);
    CHECK(resident(balloon.ram, 4 * kTwoMib, 2 * kTwoMib) == 1024 - 1);
    CHECK(balloon.ram.byte({4 * kTwoMib + kPage - 1}) == 0xA5);
    CHECK(balloon.ram.byte({4 * kTwoMib + kPage}) == 0);
    CHECK(balloon.ram.byte({4 * kTwoMib + 2 * kPage}) == 0xA5);
}

TEST_CASE("balloon: a report from outside of RAM needs a reset") {
    Balloon balloon({.reporting = true});
    balloon.queue(2).chain().raw({uint64_t{1} << 30U}, kPage, kDescriptorWrite).submit();
    balloon.kick(2);
    REQUIRE(wait_until([&] { return balloon.driver.needs_reset(); }));
}

TEST_CASE("balloon: the ring itself may be given away; the device lives") {
    Balloon balloon({});
    const uint64_t ring = balloon.queue(0).config().descriptors.value;
    const auto page = static_cast<uint32_t>(ring / kPage);
    balloon.queue(0).chain().readable(std::as_bytes(std::span(&page, 1))).submit();
    balloon.kick(0);
    balloon.driver.worker().settle();
    balloon.start();
    CHECK(balloon.give({4 * kTwoMib / kPage}));
}

TEST_CASE("balloon: the target reaches the driver, whose answer can be read") {
    Balloon balloon({});
    CHECK(balloon.config(0) == 0);
    balloon.driver.take_interrupt();
    REQUIRE(balloon.on_worker([&] { return balloon.device.set_target(1024); }));
    CHECK(balloon.config(0) == 1024);
    CHECK(balloon.driver.take_interrupt());
    CHECK((balloon.driver.read(mmio::kInterruptStatus) & mmio::kInterruptConfig) != 0);

    balloon.driver.write(mmio::kConfig + 4, 512);
    balloon.driver.worker().settle();
    CHECK(balloon.config(4) == 512);
    CHECK(balloon.on_worker([&] { return balloon.device.actual_pages(); }) == 512);
    CHECK_FALSE(balloon.driver.take_interrupt());

    // Not the driver's to write, or not as a whole.
    balloon.driver.write(mmio::kConfig, 7);
    balloon.driver.transport().write(mmio::kConfig + 4, std::as_bytes(std::span("xy", 2)));
    balloon.driver.worker().settle();
    CHECK(balloon.config(0) == 1024);
    CHECK(balloon.config(4) == 512);

    // 24 MiB is all there is.
    CHECK(balloon.on_worker([&] { return balloon.device.set_target(6144); }));
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.set_target(6145); }));
    CHECK(balloon.config(0) == 6144);

    // A reset empties the balloon; what is asked for stays.
    REQUIRE(balloon.driver.reset());
    CHECK(balloon.config(0) == 6144);
    CHECK(balloon.config(4) == 0);
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.set_target(1); }));
}

TEST_CASE("balloon: a target beyond all RAM is refused at creation") {
    FakeRam ram;
    CHECK(BalloonDevice::create({.target_pages = 2048}, ram.memory()));
    CHECK_FALSE(BalloonDevice::create({.target_pages = 2049}, ram.memory()));
}

TEST_CASE("balloon statistics: known tags, unknown ones, a cut entry") {
    const std::string report = stats({{4, 1000}, {99, 1}, {15, 7}, {4, 2000}, {98, 2}}) + "cut";
    const ParsedStatistics parsed = parse_balloon_statistics(bytes_of(report));
    CHECK(parsed.known[BalloonStat::free_memory] == 2000);
    CHECK(parsed.known[BalloonStat::direct_reclaim] == 7);
    CHECK_FALSE(parsed.known[BalloonStat::swap_in].has_value());
    CHECK(parsed.unknown_tag == 99);
    CHECK_FALSE(parse_balloon_statistics({}).unknown_tag.has_value());
}

TEST_CASE("balloon: statistics come when their time has come") {
    Balloon balloon({.statistics_interval_s = 1});
    FakeQueue& queue = balloon.queue(2);
    const AddedChain sent = queue.chain().readable(stats({{0, 11}, {5, 22}})).submit();
    balloon.kick(2);
    REQUIRE(wait_until([&] {
        const auto read = balloon.on_worker([&] { return balloon.device.statistics(); });
        return read.value()[BalloonStat::total_memory] == 22;
    }));
    // The buffer is kept until the interval has passed; then the driver is to fill it again.
    CHECK(queue.used_index() == 0);
    const auto used = FakeDriver::wait_used(queue);
    REQUIRE(used);
    CHECK(used->head == sent.head);
    CHECK(used->written == 0);

    queue.chain().readable(stats({{5, 33}})).submit();
    balloon.kick(2);
    REQUIRE(wait_until([&] {
        const auto read = balloon.on_worker([&] { return balloon.device.statistics(); });
        return read.value()[BalloonStat::total_memory] == 33 &&
               !read.value()[BalloonStat::swap_in].has_value();
    }));
    CHECK(balloon.on_worker([&] { return balloon.device.set_statistics_interval(2); }));
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.set_statistics_interval(0); }));
    // With a buffer in the device's hands.
    CHECK(balloon.driver.reset());
}

TEST_CASE("balloon: a second statistics buffer sends the first one back") {
    Balloon balloon({.statistics_interval_s = 60});
    const AddedChain first = balloon.queue(2).chain().readable(stats({{5, 1}})).add();
    balloon.queue(2).chain().readable(stats({{5, 2}})).submit();
    balloon.kick(2);
    const auto used = FakeDriver::wait_used(balloon.queue(2));
    REQUIRE(used);
    CHECK(used->head == first.head);
    const auto read = balloon.on_worker([&] { return balloon.device.statistics(); });
    CHECK(read.value()[BalloonStat::total_memory] == 2);
}

TEST_CASE("balloon: no statistics where they are off") {
    Balloon balloon({});
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.statistics(); }));
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.set_statistics_interval(1); }));
    CHECK(balloon.on_worker([&] { return balloon.device.set_statistics_interval(0); }));
}

TEST_CASE("balloon: hints count in the round that the host asked for") {
    Balloon balloon({.hinting = true});
    FakeQueue& queue = balloon.queue(2);
    const auto send_command = [&](uint32_t command) {
        queue.chain().readable(std::as_bytes(std::span(&command, 1))).submit();
        balloon.kick(2);
        return balloon.answered(2);
    };
    const auto send_hint = [&](uint64_t address) {
        balloon.fill(address, kTwoMib);
        queue.chain().raw({address}, kTwoMib, kDescriptorWrite).submit();
        balloon.kick(2);
        REQUIRE(balloon.answered(2));
        return balloon.ram.byte({address}) == 0;
    };
    const auto state = [&] {
        return balloon.on_worker([&] { return balloon.device.hinting(); }).value();
    };
    CHECK_FALSE(state().guest_command.has_value());
    CHECK_FALSE(send_hint(4 * kTwoMib));  // nobody asked

    REQUIRE(balloon.on_worker([&] { return balloon.device.start_hinting(true); }));
    CHECK(balloon.config(8) == 2);
    CHECK_FALSE(send_hint(4 * kTwoMib));  // from before the round
    REQUIRE(send_command(2));
    CHECK(send_hint(4 * kTwoMib));
    REQUIRE(send_command(kHintingStop));
    CHECK(balloon.config(8) == kHintingDone);
    CHECK(state().guest_command == kHintingStop);
    CHECK_FALSE(send_hint(4 * kTwoMib));

    REQUIRE(balloon.on_worker([&] { return balloon.device.start_hinting(false); }));
    CHECK(balloon.config(8) == 3);
    REQUIRE(send_command(3));
    REQUIRE(send_command(kHintingStop));
    CHECK(balloon.config(8) == 3);
    REQUIRE(balloon.on_worker([&] { return balloon.device.stop_hinting(); }));
    CHECK(state().host_command == kHintingDone);

    REQUIRE(balloon.driver.reset());
    CHECK(balloon.config(8) == kHintingStop);
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.start_hinting(true); }));
}

TEST_CASE("balloon: no hinting where it is off") {
    Balloon balloon({});
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.start_hinting(true); }));
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.stop_hinting(); }));
    CHECK_FALSE(balloon.on_worker([&] { return balloon.device.hinting(); }));
}

TEST_CASE("balloon: a paused device sends no statistics buffer back") {
    Balloon balloon({.statistics_interval_s = 1});
    balloon.queue(2).chain().readable(stats({{5, 1}})).submit();
    balloon.kick(2);
    REQUIRE(wait_until([&] {
        const auto read = balloon.on_worker([&] { return balloon.device.statistics(); });
        return read.value()[BalloonStat::total_memory].has_value();
    }));
    REQUIRE(balloon.driver.transport().pause(std::chrono::seconds(5)));
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    CHECK(balloon.queue(2).used_index() == 0);
    balloon.driver.transport().resume();
    CHECK(balloon.answered(2));
}
