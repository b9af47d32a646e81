#include "boot/aml.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace mote::aml {

namespace {

// ACPI 6.5, table 20.1 and 20.2.
constexpr uint8_t kZero = 0x00;
constexpr uint8_t kOne = 0x01;
constexpr uint8_t kName = 0x08;
constexpr uint8_t kBytePrefix = 0x0A;
constexpr uint8_t kWordPrefix = 0x0B;
constexpr uint8_t kDwordPrefix = 0x0C;
constexpr uint8_t kStringPrefix = 0x0D;
constexpr uint8_t kQwordPrefix = 0x0E;
constexpr uint8_t kScope = 0x10;
constexpr uint8_t kBuffer = 0x11;
constexpr uint8_t kPackage = 0x12;
constexpr uint8_t kMethod = 0x14;
constexpr uint8_t kDualName = 0x2E;
constexpr uint8_t kMultiName = 0x2F;
constexpr uint8_t kExtended = 0x5B;
constexpr uint8_t kExtendedRegion = 0x80;
constexpr uint8_t kExtendedField = 0x81;
constexpr uint8_t kExtendedDevice = 0x82;
constexpr uint8_t kRoot = 0x5C;
constexpr uint8_t kLocal0 = 0x60;
constexpr uint8_t kStore = 0x70;
constexpr uint8_t kAnd = 0x7B;
constexpr uint8_t kNotify = 0x86;
constexpr uint8_t kIf = 0xA0;

constexpr uint8_t kSystemIo = 1;       // region space
constexpr uint8_t kDwordAccess = 3;    // field flags: access by 32 bits, no lock, preserve
constexpr uint8_t kSerialized = 0x08;  // method flags

Bytes bytes_of(std::initializer_list<uint8_t> values) {
    Bytes out;
    for (const uint8_t value : values)
        append(out, value);
    return out;
}

void append_length(Bytes& out, size_t length, size_t encoded) {
    // PkgLength (20.2.4): six bits in one byte, else four bits and one to three bytes more.
    if (encoded == 1) return append(out, static_cast<uint8_t>(length));
    append(out, static_cast<uint8_t>((encoded - 1) << 6U | (length & 0xFU)));
    length >>= 4U;
    for (size_t i = 1; i < encoded; ++i, length >>= 8U)
        append(out, static_cast<uint8_t>(length & 0xFFU));
}

/// PkgLength and the body; the length counts its own bytes too.
Bytes packed(const Bytes& body) {
    size_t encoded = 1;
    while (body.size() + encoded >=
           (encoded == 1 ? size_t{1} << 6U : size_t{1} << (8 * encoded - 4)))
        ++encoded;
    assert(encoded <= 4);
    Bytes out;
    append_length(out, body.size() + encoded, encoded);
    append(out, body);
    return out;
}

Bytes operator+(Bytes left, const Bytes& right) {
    append(left, right);
    return left;
}

}  // namespace

Bytes join(std::initializer_list<Bytes> terms) {
    Bytes out;
    for (const Bytes& term : terms)
        append(out, term);
    return out;
}

Bytes path(std::string_view text) {
    Bytes out;
    if (text.starts_with('\\')) {
        append(out, kRoot);
        text.remove_prefix(1);
    }
    const auto segments = 1 + std::ranges::count(text, '.');
    if (segments == 2) append(out, kDualName);
    if (segments > 2) out = out + bytes_of({kMultiName, static_cast<uint8_t>(segments)});
    while (!text.empty()) {
        const std::string_view segment = text.substr(0, text.find('.'));
        assert(!segment.empty() && segment.size() <= 4);
        append(out, segment);
        append(out, std::string_view("____").substr(segment.size()));
        text.remove_prefix(std::min(text.size(), segment.size() + 1));
    }
    return out;
}

