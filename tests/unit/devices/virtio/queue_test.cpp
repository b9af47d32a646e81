#include "devices/virtio/queue.h"

#include <string>

#include "support/fake_queue.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using virtio::kDescriptorIndirect;
using virtio::kDescriptorNext;
using virtio::kDescriptorWrite;

namespace {

constexpr uint64_t kRingFeatures = virtio::kFeatureEventIndex | virtio::kFeatureIndirect;
constexpr GuestAddress kHole{0xC000'1000};

/// Driver and device sides of one queue, with what broke it.
struct Pair {
    explicit Pair(uint16_t size = 8, uint64_t features = kRingFeatures)
        : driver(ram, size, (features & virtio::kFeatureEventIndex) != 0),
          device(
              Queue::create(driver.config(), ram.memory(), features, [this](std::string_view why) {
                  broke += why;
              }).value()) {}

    FakeRam ram;
    std::string broke;
    FakeQueue driver;
    std::unique_ptr<Queue> device;
};

std::string read_text(Chain& chain, size_t size) {
    std::string text(size, '\0');
    return chain.read(std::as_writable_bytes(std::span(text))) ? text : "(too few bytes)";
}

/// pop() finds nothing, because the queue broke for this reason.
void check_breaks(Pair& pair, std::string_view why) {
    CHECK_FALSE(pair.device->pop().has_value());
    CHECK(pair.device->broken());
    CHECK(pair.broke == why);
    CHECK_FALSE(pair.device->pop().has_value());
    CHECK_FALSE(pair.device->has_work());
    CHECK(pair.broke == why);  // said once
}

}  // namespace

TEST_CASE("Queue: a chain goes to the device and comes back") {
    Pair pair;
    CHECK_FALSE(pair.device->has_work());
    CHECK_FALSE(pair.device->pop().has_value());

    const AddedChain sent =
        pair.driver.chain().readable("head").readable("er").writable(4).writable(4).submit();
    CHECK(pair.device->has_work());
    auto chain = pair.device->pop();
    REQUIRE(chain.has_value());
    CHECK(chain->head() == sent.head);
    CHECK(chain->readable() == 6);
    CHECK(chain->writable() == 8);
    CHECK(pair.device->in_flight() == 1);
    CHECK(read_text(*chain, 7) == "(too few bytes)");
    CHECK(read_text(*chain, 5) == "heade");
    CHECK(read_text(*chain, 1) == "r");
    CHECK(chain->write(bytes_of("answer")));
    CHECK_FALSE(chain->write(bytes_of("123")));
    CHECK(chain->writable() == 2);
    pair.device->complete(*std::move(chain), 6);

    CHECK_FALSE(pair.driver.take_used().has_value());  // not before publish()
    CHECK(pair.device->publish());
    const auto used = pair.driver.take_used();
    REQUIRE(used.has_value());
    CHECK(used->head == sent.head);
    CHECK(used->written == 6);
    CHECK(pair.ram.bytes(sent.buffers[2], 4) ==
          std::vector(bytes_of("answ").begin(), bytes_of("answ").end()));
    CHECK(pair.device->in_flight() == 0);
    CHECK_FALSE(pair.device->publish());
}

TEST_CASE("Queue: indirect tables, whole or behind direct descriptors") {
    Pair pair;
    SECTION("whole") {
        pair.driver.chain().indirect().readable("abc").writable(9).submit();
    }
    SECTION("mixed") {
        pair.driver.chain().readable("ab").rest_indirect().readable("c").writable(9).submit();
    }
    auto chain = pair.device->pop();
    REQUIRE(chain.has_value());
    CHECK(read_text(*chain, 3) == "abc");
    CHECK(chain->writable() == 9);
    pair.device->complete(*std::move(chain), 0);
}

TEST_CASE("Queue: an indirect table may be longer than a small ring") {
    Pair pair(2);
    auto builder = pair.driver.chain().indirect();
    for (unsigned i = 0; i < Queue::kMaxChain; ++i)
        builder.readable("x");
    builder.submit();
    auto chain = pair.device->pop();
    REQUIRE(chain.has_value());
    CHECK(chain->readable() == Queue::kMaxChain);
    pair.device->complete(*std::move(chain), 0);
}

TEST_CASE("Queue: the last writable byte can be taken away for a status") {
    Pair pair;
    const AddedChain sent = pair.driver.chain().writable(4).writable(1).submit();
    auto chain = pair.device->pop();
    REQUIRE(chain.has_value());
    std::byte* const status = chain->take_last_writable();
    REQUIRE(status != nullptr);
    CHECK(chain->writable() == 4);
    CHECK(chain->writable_parts().size() == 1);
    *status = std::byte{7};
    CHECK(pair.ram.byte(sent.buffers[1]) == 7);
    CHECK(chain->write(bytes_of("1234")));
    CHECK(chain->take_last_writable() == nullptr);
    pair.device->complete(*std::move(chain), 5);
}

TEST_CASE("Queue: a buffer may cross regions, and lie above 4 GiB") {
    FakeRam ram(uint64_t{1} << 20U, uint64_t{1} << 20U);
    FakeQueue driver(ram, 8);
    const auto device = Queue::create(driver.config(), ram.memory(), kRingFeatures, {}).value();
    driver.chain().raw({(uint64_t{4} << 30U) + (1U << 20U) - 4}, 4, 0).submit();
    auto chain = device->pop();
    REQUIRE(chain.has_value());
    CHECK(chain->readable() == 4);
    device->complete(*std::move(chain), 0);
    driver.chain().raw({(1U << 20U) - 4}, 4, kDescriptorWrite).submit();
    chain = device->pop();
    REQUIRE(chain.has_value());
    device->complete(*std::move(chain), 0);
    driver.chain().raw({(1U << 20U) - 4}, 5, kDescriptorWrite).submit();
    CHECK_FALSE(device->pop().has_value());
    CHECK(device->broken());
}

TEST_CASE("Queue: rings and indices wrap, with every interrupt that was asked for") {
    const bool event_index = GENERATE(true, false);
    Pair pair(4, event_index ? kRingFeatures : 0);
    const GuestAddress buffer = pair.ram.allocate(64);
    for (unsigned i = 0; i < 70'000; ++i) {
        const bool want = i % 3 == 0;
        if (want)
            REQUIRE(pair.driver.want_interrupt());
        else
            pair.driver.refuse_interrupts();
        pair.driver.chain().raw(buffer, 1, 0).submit();
        auto chain = pair.device->pop();
        REQUIRE(chain.has_value());
        pair.device->complete(*std::move(chain), i);
        REQUIRE(pair.device->publish() == want);
        REQUIRE(pair.driver.take_used()->written == i);
    }
}

TEST_CASE("Queue: notifications are asked for before sleeping, and not while looking") {
    const bool event_index = GENERATE(true, false);
    Pair pair(4, event_index ? kRingFeatures : 0);
    const GuestAddress buffer = pair.ram.allocate(64);
    for (unsigned i = 0; i < 70'000; ++i) {
        REQUIRE_FALSE(pair.device->enable_notifications());
        pair.driver.chain().raw(buffer, 1, 0).add();
        REQUIRE(pair.driver.publish());
        pair.device->disable_notifications();
        pair.driver.chain().raw(buffer, 1, 0).add();
        REQUIRE_FALSE(pair.driver.publish());
        REQUIRE(pair.device->enable_notifications());  // something came in meanwhile
        pair.device->disable_notifications();
        while (auto chain = pair.device->pop())
            pair.device->complete(*std::move(chain), 0);
        static_cast<void>(pair.device->publish());
        REQUIRE(pair.driver.take_used().has_value());
        REQUIRE(pair.driver.take_used().has_value());
    }
}

TEST_CASE("crosses_event is right at every wrap") {
    // Asked for `event`: told where the step from `before` to `now` passes event + 1.
    CHECK(virtio::crosses_event(0, 1, 0));
    CHECK_FALSE(virtio::crosses_event(1, 1, 0));
    CHECK(virtio::crosses_event(0xFFFF, 0, 0xFFFF));
    CHECK(virtio::crosses_event(0xFFFE, 1, 0xFFFE));
    CHECK_FALSE(virtio::crosses_event(0xFFFD, 1, 0xFFFE));
    CHECK(virtio::crosses_event(0, 3, 0xFFFE));
    CHECK_FALSE(virtio::crosses_event(3, 3, 0xFFFE));
    CHECK_FALSE(virtio::crosses_event(5, 9, 9));
}

TEST_CASE("Queue: completions come in any order") {
    Pair pair;
    const auto first = pair.driver.chain().readable("1").submit();
    const auto second = pair.driver.chain().readable("2").submit();
    auto one = pair.device->pop();
    auto two = pair.device->pop();
    REQUIRE((one && two));
    pair.device->complete(*std::move(two), 0);
    pair.device->complete(*std::move(one), 0);
    static_cast<void>(pair.device->publish());
    CHECK(pair.driver.take_used()->head == second.head);
    CHECK(pair.driver.take_used()->head == first.head);
}

TEST_CASE("Queue: a ring that breaks the rules breaks the queue, and nothing else") {
    Pair pair;
    const GuestAddress buffer = pair.ram.allocate(64);
    SECTION("the index jumps") {
        pair.driver.write_available_index(9);
        check_breaks(pair, "the available index jumps by more than the queue's size");
    }
    SECTION("the index goes back") {
        pair.driver.write_available_index(0xFFFF);
        check_breaks(pair, "the available index jumps by more than the queue's size");
    }
    SECTION("a head beyond the table") {
        pair.driver.write_available(0, 8);
        pair.driver.write_available_index(1);
        check_breaks(pair, "the available ring names a descriptor beyond the table");
    }
    SECTION("a next beyond the table") {
        pair.driver.write_descriptor(0, {buffer.value, 1, kDescriptorNext, 8});
        pair.driver.write_available_index(1);
        check_breaks(pair, "a descriptor's next leads beyond the table");
    }
    SECTION("a loop of one") {
        pair.driver.write_descriptor(0, {buffer.value, 1, kDescriptorNext, 0});
        pair.driver.write_available_index(1);
        check_breaks(pair, "a descriptor chain loops");
    }
    SECTION("a loop of two") {
        pair.driver.write_descriptor(0, {buffer.value, 1, kDescriptorNext, 1});
        pair.driver.write_descriptor(1, {buffer.value, 1, kDescriptorNext, 0});
        pair.driver.write_available_index(1);
        check_breaks(pair, "a descriptor chain loops");
    }
}

TEST_CASE("Queue: buffers that break the rules break the queue, and nothing else") {
    Pair pair;
    SECTION("no bytes") {
        pair.driver.chain().raw(pair.ram.allocate(64), 0, 0).submit();
        check_breaks(pair, "a descriptor of no bytes");
    }
    SECTION("readable after writable") {
        pair.driver.chain().writable(1).readable("x").submit();
        check_breaks(pair, "a readable descriptor after a writable one");
    }
    SECTION("a buffer in the MMIO hole") {
        pair.driver.chain().raw(kHole, 4, 0).submit();
        check_breaks(pair, "a descriptor's buffer is not in RAM");
    }
    SECTION("a buffer over the end of RAM") {
        pair.driver.chain().raw({pair.ram.low_end() - 3}, 4, kDescriptorWrite).submit();
        check_breaks(pair, "a descriptor's buffer is not in RAM");
    }
    SECTION("a buffer over the end of the address space") {
        pair.driver.chain().raw({~uint64_t{0} - 1}, 4, 0).submit();
        check_breaks(pair, "a descriptor's buffer is not in RAM");
    }
    SECTION("the same head twice") {
        const auto sent = pair.driver.chain().readable("x").submit();
        auto chain = pair.device->pop();
        REQUIRE(chain.has_value());
        pair.driver.add_head(sent.head);
        pair.driver.publish();
        check_breaks(pair, "a chain was made available again while it is in flight");
        // The one in flight ends quietly.
        pair.device->complete(*std::move(chain), 0);
        CHECK_FALSE(pair.device->publish());
        CHECK(pair.driver.used_index() == 0);
        CHECK(pair.device->in_flight() == 0);
    }
}

TEST_CASE("Queue: more than 4 GiB in one chain") {
    FakeRam ram(uint64_t{3} << 30U);
    FakeQueue driver(ram, 8);
    std::string broke;
    const auto device =
        Queue::create(driver.config(), ram.memory(), kRingFeatures, [&](std::string_view why) {
            broke = why;
        }).value();
    driver.chain().raw({0}, 2U << 30U, 0).raw({0}, 2U << 30U, 0).submit();
    auto chain = device->pop();
    REQUIRE(chain.has_value());
    CHECK(chain->readable() == uint64_t{4} << 30U);
    device->complete(*std::move(chain), 0);
    driver.chain().raw({0}, 2U << 30U, 0).raw({0}, 2U << 30U, 0).raw({0}, 1, 0).submit();
    CHECK_FALSE(device->pop().has_value());
    CHECK(broke == "a chain of more than 4 GiB");
}

TEST_CASE("Queue: indirect tables that break the rules") {
    Pair pair;
    const GuestAddress buffer = pair.ram.allocate(64);
    const auto table = [&](const std::vector<virtio::Descriptor>& content) {
        return pair.ram.place(std::as_bytes(std::span(content)));
    };
    SECTION("without the feature") {
        Pair plain(8, virtio::kFeatureEventIndex);
        plain.driver.chain().indirect().readable("x").submit();
        check_breaks(plain, "an indirect descriptor without the feature");
    }
    SECTION("with a next") {
        pair.driver.write_descriptor(0, {table({{buffer.value, 1, 0, 0}}).value, 16,
                                         kDescriptorIndirect | kDescriptorNext, 1});
        pair.driver.write_available_index(1);
        check_breaks(pair, "an indirect descriptor has a next one");
    }
    SECTION("ragged") {
        pair.driver.chain().raw(table({{buffer.value, 1, 0, 0}}), 17, kDescriptorIndirect).submit();
        check_breaks(pair, "an indirect table's length is not a number of descriptors");
    }
    SECTION("empty") {
        pair.driver.chain().raw(buffer, 0, kDescriptorIndirect).submit();
        check_breaks(pair, "an indirect table's length is not a number of descriptors");
    }
    SECTION("too long") {
        pair.driver.chain().raw(buffer, 16 * (Queue::kMaxChain + 1), kDescriptorIndirect).submit();
        check_breaks(pair, "an indirect table is too long");
    }
    SECTION("huge") {
        pair.driver.chain().raw(buffer, 0xFFFF'FFF0, kDescriptorIndirect).submit();
        check_breaks(pair, "an indirect table is too long");
    }
    SECTION("in the hole") {
        pair.driver.chain().raw(kHole, 16, kDescriptorIndirect).submit();
        check_breaks(pair, "an indirect table is not in RAM");
    }
    SECTION("over the end of RAM") {
        pair.driver.chain().raw({pair.ram.low_end() - 16}, 32, kDescriptorIndirect).submit();
        check_breaks(pair, "an indirect table is not in RAM");
    }
    SECTION("nested") {
        const auto inner = table({{buffer.value, 1, 0, 0}});
        const auto outer = table({{inner.value, 16, kDescriptorIndirect, 0}});
        pair.driver.chain().raw(outer, 16, kDescriptorIndirect).submit();
        check_breaks(pair, "an indirect table holds an indirect descriptor");
    }
    SECTION("a next beyond the table") {
        const auto bad = table({{buffer.value, 1, kDescriptorNext, 1}});
        pair.driver.chain().raw(bad, 16, kDescriptorIndirect).submit();
        check_breaks(pair, "a descriptor's next leads beyond the table");
    }
    SECTION("a loop") {
        const auto bad =
            table({{buffer.value, 1, kDescriptorNext, 1}, {buffer.value, 1, kDescriptorNext, 0}});
        pair.driver.chain().raw(bad, 32, kDescriptorIndirect).submit();
        check_breaks(pair, "a descriptor chain loops");
    }
}

TEST_CASE("Queue: a rejected chain breaks the queue with the device's reason") {
    Pair pair;
    pair.driver.chain().readable("x").submit();
    auto chain = pair.device->pop();
    REQUIRE(chain.has_value());
    pair.device->reject(*std::move(chain), "no status byte");
    CHECK(pair.broke == "no status byte");
    CHECK(pair.device->in_flight() == 0);
    CHECK(pair.driver.used_index() == 0);
}

TEST_CASE("Queue: what is in flight when it closes is dropped or completed without a trace") {
    Pair pair;
    pair.driver.chain().readable("1").submit();
    pair.driver.chain().readable("2").submit();
    {
        auto dropped = pair.device->pop();
        auto completed = pair.device->pop();
        REQUIRE((dropped && completed));
        pair.device->close();
        pair.device->complete(*std::move(completed), 0);
    }
    CHECK_FALSE(pair.device->publish());
    CHECK(pair.device->in_flight() == 0);
    CHECK(pair.driver.used_index() == 0);
    CHECK(pair.broke.empty());
}

TEST_CASE("Queue: a configuration is checked before it is used") {
    FakeRam ram;
    const FakeQueue driver(ram, 8);
    const QueueConfig good = driver.config();
    QueueConfig config = good;
    std::string why;
    SECTION("size 0") {
        config.size = 0, why = "a queue size of 0 is not a power of two up to 8";
    }
    SECTION("size 3") {
        config.size = 3, why = "a queue size of 3 is not a power of two up to 8";
    }
    SECTION("size 16") {
        config.size = 16, why = "a queue size of 16 is not a power of two up to 8";
    }
    SECTION("size 0x10008") {
        config.size = 0x10008, why = "a queue size of 65544 is not a power of two up to 8";
    }
    SECTION("descriptors unaligned") {
        config.descriptors = {0x1008}, why = "the descriptor table at 0x1008 is not aligned to 16";
    }
    SECTION("available ring unaligned") {
        config.driver = {0x1001}, why = "the available ring at 0x1001 is not aligned to 2";
    }
    SECTION("used ring unaligned") {
        config.device = {0x1002}, why = "the used ring at 0x1002 is not aligned to 4";
    }
    SECTION("descriptors in the hole") {
        config.descriptors = kHole;
        why = "the descriptor table at 0xc0001000 (128 bytes) is not in RAM";
    }
    SECTION("available ring over the end") {
        config.driver = {ram.low_end() - 20};
        why = "the available ring at 0x7fffec (22 bytes) is not in RAM";
    }
    SECTION("used ring wraps") {
        config.device = {~uint64_t{3}};
        why = "the used ring at 0xfffffffffffffffc (70 bytes) is not in RAM";
    }
    const auto queue = Queue::create(config, ram.memory(), kRingFeatures, {});
    REQUIRE_FALSE(queue);
    CHECK(queue.error().message == why);
}

TEST_CASE("Queue: rings may end with RAM") {
    FakeRam ram;
    const FakeQueue driver(ram, 8);
    QueueConfig config = driver.config();
    config.device = {ram.low_end() - 72};
    CHECK(Queue::create(config, ram.memory(), kRingFeatures, {}));
    config.device = {ram.low_end() - 68};
    CHECK_FALSE(Queue::create(config, ram.memory(), kRingFeatures, {}));
}

TEST_CASE("Queue: a chain that is put back comes again, as the driver has it then") {
    Pair pair;
    const AddedChain first = pair.driver.chain().readable("one").submit();
    pair.driver.chain().readable("two").submit();
    auto chain = pair.device->pop();
    REQUIRE(chain);
    CHECK(read_text(*chain, 3) == "one");
    pair.device->put_back(*std::move(chain));
    CHECK(pair.device->in_flight() == 0);
    CHECK(pair.device->has_work());
    pair.ram.memory().write(first.buffers[0], bytes_of("ONE"));
    for (const char* text : {"ONE", "two"}) {
        auto again = pair.device->pop();
        REQUIRE(again);
        CHECK(read_text(*again, 3) == text);
        pair.device->complete(*std::move(again), 0);
    }
    CHECK_FALSE(pair.device->pop());
    CHECK(pair.broke.empty());
}
