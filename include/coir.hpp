// SPDX-License-Identifier: MIT
// coir.hpp - coroutines for C++17: go(lambda), scope and channel<T> over the C interface.
//
//     coir::channel<std::string> lines(16);
//     int err = coir::go([lines]() mutable { (void)lines.send("hello"); });
//
//     coir::scope both(coir_after(2 * COIR_SEC));
//     both.go([&] { a = fetch("a"); }); // may throw, or return an error
//     both.go([&] { b = fetch("b"); });
//     int err = both.wait();            // both have ended; throws what a child threw first
//
// Header only; coir.h stays usable beside it. Errors are the same values as in C: 0 or -errno, and
// nothing here throws but std::bad_alloc, and what the user's own types throw.
//
// Exceptions are thrown and caught inside a coroutine as anywhere else, also across waits in a
// handler or a destructor: what the C++ runtime keeps of them goes with the coroutine. One that
// would leave the coroutine ends in std::terminate, after the log has named the coroutine; one that
// leaves a child of a coir::scope is its opener's (below). They
// must not pass through C code of coir's (a callback), and a handler must not be left by longjmp.
#ifndef COIR_HPP
#define COIR_HPP

#include <atomic>
#include <cerrno>
#include <climits>
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

// Where it was spawned, in words.
struct place {
    const char *file;
    int line;
    const char *function;
};

template <class F> const coir_site *site_at(const place &at, char returns)
{
    static const bool named = [&] {
        site_of<F>() = {at.file, at.function, at.line, true, returns};
        return true;
    }();
    (void)named;
    return &site_of<F>();
}

template <class F>
int spawn(coir_runtime *rt, const coir_options *opts, F &&f, const place &at)
{
    using fn = std::decay_t<F>;
    static_assert(std::is_invocable_v<fn &>,
                  "coir::go: takes a callable without arguments");
    const coir_site *site = site_at<fn>(at, 0);

    std::unique_ptr<fn> copy(new fn(std::forward<F>(f)));
    reinterpret_cast<void (*)(void *)> (&coir_spawn_capture_ints_)(copy.get());
    int err = coir_spawn_commit_(rt, opts, reinterpret_cast<void (*)()>(&run<fn>), site);
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
    return detail::spawn(nullptr, nullptr, std::forward<F>(f), {file, line, function});
}

// The same in another runtime, from any thread.
template <class F>
int go_on(coir_runtime *rt, F &&f, const char *file = __builtin_FILE(),
          int line = __builtin_LINE(), const char *function = __builtin_FUNCTION())
{
    return detail::spawn(rt, nullptr, std::forward<F>(f), {file, line, function});
}

// The same with a name, a stack or a runtime of its own.
template <class F>
int go_with(const coir_options &opts, F &&f, const char *file = __builtin_FILE(),
            int line = __builtin_LINE(), const char *function = __builtin_FUNCTION())
{
    return detail::spawn(nullptr, &opts, std::forward<F>(f), {file, line, function});
}

// A scope as an object: children that never outlive it. It stands in its opener's frame, a
// coroutine's or an ordinary thread's (elsewhere, or destroyed out of order or by another, what
// becomes of its children is undefined), and its destructor joins: it waits until every child has
// ended, and cancels them first if an exception is on its way through. coir/scope.h says what a
// scope is, whom a cancel and the deadline reach, and what they see.
//
// An exception that leaves a child cancels the others; the first one is kept, and wait() throws it
// in the opener. Where nobody calls wait() the destructor ends in std::terminate with it, after the
// log has named an opener that is a coroutine: what failed is not passed over in silence. While the
// opener's own exception is on its way the child's is dropped, as the lesser of two.
class scope
{
  public:
    // Never waits, cannot fail.
    explicit scope(std::int64_t deadline = COIR_FOREVER)
    {
        open_ = coir_scope_open(&s_, deadline) == 0;
    }

    // Waits for the children.
    ~scope()
    {
        bool unwinds = std::uncaught_exceptions() > thrown_;

        if (open_ && unwinds) cancel();
        close();
        if (kept_ && !unwinds) abandon();
    }

    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;