Bytes integer(uint64_t value) {
    if (value <= 1) return bytes_of({value == 0 ? kZero : kOne});
    Bytes out;
    if (value <= std::numeric_limits<uint8_t>::max()) {
        append(out, kBytePrefix);
        append(out, static_cast<uint8_t>(value));
    } else if (value <= std::numeric_limits<uint16_t>::max()) {
        append(out, kWordPrefix);
        append(out, static_cast<uint16_t>(value));
    } else if (value <= std::numeric_limits<uint32_t>::max()) {
        append(out, kDwordPrefix);
        append(out, static_cast<uint32_t>(value));
    } else {
        append(out, kQwordPrefix);
        append(out, value);
    }
    return out;
}

Bytes string(std::string_view text) {
    Bytes out = bytes_of({kStringPrefix});
    append(out, text);
    append(out, uint8_t{0});
    return out;
}

Bytes package(std::initializer_list<Bytes> elements) {
    const Bytes count = bytes_of({static_cast<uint8_t>(elements.size())});
    return bytes_of({kPackage}) + packed(count + join(elements));
}

Bytes name(std::string_view path_text, const Bytes& value) {
    return bytes_of({kName}) + path(path_text) + value;
}

Bytes scope(std::string_view path_text, const Bytes& body) {
    return bytes_of({kScope}) + packed(path(path_text) + body);
}

Bytes device(std::string_view path_text, const Bytes& body) {
    return bytes_of({kExtended, kExtendedDevice}) + packed(path(path_text) + body);
}

Bytes method(std::string_view path_text, uint8_t arguments, const Bytes& body) {
    const Bytes flags = bytes_of({static_cast<uint8_t>(arguments | kSerialized)});
    return bytes_of({kMethod}) + packed(path(path_text) + flags + body);
}

Bytes port_region(std::string_view path_text, uint16_t port, uint8_t length) {
    return bytes_of({kExtended, kExtendedRegion}) + path(path_text) + bytes_of({kSystemIo}) +
           integer(port) + integer(length);
}

Bytes field32(std::string_view region, std::string_view path_text) {
    Bytes width;
    append_length(width, 32, 1);
    return bytes_of({kExtended, kExtendedField}) +
           packed(path(region) + bytes_of({kDwordAccess}) + path(path_text) + width);
}

Bytes local0() {
    return bytes_of({kLocal0});
}

Bytes store(const Bytes& value, const Bytes& target) {
    return bytes_of({kStore}) + value + target;
}

Bytes bit_and(const Bytes& left, const Bytes& right) {
    return bytes_of({kAnd}) + left + right + bytes_of({kZero});  // no target: the value is used
}

Bytes if_true(const Bytes& condition, const Bytes& body) {
    return bytes_of({kIf}) + packed(condition + body);
}

Bytes notify(std::string_view path_text, uint8_t value) {
    return bytes_of({kNotify}) + path(path_text) + integer(value);
}

Bytes resources(std::initializer_list<Bytes> descriptors) {
    const Bytes end_tag = bytes_of({0x79, 0x00});  // 6.4.2.9: checksum 0 counts as good
    const Bytes content = join(descriptors) + end_tag;
    return bytes_of({kBuffer}) + packed(integer(content.size()) + content);
}

Bytes memory32_fixed(uint32_t base, uint32_t length) {
    Bytes out = bytes_of({0x86, 0x09, 0x00, 0x01});  // 6.4.3.4: nine bytes follow, read-write
    append(out, base);
    append(out, length);
    return out;
}

Bytes io_ports(uint16_t base, uint8_t length) {
    Bytes out = bytes_of({0x47, 0x01});  // 6.4.2.5: 16 address lines are decoded
    append(out, base);                   // lowest and highest base: it cannot move
    append(out, base);
    return out + bytes_of({0x01, length});  // any alignment
}

Bytes interrupt(uint32_t gsi) {
    // 6.4.3.6: six bytes follow; consumer, edge, active-high, exclusive; one interrupt.
    Bytes out = bytes_of({0x89, 0x06, 0x00, 0x03, 0x01});
    append(out, gsi);
    return out;
}

}  // namespace mote::aml
