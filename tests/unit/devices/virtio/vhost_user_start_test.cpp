// How a vhost-user back end is asked for what it is, and what becomes of one that answers badly.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "devices/virtio/vhost_user_block.h"
#include "support/fake_ram.h"
#include "support/vhost_user_back_end.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::vhost_user;
using std::chrono::milliseconds;

namespace {

constexpr auto kPatience = milliseconds(200);

struct Rig {
    FakeBackEnd back_end;
    FakeRam ram = FakeRam::shared();

    Result<std::unique_ptr<VhostUserBlock>> create(
        milliseconds patience = std::chrono::seconds(10)) {
        return VhostUserBlock::create({.id = "disk0",
                                       .socket = back_end.take_front_end(),
                                       .path = "/x/y.sock",
                                       .patience = patience},
                                      ram.memory());
    }
    /// What create() says behind the back end's name.
    std::string error(milliseconds patience = std::chrono::seconds(10)) {
        const auto device = create(patience);
        if (device) return "";
        const std::string& text = device.error().message;
        const std::string_view begin = "disk0: the vhost-user back end at /x/y.sock ";
        REQUIRE(text.starts_with(begin));
        CHECK(text.find('\n') == std::string::npos);
        return text.substr(begin.size());
    }
};

constexpr std::string_view kAdvice =
    " while the disk is set up; see that it runs, serves disks and serves nobody else";
std::string advised(std::string_view what) {
    return std::string(what) + std::string(kAdvice);
}

size_t open_files() {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                             std::filesystem::directory_iterator()));
}

}  // namespace

TEST_CASE("vhost-user: the start asks, and agrees to what it needs only") {
    Rig rig;
    const auto device = rig.create();
    REQUIRE(device);
    CHECK(rig.back_end.requests() ==
          std::vector{Request::get_features, Request::get_protocol_features,
                      Request::set_protocol_features, Request::set_owner, Request::get_config});
    CHECK(rig.back_end.last(Request::set_protocol_features).as<uint64_t>() == kProtocolConfig);
    const auto asked = rig.back_end.last(Request::get_config).as<ConfigSpace>();
    CHECK((asked.offset == 0 && asked.size == 60));
}

TEST_CASE("vhost-user: the guest is offered what the back end has and mote knows") {
    Rig rig;
    SECTION("a back end that has all") {
        const auto device = rig.create().value();
        CHECK(device->features() ==
              (virtio::kFeatureVersion1 | virtio::kFeatureEventIndex | virtio::kFeatureIndirect |
               virtio::kBlockSizeMax | virtio::kBlockSegMax | virtio::kBlockReadOnly |
               virtio::kBlockBlkSize | virtio::kBlockFlush | virtio::kBlockTopology |
               virtio::kBlockDiscard | virtio::kBlockWriteZeroes));
        // Neither a configurable cache nor several queues, nor the socket's own bit.
        CHECK((device->features() & (1ULL << 11U | 1ULL << 12U | kFeatureProtocol)) == 0);
    }
    SECTION("a back end that has little") {
        rig.back_end.features =
            virtio::kFeatureVersion1 | kFeatureProtocol | virtio::kBlockReadOnly;
        rig.back_end.protocol_features = kProtocolConfig;
        const auto device = rig.create().value();
        CHECK(device->features() == (virtio::kFeatureVersion1 | virtio::kBlockReadOnly));
    }
}

TEST_CASE("vhost-user: the configuration space is the back end's") {
    Rig rig;
    rig.back_end.space.bytes[20] = std::byte{0x10};
    const auto device = rig.create().value();
    const auto space = device->config();
    REQUIRE(space.size() == 60);
    CHECK(space[1] == std::byte{8});
    CHECK(space[20] == std::byte{0x10});
    CHECK(device->type() == virtio::kTypeBlock);
    CHECK((device->queue_sizes().size() == 1 && device->queue_sizes()[0] == 256));
}

TEST_CASE("vhost-user: a back end that lacks what is needed is refused") {
    Rig rig;
    SECTION("virtio 1.0") {
        rig.back_end.features = kFeatureProtocol;
        CHECK(rig.error() ==
              "offers nothing of virtio 1.0 or later; give a vhost-user-blk back end");
    }
    SECTION("protocol features") {
        rig.back_end.features = ~kFeatureProtocol;
        CHECK(rig.error() == "negotiates no protocol features; give a vhost-user-blk back end");
    }
    SECTION("the configuration") {
        rig.back_end.protocol_features = ~kProtocolConfig;
        CHECK(rig.error() == "does not tell its configuration; give a vhost-user-blk back end");
    }
    SECTION("sectors") {
        rig.back_end.space.bytes = {};
        CHECK(rig.error() == "has a disk without a sector; give it an image");
    }
    SECTION("another part of the configuration") {
        rig.back_end.space.offset = 4;
        CHECK(rig.error() ==
              "answers with another part of its configuration than was asked for; give a "
              "vhost-user-blk back end");
    }
}

