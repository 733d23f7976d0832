// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_HOOK_HPP
#define MAILROOM_DETAIL_HOOK_HPP

// A callable of the user that is kept, and called when something happens that the user may want to
// know; or none.
//
// Decision: not std::function, which wants a target that can be copied, and may throw.

#include <mailroom/detail/config.hpp>

#include <memory>      // make_unique, unique_ptr
#include <type_traits> // decay, is_nothrow_invocable, is_same, remove_cvref
#include <utility>     // forward

namespace mailroom::inline MAILROOM_ABI::detail {

/// Called with `Args`, by several threads at a time perhaps.
template <class... Args>
class hook {
public:
  /// None.
  hook() noexcept = default;

  /// Throws    what the allocation and the copy or move of `call` throw
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, hook>)
  explicit hook(F&& call)
      : target_{std::make_unique<target_of<std::decay_t<F>>>(std::forward<F>(call))} {}

  explicit operator bool() const noexcept { return target_ != nullptr; }

  /// Only where there is one.
  void operator()(Args... args) const noexcept { target_->call(std::forward<Args>(args)...); }

private:
  struct target {
    target() = default;
    target(const target&) = delete;
    target& operator=(const target&) = delete;
    virtual ~target() = default;
    virtual void call(Args... args) noexcept = 0;
  };

  template <class F>
  struct target_of final : target {
    static_assert(std::is_nothrow_invocable_v<F&, Args...>, "mailroom: a hook must be noexcept");
    template <class G>
    explicit target_of(G&& callable) : call_(std::forward<G>(callable)) {}
    void call(Args... args) noexcept override { call_(std::forward<Args>(args)...); }
    F call_;
  };

  std::unique_ptr<target> target_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_HOOK_HPP
