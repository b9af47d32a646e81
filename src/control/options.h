// The small languages of option values, shared by the command line and the config file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "control/machine_config.h"

namespace mote {

/// A size in bytes: a decimal number, alone or followed by K, M, G or T (powers of 1024; either
/// case). Errors: not of this form, or more than 64 bits hold.
Result<uint64_t> parse_size(std::string_view text);

/// A decimal number of 32 bits. Errors: not one, or too large.
Result<uint32_t> parse_number(std::string_view text);

/// The same for one field; errors tell its range, which validate() then checks.
Result<uint64_t> parse_memory(std::string_view text);
Result<uint32_t> parse_cpus(std::string_view text);
Result<uint32_t> parse_cid(std::string_view text);
Result<uint32_t> parse_connections(std::string_view text);
Result<uint32_t> parse_mtu(std::string_view text);
Result<uint32_t> parse_fd(std::string_view text);
Result<uint32_t> parse_grace(std::string_view text);

/// `writeback`, `unsafe` or `direct`.
Result<CacheMode> parse_cache_mode(std::string_view text);

/// `PATH[,ro][,cache=MODE][,iops=N][,bps=SIZE][,own_worker]`, or `socket=PATH`. A comma that
/// belongs to the path is written twice.
Result<DiskConfig> parse_disk(std::string_view text);

/// `PATH[,ro][,iops=N][,bps=SIZE]`. A comma that belongs to the path is written twice.
Result<PmemConfig> parse_pmem(std::string_view text);

/// Six pairs of hexadecimal digits with colons between them.
Result<MacAddress> parse_mac(std::string_view text);

/// `auto|tap=NAME|user|fd=N[,mac=MAC][,mtu=N][,rx_pps=N][,rx_bps=SIZE][,tx_pps=N][,tx_bps=SIZE]`
/// `[,own_worker]`.
Result<NicConfig> parse_nic(std::string_view text);

/// `[cid=N,]path=PATH[,connections=N][,own_worker]`. A comma that belongs to the path is written
/// twice.
Result<VsockConfig> parse_vsock(std::string_view text);

/// `total=SIZE[,requested=SIZE][,block=SIZE][,slot=SIZE]`.
Result<HotplugMemoryConfig> parse_hotplug_memory(std::string_view text);

/// `tty`, `off`, `file:PATH` or `unix:PATH`.
Result<ConsoleConfig> parse_console(std::string_view text);

/// A size for people: "256M" where it is a whole number of a unit, else "1234 bytes".
std::string format_size(uint64_t bytes);

}  // namespace mote