TEST_CASE("vhost-user: an answer that is none ends the start at once") {
    Rig rig;
    const uint64_t value = ~uint64_t{0};
    const auto bytes = std::as_bytes(std::span(&value, 1));
    const auto answers = [&](uint32_t request, uint32_t flags, uint32_t size) {
        rig.back_end.on(Request::get_protocol_features, [&, request, flags, size] {
            rig.back_end.send(request, flags, size, bytes);
        });
        return rig.error();
    };
    SECTION("to another request") {
        CHECK(answers(1, 5, 8) == advised("answers request 1 where 15 was sent"));
    }
    SECTION("no reply") {
        CHECK(answers(15, 1, 8) == advised("answers request 15 with the flags 0x1"));
    }
    SECTION("another version") {
        CHECK(answers(15, 6, 8) == advised("answers request 15 with the flags 0x6"));
    }
    SECTION("one that wants an answer itself") {
        CHECK(answers(15, 0xD, 8) == advised("answers request 15 with the flags 0xd"));
    }
    SECTION("too short") {
        CHECK(answers(15, 5, 0) == advised("answers request 15 with 0 bytes, not 8"));
    }
    SECTION("too long") {
        CHECK(answers(15, 5, ~0U) == advised("answers request 15 with 4294967295 bytes, not 8"));
    }
}

TEST_CASE("vhost-user: a configuration that the back end cannot give is told") {
    Rig rig;
    rig.back_end.on(Request::get_config, [&] { rig.back_end.send(24, 5, 0, {}); });
    CHECK(rig.error() == advised("answers request 24 with 0 bytes, not 72"));
}

TEST_CASE("vhost-user: a back end that hangs up is told") {
    Rig rig;
    SECTION("before it says anything") {
        rig.back_end.on(Request::get_features, [&] { rig.back_end.hang_up(); });
    }
    SECTION("midway in a header") {
        rig.back_end.on(Request::get_features, [&] {
            rig.back_end.send_bytes(std::array<std::byte, 5>{std::byte{1}});
            rig.back_end.hang_up();
        });
    }
    SECTION("midway in an answer") {
        rig.back_end.on(Request::get_config, [&] {
            rig.back_end.send(24, 5, sizeof(ConfigSpace), std::array<std::byte, 50>{});
            rig.back_end.hang_up();
        });
    }
    CHECK(rig.error() == advised("has hung up"));
}

TEST_CASE("vhost-user: a silent or a dribbling back end ends the start in time") {
    Rig rig;
    const auto began = std::chrono::steady_clock::now();
    SECTION("silent") {
        rig.back_end.ignore(Request::get_features);
    }
    SECTION("dribbling") {
        // A byte, and long before the time is over another one: altogether it is not enough.
        rig.back_end.on(Request::get_features, [&] {
            const Header header{.request = 1, .flags = 5, .size = 8};
            for (const std::byte one : std::as_bytes(std::span(&header, 1))) {
                rig.back_end.send_bytes(std::span(&one, 1));
                std::this_thread::sleep_for(kPatience / 4);
            }
        });
    }
    CHECK(rig.error(kPatience) == advised("does not answer request 1 in time"));
    const auto took = std::chrono::steady_clock::now() - began;
    CHECK((took >= kPatience && took < std::chrono::seconds(10)));
}

TEST_CASE("vhost-user: files that nobody asked for are refused, and not kept") {
    Rig rig;
    const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    rig.back_end.on(Request::get_features, [&] {
        const std::array<int, 3> files{file.get(), file.get(), file.get()};
        const auto value = std::as_bytes(std::span(&rig.back_end.features, 1));
        rig.back_end.send(1, 5, 8, value, files);
    });
    const size_t before = open_files();
    CHECK(rig.error() == advised("sends files that nobody asked for"));
    // mote's end of the socket has gone with the device that was not to be.
    CHECK(open_files() == before - 1);
}

TEST_CASE("vhost-user: answers in pieces are put together") {
    Rig rig;
    rig.back_end.on(Request::get_features, [&] {
        struct Whole {
            Header header{.request = 1, .flags = 5, .size = 8};
            std::array<uint32_t, 2> features{};
        } whole;
        static_assert(sizeof whole == 20);
        std::memcpy(whole.features.data(), &rig.back_end.features, 8);
        for (const std::byte one : std::as_bytes(std::span(&whole, 1))) {
            rig.back_end.send_bytes(std::span(&one, 1));
            std::this_thread::yield();
        }
    });
    CHECK(rig.create());
}
