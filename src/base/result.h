// Result<T>: the one way a function of mote reports failure.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <expected>
#include <string>
#include <type_traits>
#include <utility>

#include "base/errno_text.h"

namespace mote {

/// Why something failed, ready to be shown: what was tried, on what, and why.
struct Error {
    std::string message;
    /// The errno behind it, or 0 where no system call failed.
    int code = 0;
};

/// A value or an Error. Unlike a bare std::expected, dropping one draws a warning.
template <class T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
  public:
    using std::expected<T, Error>::expected;
};

// Cold: code on the way to an error lies apart from the rest, and mostly stays out of memory.

/// Builds an Error from a format string: `return fail("drive '{}': {}", id, why);`
template <class... Args>
[[nodiscard, gnu::cold, gnu::noinline]] std::unexpected<Error> fail(
    fmt::format_string<Args...> format, Args&&... args) {
    return std::unexpected(Error{fmt::format(format, std::forward<Args>(args)...), 0});
}

/// Like fail(), with the text and code of `code` (an errno) behind it: "...: No such file or
/// directory", and advice where the code alone tells what to do.
template <class... Args>
[[nodiscard, gnu::cold, gnu::noinline]] std::unexpected<Error> fail_code(
    int code, fmt::format_string<Args...> format, Args&&... args) {
    std::string message = fmt::format(format, std::forward<Args>(args)...);
    message += ": ";
    message += errno_text(code);
    message += errno_advice(code);
    return std::unexpected(Error{std::move(message), code});
}

/// fail_code() with the current errno, read before anything can change it.
template <class... Args>
[[nodiscard, gnu::cold, gnu::noinline]] std::unexpected<Error> fail_errno(
    fmt::format_string<Args...> format, Args&&... args) {
    const int code = errno;
    return fail_code(code, format, std::forward<Args>(args)...);
}

namespace detail {
template <class T>
T take(std::expected<T, Error>&& result) {
    if constexpr (!std::is_void_v<T>) return *std::move(result);
}
}  // namespace detail

}  // namespace mote

/// Evaluates a Result: its value, or returns its error from the enclosing function.
#define TRY(expression)                                            \
    __extension__({                                                \
        auto try_result = (expression);                            \
        if (!try_result) [[unlikely]]                              \
            return std::unexpected(std::move(try_result).error()); \
        ::mote::detail::take(std::move(try_result));               \
    })
