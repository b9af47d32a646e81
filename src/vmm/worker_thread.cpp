#include "vmm/worker_thread.h"

namespace mote {

Result<std::unique_ptr<WorkerThread>> WorkerThread::start(EventLoop& loop, std::string name) {
    auto worker = std::unique_ptr<WorkerThread>(new WorkerThread(loop));
    TRY(worker->thread_.start(std::move(name), [&loop] { loop.run(); }));
    return worker;
}

WorkerThread::~WorkerThread() {
    loop_.stop();
    thread_.join();
}

}  // namespace mote
