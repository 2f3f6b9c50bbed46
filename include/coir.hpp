// SPDX-License-Identifier: MIT
// coir.hpp - coroutines for C++17: go(lambda) and channel<T> over the C interface.
//
//     coir::channel<std::string> lines(16);
//     int err = coir::go([lines]() mutable { (void)lines.send("hello"); });
//
// Header only; coir.h stays usable beside it. Errors are the same values as in C: 0 or -errno, and
// nothing here throws but std::bad_alloc, and what the user's own types throw.
//
// Exceptions are thrown and caught inside a coroutine as anywhere else, also across waits in a
// handler or a destructor: what the C++ runtime keeps of them goes with the coroutine. One that
// would leave the coroutine ends in std::terminate, after the log has named the coroutine. They
// must not pass through C code of coir's (a callback), and a handler must not be left by longjmp.
#ifndef COIR_HPP
#define COIR_HPP

#include <cerrno>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <coir.h>

extern "C" COIR_API void coir_exception_escaped_(const char *what);

namespace coir
{
namespace detail
{

// Names the coroutine; the exception is being handled, so a terminate handler can look at it.
[[noreturn]] inline void escaped() noexcept
{
    try {
        throw;
    } catch (const std::exception &e) {
        coir_exception_escaped_(e.what());
        std::terminate();
    } catch (...) {
        coir_exception_escaped_("not a std::exception");
        std::terminate();
    }
}

template <class F> void run(void *arg)
{
    std::unique_ptr<F> f(static_cast<F *>(arg));

    try {
        (*f)();
        f.reset(); // what a destructor throws is the coroutine's too
    } catch (...) {
        escaped();
    }
}

// One a type, and a lambda's type is its own: so one a place.
template <class F> coir_site &site_of()
{
    static coir_site site = {};
    return site;
}

template <class F>
int spawn(coir_runtime *rt, const coir_options *opts, F &&f, const char *file, int line,
          const char *function)
{
    using fn = std::decay_t<F>;
    static_assert(std::is_invocable_v<fn &>,
                  "coir::go: takes a callable without arguments");
    static const bool named = [&] {
        site_of<fn>() = {file, function, line, true, 0};
        return true;
    }();
    (void)named;

    std::unique_ptr<fn> copy(new fn(std::forward<F>(f)));
    reinterpret_cast<void (*)(void *)> (&coir_spawn_capture_ints_)(copy.get());
    int err = coir_spawn_commit_(rt, opts, reinterpret_cast<void (*)()>(&run<fn>),
                                 &site_of<fn>());
    if (err == 0) copy.release(); // the coroutine's now
    return err;
}

} // namespace detail

// Starts f() as a coroutine of the caller's runtime. f is copied or moved, and destroyed on the
// coroutine's stack; what it holds by reference must outlive it.
// 0 | -ENOMEM | -EAGAIN | -ECANCELED | -EPERM (no runtime here), as coir_go. Throws std::bad_alloc.
template <class F>
int go(F &&f, const char *file = __builtin_FILE(), int line = __builtin_LINE(),
       const char *function = __builtin_FUNCTION())
{
    return detail::spawn(nullptr, nullptr, std::forward<F>(f), file, line, function);
}

// The same in another runtime, from any thread.
template <class F>
int go_on(coir_runtime *rt, F &&f, const char *file = __builtin_FILE(),
          int line = __builtin_LINE(), const char *function = __builtin_FUNCTION())
{
    return detail::spawn(rt, nullptr, std::forward<F>(f), file, line, function);
}

// The same with a name, a stack or a runtime of its own.
template <class F>
int go_with(const coir_options &opts, F &&f, const char *file = __builtin_FILE(),
            int line = __builtin_LINE(), const char *function = __builtin_FUNCTION())
{
    return detail::spawn(nullptr, &opts, std::forward<F>(f), file, line, function);
}

// A channel of any movable T. Copies of it are the same channel; the last one frees it, and what
// is still in it. A T that can be copied as bytes travels as it is, any other in a box.
template <class T> class channel
{
  public:
    // Throws std::bad_alloc.
    explicit channel(std::size_t capacity = 0)
    {
        coir_chan *c = nullptr;

        if (coir_chan_make(sizeof(carried), capacity, &c) < 0) throw std::bad_alloc();
        chan_ = std::shared_ptr<coir_chan>(c, free_all);
    }

    // Waits while it is full. The value is moved from only if it was taken.
    // 0 | -EPIPE (closed) | -ETIMEDOUT | -ECANCELED. Throws std::bad_alloc.
    int send(T &&value, std::int64_t deadline = COIR_FOREVER)
    {
        if constexpr (as_bytes) {
            return coir_chan_send(chan_.get(), &value, deadline);
        } else {
            std::unique_ptr<T> box(new T(std::move(value)));
            T *raw = box.get();
            int err = coir_chan_send(chan_.get(), &raw, deadline);

            if (err == 0)
                box.release();
            else
                value = std::move(*box);
            return err;
        }
    }

    int send(const T &value, std::int64_t deadline = COIR_FOREVER)
    {
        T copy(value);
        return send(std::move(copy), deadline);
    }

    // Waits while it is empty. 0 | -EPIPE (closed and empty) | -ETIMEDOUT | -ECANCELED
    int recv(T &ret, std::int64_t deadline = COIR_FOREVER)
    {
        if constexpr (as_bytes) {
            return coir_chan_recv(chan_.get(), &ret, deadline);
        } else {
            T *raw = nullptr;
            int err = coir_chan_recv(chan_.get(), &raw, deadline);

            if (err < 0) return err;
            std::unique_ptr<T> box(raw);
            ret = std::move(*box);
            return 0;
        }
    }

    // 0 | -EALREADY
    int close()
    {
        return coir_chan_close(chan_.get());
    }

    // For coir_select, with values as they travel: T itself, or a T * that the receiver owns.
    coir_chan *raw() const
    {
        return chan_.get();
    }

  private:
    static constexpr bool as_bytes =
        std::is_trivially_copyable_v<T> && sizeof(T) <= (std::size_t(64) << 10);
    using carried = std::conditional_t<as_bytes, T, T *>;

    static void free_all(coir_chan *c)
    {
        if constexpr (!as_bytes) {
            T *raw = nullptr;

            coir_shield_begin(); // a cancelled coroutine too must be able to empty it
            while (coir_chan_recv(c, &raw, COIR_NOW) == 0) delete raw;
            coir_shield_end();
        }
        coir_chan_unref(c);
    }

    std::shared_ptr<coir_chan> chan_;
};

} // namespace coir

#endif
