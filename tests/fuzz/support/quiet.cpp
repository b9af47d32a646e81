// What every target does at its start, but those that make files: messages of hostile input are no
// news.
#include "base/log.h"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    mote::set_log_level(mote::LogLevel::error);
    return 0;
}
