#include "base/endian.h"

#include <array>
#include <cstring>

#include "unit/catch.h"

using mote::be16;
using mote::be32;
using mote::le16;
using mote::le32;
using mote::le64;

namespace {

template <class T>
std::array<uint8_t, sizeof(T)> bytes_of(const T& value) {
    std::array<uint8_t, sizeof(T)> bytes{};
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

}  // namespace

TEST_CASE("Endian: the lowest byte comes first, whatever the host") {
    CHECK(bytes_of(le16(0x1234)) == std::array<uint8_t, 2>{0x34, 0x12});
    CHECK(bytes_of(le32(0x1234'5678)) == std::array<uint8_t, 4>{0x78, 0x56, 0x34, 0x12});
    CHECK(bytes_of(le64(0x0102'0304'0506'0708)) ==
          std::array<uint8_t, 8>{0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01});
}

TEST_CASE("Endian: reads back what was stored") {
    le32 value = 0xDEAD'BEEF;
    CHECK(value == 0xDEAD'BEEFU);
    value = 7;
    CHECK(value + 1 == 8);
    static_assert(le64(UINT64_MAX) == UINT64_MAX);
    static_assert(sizeof(le16) == 2 && alignof(le64) == alignof(uint64_t));
    static_assert(std::is_trivially_copyable_v<le32>);
}

TEST_CASE("Endian: a network's integers have the highest byte first") {
    const be16 port = 67;
    const be32 address = 0x0A000001;
    CHECK(port == 67);
    CHECK(address == 0x0A000001);
    CHECK(bytes_of(port) == std::array<uint8_t, 2>{0, 67});
    CHECK(bytes_of(address) == std::array<uint8_t, 4>{10, 0, 0, 1});
}
