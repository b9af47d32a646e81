// Fuzzes parse_config() and validate() with hostile JSON: no crash, no hang, and every refusal says
// why.

#include "control/config_file.h"

#include <string>
#include <string_view>

#include "control/options.h"
#include "control/validate.h"
#include "support/fuzz.h"

using namespace mote;

namespace {}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view json(reinterpret_cast<const char*>(data), size);
    auto config = parse_config(json);
    if (!config) {
        require(!config.error().message.empty(), "a refusal tells why");
        return 0;
    }
    require(config->disks.size() <= size, "no more disks than text");
    const auto valid = validate(*std::move(config));
    if (!valid) {
        require(!valid.error().message.empty(), "a refusal tells why");
        return 0;
    }
    require((*valid)->cpus >= 1 && (*valid)->cpus <= kMaxCpus, "as many CPUs as there may be");
    require((*valid)->memory_bytes != 0, "there is memory");
    require(!(*valid)->kernel.empty(), "there is a kernel");
    return 0;
}
