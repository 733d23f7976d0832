// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_STOP_SOURCE_HPP
#define MAILROOM_TESTS_MODEL_STOP_SOURCE_HPP

// A stop source with one callback, made of the checker's own atomics: std::stop_token would hide
// its steps.

#include <mailroom/detail/mutex.hpp>
#include <mailroom/detail/platform.hpp>

#include <cstddef> // size_t
#include <utility> // move

namespace scenario {

class stop_source {
public:
  void request_stop() {
    requested_.store(1, std::memory_order_release);
    const mailroom::detail::lock_guard held{lock_};
    caller_ = model::thread_index();
    if (callback_ != nullptr) callback_->call();
    caller_ = nobody;
  }

private:
  friend class stop_token;
  struct callback {
    virtual void call() noexcept = 0;
    virtual ~callback() = default;
  };

  static constexpr std::size_t nobody = ~std::size_t{0};

  mailroom::detail::atomic<unsigned> requested_;
  mailroom::detail::mutex lock_; // also held during a call, so that nobody leaves it behind
  callback* callback_ = nullptr;
  std::size_t caller_ = nobody; // whether it is oneself can be asked without the lock
};

class stop_token {
public:
  explicit stop_token(stop_source& source) noexcept : source_{&source} {}
  bool stop_requested() const noexcept {
    return source_->requested_.load(std::memory_order_acquire) != 0;
  }
  static constexpr bool stop_possible() noexcept { return true; }

  template <class F>
  class callback_type final : stop_source::callback {
  public:
    callback_type(const stop_token& token, F call) noexcept
        : source_{*token.source_}, call_{std::move(call)} {
      const mailroom::detail::lock_guard held{source_.lock_};
      source_.callback_ = this;
      if (token.stop_requested()) call_();
    }
    callback_type(const callback_type&) = delete;
    callback_type& operator=(const callback_type&) = delete;
    ~callback_type() override {
      if (source_.caller_ == model::thread_index()) { // from inside of the call
        source_.callback_ = nullptr;
        return;
      }
      const mailroom::detail::lock_guard held{source_.lock_};
      source_.callback_ = nullptr;
    }

  private:
    void call() noexcept override { call_(); }

    stop_source& source_;
    F call_;
  };

private:
  stop_source* source_;
};

} // namespace scenario

#endif // MAILROOM_TESTS_MODEL_STOP_SOURCE_HPP
