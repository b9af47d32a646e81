#include "devices/virtio/block.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>

#include "support/block_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

constexpr uint64_t kDiskSize = uint64_t{1} << 20U;
constexpr uint64_t kDiskSectors = kDiskSize / 512;

/// Every way that a request can take.
DiskEngineChoice any_engine() {
    return GENERATE(DiskEngineChoice::automatic, DiskEngineChoice::ring, DiskEngineChoice::pool);
}

BlockConfig disk(DiskEngineChoice engine = DiskEngineChoice::automatic) {
    return {
        .id = "disk0", .file = numbered_file(kDiskSize), .size_bytes = kDiskSize, .engine = engine};
}

uint64_t word(const BlockAnswer& answer, size_t index) {
    uint64_t value = 0;
    std::memcpy(&value, &answer.data.at(index * 8), sizeof value);
    return value;
}

uint64_t allocated(int fd) {
    struct stat info{};
    ::fstat(fd, &info);
    return static_cast<uint64_t>(info.st_blocks) * 512;
}

/// From now on this thread gets EPERM for io_uring_setup(2), as in a container.
bool forbid_io_uring() {
    std::array<sock_filter, 4> filter{
        sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_io_uring_setup},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    const sock_fprog program{.len = filter.size(), .filter = filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

TEST_CASE("block: what a driver finds") {
    BlockConfig config = disk();
    config.size_bytes = kDiskSize + 511;  // an incomplete last sector is left out
    BlockDriver block(std::move(config));
    CHECK(block.driver.read(mmio::kDeviceId) == 2);
    CHECK(block.driver.read64(mmio::kConfig) == kDiskSectors);
    CHECK(block.driver.read(mmio::kConfig + 12) == 254);
    CHECK(block.driver.read(mmio::kConfig + 20) == 512);
    CHECK(block.driver.read(mmio::kConfig + 40) == 32);
    CHECK(block.driver.read(mmio::kConfig + 52) == 32);
    CHECK(block.driver.offered() ==
          (kFeatureVersion1 | kFeatureEventIndex | kFeatureIndirect | kBlockSegMax | kBlockBlkSize |
           kBlockFlush | kBlockTopology | kBlockDiscard | kBlockWriteZeroes));
}

TEST_CASE("block: reads and writes, by every way") {
    BlockDriver block(disk(any_engine()));
    const BlockAnswer first = block.read(0, 512);
    CHECK(first.status == kBlockOk);
    CHECK(first.written == 513);
    CHECK(word(first, 0) == word_at(0));
    CHECK(word(first, 63) == word_at(504));
    const BlockAnswer last = block.read(kDiskSectors - 8, 4096);
    CHECK(last.status == kBlockOk);
    CHECK(word(last, 511) == word_at(kDiskSize - 8));

    const BlockAnswer written = block.write(8, 8192, 0x5A);
    CHECK(written.status == kBlockOk);
    CHECK(written.written == 1);
    CHECK(all(block.read(8, 8192).data, 0x5A));
    CHECK(word(block.read(7, 512), 0) == word_at(7 * 512));
    CHECK(word(block.read(24, 512), 0) == word_at(24 * 512));
    CHECK(block.flush().status == kBlockOk);
    CHECK(block.write(0, kDiskSize, 0x77).status == kBlockOk);
    CHECK(all(block.read(0, kDiskSize).data, 0x77));
}

TEST_CASE("block: where io_uring is forbidden, threads do its work") {
    BlockDriver block(disk(DiskEngineChoice::ring));
    bool forbidden = false;
    block.driver.worker().loop().post_and_wait([&] { forbidden = forbid_io_uring(); });
    REQUIRE(forbidden);
    CHECK(block.write(0, 4096, 0x33).status == kBlockOk);
    CHECK(block.flush().status == kBlockOk);
    CHECK(all(block.read(0, 4096).data, 0x33));
}

TEST_CASE("block: a request may be cut into buffers anywhere") {
    BlockDriver block(disk(any_engine()));
    const BlockHeader header{.type = kBlockIn, .reserved = 0U, .sector = uint64_t{2}};
    const auto bytes = std::as_bytes(std::span(&header, 1));
    const bool indirect = GENERATE(false, true);
    auto chain = block.queue.chain();
    chain.readable(bytes.first(3)).readable(bytes.subspan(3)).writable(100).writable(412);
    chain.writable(500).writable(13);  // the last byte is the status
    if (indirect) chain.indirect();
    const AddedChain sent = chain.add();
    block.send();
    CHECK(block.wait()->written == 1025);
    CHECK(block.ram.memory().load<uint64_t>(sent.buffers[2]) == word_at(1024));
    CHECK(block.ram.memory().load<uint64_t>({sent.buffers[3].value + 404}) == word_at(1528));
    CHECK(block.ram.memory().load<uint64_t>({sent.buffers[5].value + 4}) == word_at(2040));
    CHECK(block.ram.byte({sent.buffers[5].value + 12}) == kBlockOk);
}

TEST_CASE("block: without event indices") {
    BlockDriver block(disk(any_engine()), 0, 16);
    for (uint64_t i = 0; i < 100; ++i)
        REQUIRE(word(block.read(i, 512), 0) == word_at(i * 512));
}

TEST_CASE("block: a deep queue, each request with its own answer") {
    BlockDriver block(disk(any_engine()));
    for (unsigned round = 0; round < 20; ++round) {
        std::vector<std::pair<AddedChain, uint64_t>> sent;
        for (uint64_t i = 0; i < 85; ++i) {
            const uint64_t sector = (i * 37 + round) % (kDiskSectors - 8);
            sent.emplace_back(block.add(kBlockIn, sector, {}, 4096), sector);
        }
        block.send();
        std::set<uint32_t> heads;
        for (size_t i = 0; i < sent.size(); ++i) {
            const auto used = block.wait();
            REQUIRE(used.has_value());
            CHECK(used->written == 4097);
            heads.insert(used->head);
        }
        CHECK(heads.size() == sent.size());
        for (const auto& [chain, sector] : sent) {
            REQUIRE(block.ram.byte(chain.buffers[2]) == kBlockOk);
            REQUIRE(block.ram.memory().load<uint64_t>(chain.buffers[1]) == word_at(sector * 512));
        }
    }
}

TEST_CASE("block: the id is the serial number, cut or filled up to 20 bytes") {
    BlockConfig config = disk();
    std::string expected(20, '\0');
    SECTION("short") {
        expected.replace(0, 5, "disk0");
    }
    SECTION("long") {
        config.id = "a-name-of-more-than-twenty-bytes";
        expected = "a-name-of-more-than-";
    }
    BlockDriver block(std::move(config));
    const BlockAnswer answer = block.get_id();
    CHECK(answer.status == kBlockOk);
    CHECK(answer.written == 21);
    CHECK(std::memcmp(answer.data.data(), expected.data(), 20) == 0);
    CHECK(block.get_id(19).status == kBlockIoError);
}

TEST_CASE("block: requests that the disk refuses leave it as it was") {
    BlockDriver block(disk(any_engine()));
    const std::vector<std::byte> sector(512, std::byte{1});
    CHECK(block.read(kDiskSectors, 512).status == kBlockIoError);
    CHECK(block.read(kDiskSectors - 1, 1024).status == kBlockIoError);
    CHECK(block.read(~uint64_t{0}, 512).status == kBlockIoError);
    CHECK(block.read(uint64_t{1} << 55U, 512).status == kBlockIoError);
    CHECK(block.read(0, 513).status == kBlockIoError);
    CHECK(block.read(0, 0).status == kBlockIoError);
    CHECK(block.write(kDiskSectors, sector).status == kBlockIoError);
    CHECK(block.write(0, std::span(sector).first(511)).status == kBlockIoError);
    CHECK(block.request(kBlockIn, 0, sector, 512).status == kBlockIoError);
    CHECK(block.request(kBlockOut, 0, sector, 512).status == kBlockIoError);
    CHECK(block.request(kBlockOut, 0, {}, 512).status == kBlockIoError);
    CHECK(block.request(0x99, 0, sector, 512).status == kBlockUnsupported);
    CHECK(block.request(2, 0, sector, 0).status == kBlockUnsupported);  // SCSI
    CHECK(word(block.read(0, 512), 0) == word_at(0));
    CHECK_FALSE(block.driver.needs_reset());
}

TEST_CASE("block: a read-only disk is read and nothing else") {
    BlockConfig config = disk(any_engine());
    config.read_only = true;
    BlockDriver block(std::move(config));
    CHECK((block.driver.offered() & kBlockReadOnly) != 0);
    CHECK((block.driver.offered() & (kBlockDiscard | kBlockWriteZeroes)) == 0);
    CHECK(block.write(0, 512, 1).status == kBlockIoError);
    CHECK(block.ranges(kBlockDiscardRequest, {{0U, 8U, 0U}}).status == kBlockIoError);
    CHECK(block.ranges(kBlockWriteZeroesRequest, {{0U, 8U, 0U}}).status == kBlockIoError);
    CHECK(block.flush().status == kBlockOk);
    CHECK(word(block.read(0, 512), 0) == word_at(0));
}

TEST_CASE("block: what is no request at all needs a reset") {
    BlockDriver block(disk());
    SECTION("a short header") {
        block.queue.chain().readable("1234567").writable(1).add();
    }
    SECTION("no status") {
        block.queue.chain().readable("1234567890123456").add();
    }
    SECTION("nothing readable") {
        block.queue.chain().writable(513).add();
    }
    block.send();
    CHECK(wait_until([&] { return block.driver.needs_reset(); }));
    CHECK(block.queue.used_index() == 0);
    FakeQueue fresh(block.ram, 8);
    REQUIRE(block.driver.start(fresh));
}

TEST_CASE("block: discard and write-zeroes, on files that can and that cannot") {
    // A memfd knows no FALLOC_FL_ZERO_RANGE: the zeroes are written.
    const bool memory_file = GENERATE(false, true);
    UniqueFd file = numbered_file(kDiskSize);
    if (memory_file) {
        file.reset(::memfd_create("disk", MFD_CLOEXEC));
        REQUIRE(::ftruncate(file.get(), kDiskSize) == 0);
    }
    const UniqueFd look(::dup(file.get()));
    BlockDriver block({.id = "disk0", .file = std::move(file), .size_bytes = kDiskSize});
    REQUIRE(block.write(0, kDiskSize, 0x11).status == kBlockOk);
    const uint64_t full = allocated(look.get());

    CHECK(block.ranges(kBlockWriteZeroesRequest, {{8U, 300U, 0U}}).status == kBlockOk);
    CHECK(all(block.read(7, 512).data, 0x11));
    CHECK(all(block.read(8, 300 * 512).data, 0));
    CHECK(all(block.read(308, 512).data, 0x11));
    CHECK(allocated(look.get()) == full);

    CHECK(block.ranges(kBlockWriteZeroesRequest, {{512U, 8U, kBlockUnmap}}).status == kBlockOk);
    CHECK(all(block.read(512, 8 * 512).data, 0));
    CHECK(allocated(look.get()) < full);

    CHECK(block.ranges(kBlockDiscardRequest, {{1024U, 64U, 0U}, {1200U, 8U, 0U}, {0U, 0U, 0U}})
              .status == kBlockOk);
    CHECK(all(block.read(1024, 64 * 512).data, 0));
    CHECK(all(block.read(1200, 8 * 512).data, 0));
    CHECK(all(block.read(1208, 512).data, 0x11));
}

TEST_CASE("block: ranges that the disk refuses") {
    BlockDriver block(disk());
    const auto discard = [&](const std::vector<BlockRange>& ranges) {
        return block.ranges(kBlockDiscardRequest, ranges).status;
    };
    const auto zero = [&](const std::vector<BlockRange>& ranges) {
        return block.ranges(kBlockWriteZeroesRequest, ranges).status;
    };
    CHECK(discard({{kDiskSectors, 1U, 0U}}) == kBlockIoError);
    CHECK(discard({{~uint64_t{0}, 2U, 0U}}) == kBlockIoError);
    CHECK(discard({{0U, 1U, kBlockUnmap}}) == kBlockUnsupported);
    CHECK(discard({{0U, 1U, 2U}}) == kBlockUnsupported);
    CHECK(zero({{0U, 1U, 2U}}) == kBlockUnsupported);
    CHECK(zero({{0U, static_cast<uint32_t>(kDiskSectors) + 1, 0U}}) == kBlockIoError);
    CHECK(zero(std::vector<BlockRange>(33, BlockRange{0U, 1U, 0U})) == kBlockIoError);
    // One bad range, and none of them is done.
    CHECK(zero({{0U, 8U, 0U}, {kDiskSectors, 8U, 0U}}) == kBlockIoError);
    const std::vector<std::byte> ragged(17);
    CHECK(block.request(kBlockDiscardRequest, 0, ragged, 0).status == kBlockIoError);
    CHECK(block.request(kBlockDiscardRequest, 0, {}, 0).status == kBlockIoError);
    CHECK(word(block.read(0, 512), 0) == word_at(0));
}

TEST_CASE("block: a file that fails gives I/O errors, and the device lives on") {
    const DiskEngineChoice engine = any_engine();
    SECTION("shorter than it was") {
        BlockConfig config = disk(engine);
        REQUIRE(::ftruncate(config.file.get(), kDiskSize / 2) == 0);
        BlockDriver block(std::move(config));
        const BlockAnswer answer = block.read(kDiskSectors - 8, 4096);
        CHECK(answer.status == kBlockIoError);
        CHECK(answer.written == 1);
        CHECK(block.read(kDiskSectors / 2 - 4, 4096).status == kBlockIoError);
        CHECK(block.read(kDiskSectors / 2 - 8, 4096).status == kBlockOk);
    }
    SECTION("not a file at all") {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
        ::close(ends[1]);  // io_uring reads a pipe all the same; now it finds its end
        BlockDriver block(
            {.id = "pipe", .file = UniqueFd(ends[0]), .size_bytes = kDiskSize, .engine = engine});
        CHECK(block.read(0, 4096).status == kBlockIoError);
        CHECK(block.write(0, 4096, 1).status == kBlockIoError);
        CHECK(block.flush().status == kBlockIoError);
        CHECK(block.ranges(kBlockWriteZeroesRequest, {{0U, 8U, 0U}}).status == kBlockIoError);
        CHECK(block.get_id().status == kBlockOk);
    }
    SECTION("opened for reading only") {
        BlockConfig config = disk(engine);
        const std::string path = "/proc/self/fd/" + std::to_string(config.file.get());
        config.file = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        BlockDriver block(std::move(config));
        CHECK(block.write(0, 512, 1).status == kBlockIoError);
        CHECK(block.ranges(kBlockDiscardRequest, {{0U, 8U, 0U}}).status == kBlockIoError);
        CHECK(block.read(0, 512).status == kBlockOk);
    }
}

TEST_CASE("block: unsafe has no flush, and asks the host for none") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd other(ends[1]);
    // fdatasync(2) of a pipe fails: a flush that succeeds was none.
    BlockDriver block({.id = "pipe",
                       .file = UniqueFd(ends[0]),
                       .size_bytes = kDiskSize,
                       .cache = BlockCache::unsafe});
    CHECK((block.driver.offered() & kBlockFlush) == 0);
    CHECK(block.flush().status == kBlockOk);
}

TEST_CASE("block: O_DIRECT, with guest buffers aligned and not") {
    const DiskEngineChoice engine = any_engine();
    BlockConfig config{.id = "disk0",
                       .file = numbered_file(kDiskSize, "/var/tmp", O_DIRECT),
                       .size_bytes = kDiskSize,
                       .cache = BlockCache::direct,
                       .engine = engine};
    REQUIRE((::fcntl(config.file.get(), F_GETFL) & O_DIRECT) != 0);
    BlockDriver block(std::move(config));
    const uint32_t unit = block.driver.read(mmio::kConfig + 20);
    CHECK((unit == 512 || unit == 4096));
    for (const uint64_t shift : {0, 8, 512 + 16}) {
        const BlockHeader header{.type = kBlockOut, .reserved = 0U, .sector = uint64_t{64}};
        const auto data = block.ram.allocate(1 << 20U, 4096);
        const std::vector<std::byte> pattern(600 * 1024, std::byte(shift % 251 + 1));
        block.ram.memory().write({data.value + shift}, pattern);
        block.queue.chain()
            .readable(std::as_bytes(std::span(&header, 1)))
            .raw({data.value + shift}, 200 * 1024, 0)
            .raw({data.value + shift + 200 * 1024}, 400 * 1024, 0)
            .writable(1)
            .add();
        block.send();
        REQUIRE(block.wait().has_value());
        CHECK(all(block.read(64, 600 * 1024).data, static_cast<uint8_t>(shift % 251 + 1)));
        CHECK(word(block.read(0, 4096), 0) == word_at(0));
    }
    CHECK(block.flush().status == kBlockOk);
}

TEST_CASE("block: reset and pause while requests are in flight") {
    BlockDriver block(disk(any_engine()));
    for (unsigned round = 0; round < 30; ++round) {
        FakeQueue queue(block.ram, 16);
        REQUIRE(block.driver.start(queue));
        const GuestAddress data = block.ram.allocate(64 * 1024, 4096);
        const BlockHeader header{.type = kBlockOut, .reserved = 0U, .sector = uint64_t{0}};
        for (unsigned i = 0; i < 5; ++i)
            queue.chain()
                .readable(std::as_bytes(std::span(&header, 1)))
                .raw(data, 64 * 1024, 0)
                .writable(1)
                .add();
        queue.publish();
        block.driver.kick();
        if (round % 2 == 1) {
            REQUIRE(block.driver.transport().pause(std::chrono::seconds(10)));
            const uint16_t used = queue.used_index();
            block.driver.worker().settle();
            CHECK(queue.used_index() == used);
            block.driver.transport().resume();
            REQUIRE(wait_until([&] { return queue.used_index() == 5; }));
        }
        REQUIRE(block.driver.reset());
        const uint16_t used = queue.used_index();
        block.driver.worker().settle();
        CHECK(queue.used_index() == used);
    }
}

TEST_CASE("block: destroyed while requests are in flight") {
    BlockDriver block(disk(any_engine()));
    for (unsigned i = 0; i < 60; ++i)
        block.add(kBlockIn, 0, {}, 128 * 1024);
    block.send();
}

TEST_CASE("block: a limited disk holds requests back, and goes on by itself") {
    // A full bucket fills up from the start on: what is beyond it takes its time from there.
    const auto began = std::chrono::steady_clock::now();
    BlockConfig config = disk();
    config.limits.ops = {.size = 4, .refill_ms = 400};
    BlockDriver driver(std::move(config));
    for (unsigned i = 0; i < 8; ++i)
        driver.add(kBlockIn, i, {}, 512);
    driver.send();
    for (unsigned i = 0; i < 4; ++i)
        REQUIRE(driver.wait());
    // Held up: a kick changes nothing, and neither does a pause.
    driver.driver.kick();
    REQUIRE(driver.driver.transport().pause(std::chrono::seconds(5)));
    driver.driver.transport().resume();
    for (unsigned i = 4; i < 8; ++i)
        REQUIRE(driver.wait());
    CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(400));
}

TEST_CASE("block: a disk's limit of bytes counts data; a reset does not wait for it") {
    BlockConfig config = disk();
    config.limits.bytes = {.size = 4096, .refill_ms = 3'600'000};
    BlockDriver driver(std::move(config));
    CHECK(driver.read(0, 2048).status == kBlockOk);
    CHECK(driver.read(0, 2048).status == kBlockOk);
    CHECK(driver.flush().status == kBlockOk);
    driver.add(kBlockIn, 0, {}, 512);
    driver.send();
    driver.driver.worker().settle();
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    CHECK(driver.queue.used_index() == 3);
    CHECK(driver.driver.reset());
}
