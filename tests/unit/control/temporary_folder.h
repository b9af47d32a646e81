// TemporaryFolder: a folder for one test, gone with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace mote {

class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string pattern = std::filesystem::temp_directory_path() / "mote-test-XXXXXX";
        path_ = ::mkdtemp(pattern.data());
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string path(std::string_view name) const { return path_ / name; }

    /// Makes a file that holds `content` and, behind it, zeroes up to `size` bytes.
    std::string file(std::string_view name, std::string_view content, size_t size = 0) const {
        const std::string full = path(name);
        std::ofstream(full) << content;
        if (size > content.size()) std::filesystem::resize_file(full, size);
        return full;
    }

  private:
    std::filesystem::path path_;
};

}  // namespace mote
