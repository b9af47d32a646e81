// A small builder of ACPI machine language (ACPI 6.5, chapter 20) and resource descriptors (6.4).
//
// Each function returns the bytes of one term; terms nest by putting bytes into bytes:
//   device("COM1", join({name("_HID", string("PNP0501")), name("_CRS", resources(...))}))
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "boot/bytes.h"

namespace mote::aml {

/// The terms one after the other.
[[nodiscard]] Bytes join(std::initializer_list<Bytes> terms);

/// A name: segments of at most four of A-Z, 0-9 and _, separated by dots; "\" first for the root.
[[nodiscard]] Bytes path(std::string_view text);
[[nodiscard]] Bytes integer(uint64_t value);
[[nodiscard]] Bytes string(std::string_view text);
[[nodiscard]] Bytes package(std::initializer_list<Bytes> elements);

[[nodiscard]] Bytes name(std::string_view path, const Bytes& value);
[[nodiscard]] Bytes scope(std::string_view path, const Bytes& body);
[[nodiscard]] Bytes device(std::string_view path, const Bytes& body);
/// A serialized method of `arguments` (0 to 7) arguments.
[[nodiscard]] Bytes method(std::string_view path, uint8_t arguments, const Bytes& body);

/// A range of I/O ports, and one 32-bit field over its first four bytes.
[[nodiscard]] Bytes port_region(std::string_view path, uint16_t port, uint8_t length);
[[nodiscard]] Bytes field32(std::string_view region, std::string_view path);

// Statements of a method.
[[nodiscard]] Bytes local0();
[[nodiscard]] Bytes store(const Bytes& value, const Bytes& target);
[[nodiscard]] Bytes bit_and(const Bytes& left, const Bytes& right);
[[nodiscard]] Bytes if_true(const Bytes& condition, const Bytes& body);
[[nodiscard]] Bytes notify(std::string_view path, uint8_t value);

/// A resource template: a buffer of descriptors, closed by an end tag.
[[nodiscard]] Bytes resources(std::initializer_list<Bytes> descriptors);
[[nodiscard]] Bytes memory32_fixed(uint32_t base, uint32_t length);
[[nodiscard]] Bytes io_ports(uint16_t base, uint8_t length);
/// One interrupt: edge-triggered, active-high, exclusive.
[[nodiscard]] Bytes interrupt(uint32_t gsi);

}  // namespace mote::aml