    // Starts f() as a child. f is copied or moved, and destroyed on the child's stack. It returns
    // nothing, or an integer, which fails the scope if it is negative, and may throw. It runs even
    // if the scope is cancelled already. Called by the opener, a child, or whoever knows that the
    // scope stays open meanwhile. Never waits.
    // 0 | -ENOMEM | -EAGAIN | -ECANCELED (the runtime stops) | -EPERM (no runtime here)
    // | -EINVAL (not open any more), as coir_scope_go. Throws std::bad_alloc.
    template <class F>
    int go(F &&f, const char *file = __builtin_FILE(), int line = __builtin_LINE(),
           const char *function = __builtin_FUNCTION())
    {
        return spawn(nullptr, std::forward<F>(f), {file, line, function});
    }

    // The same with a name, a stack, or a runtime: an ordinary thread names opts.rt.
    template <class F>
    int go_with(const coir_options &opts, F &&f, const char *file = __builtin_FILE(),
                int line = __builtin_LINE(), const char *function = __builtin_FUNCTION())
    {
        return spawn(&opts, std::forward<F>(f), {file, line, function});
    }

    // Ends the waits of the opener and of all children. From anywhere while it is open. Never
    // waits.
    void cancel()
    {
        coir_scope_cancel(&s_);
    }

    // The same with a reason, a negative error, which wait() returns if nothing failed before.
    void fail(int err)
    {
        int none = 0;

        if (err >= 0) return;
        failure_.compare_exchange_strong(none, err);
        cancel();
    }

    // Waits until all children have ended, then closes the scope. Nothing cuts this wait short.
    // The first failure, of a child or by fail() | -ETIMEDOUT (its deadline had passed)
    // | -ECANCELED | 0 | -EINVAL (it was waited for before, or a scope that was opened later is
    // still open) | -EPERM (not the opener). Throws what the first child threw that threw, once,
    // and not where the scope stays open.
    int wait()
    {
        int err = close();

        if (open_) return err; // nothing has changed: children may still throw
        if (kept_) std::rethrow_exception(std::exchange(kept_, nullptr));
        return err;
    }

  private:
    template <class F> struct child {
        F f;
        scope *s;
    };

    coir_scope s_;
    bool open_;
    const int thrown_ = std::uncaught_exceptions(); // when it was opened
    std::atomic<int> failure_{0};
    std::atomic<bool> threw_{false};
    std::exception_ptr kept_; // the first child's that threw; read when all have ended

    int close()
    {
        if (!open_) return -EINVAL;
        int err = coir_scope_wait(&s_);

        if (err == -EINVAL || err == -EPERM) return err;
        open_ = false;
        int failure = failure_;
        return failure ? failure : err;
    }

    [[noreturn]] void abandon() noexcept
    {
        try {
            std::rethrow_exception(kept_);
        } catch (...) {
            detail::escaped();
        }
    }

    void keep() noexcept
    {
        if (!threw_.exchange(true)) kept_ = std::current_exception();
        cancel();
    }

    template <class F> static int call(child<F> &c)
    {
        if constexpr (std::is_void_v<std::invoke_result_t<F &>>) {
            c.f();
            return 0;
        } else {
            using result = std::invoke_result_t<F &>;
            const result r = c.f();
            if constexpr (std::is_signed_v<result>) {
                if (r < 0)
                    return static_cast<std::intmax_t>(r) < INT_MIN ? INT_MIN
                                                                   : static_cast<int>(r);
            }
            return 0;
        }
    }

    template <class F> static int run(void *arg)
    {
        std::unique_ptr<child<F>> c(static_cast<child<F> *>(arg));
        scope *s = c->s;

        try {
            int err = call(*c);

            c.reset(); // what a destructor throws is the child's too
            if (err == -ECANCELED) return err; // a failure where nothing was cancelled
            s->fail(err);
            return 0;
        } catch (...) {
            s->keep();
            return 0;
        }
    }

    template <class F> int spawn(const coir_options *opts, F &&f, const detail::place &at)
    {
        using fn = std::decay_t<F>;
        static_assert(std::is_invocable_v<fn &>,
                      "coir::scope::go: takes a callable without arguments");
        using result = std::invoke_result_t<fn &>;
        static_assert(std::is_void_v<result> || std::is_integral_v<result>,
                      "coir::scope::go: the callable returns nothing or an integer");
        const coir_site *site = detail::site_at<child<fn>>(at, sizeof(int));

        std::unique_ptr<child<fn>> copy(new child<fn>{std::forward<F>(f), this});
        reinterpret_cast<void (*)(void *)> (&coir_spawn_capture_ints_)(copy.get());
        int err =
            coir_scope_commit_(&s_, opts, reinterpret_cast<void (*)()>(&run<fn>), site);
        if (err == 0) copy.release(); // the child's now
        return err;
    }
};

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
