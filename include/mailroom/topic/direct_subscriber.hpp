// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_DIRECT_SUBSCRIBER_HPP
#define MAILROOM_TOPIC_DIRECT_SUBSCRIBER_HPP

// A subscriber whose handler runs in the publisher's thread.
//
// Use it       never: it is the inside of subscription.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/topic/filter.hpp>
#include <mailroom/topic/delivery.hpp>
#include <mailroom/topic/subscriber.hpp>

#include <cstddef>  // size_t
#include <optional> // optional
#include <utility>  // as_const, forward, in_place, move

namespace mailroom::inline v0::detail {

/// A subscriber whose handler runs in the publisher's thread.
template <class T, class F>
class direct_subscriber final : public subscriber<T> {
public:
  template <class G>
  direct_subscriber(topic_filter wanted, ref<subscriber_list<T>> list, G&& handler)
      : subscriber<T>{std::move(wanted), subscription_options{}, std::move(list)},
        handler_(std::in_place, std::forward<G>(handler)) {}

  queue_status offer(envelope<T>& sent, transfer, patience, std::size_t&) override {
    return this->run_handler([&] {
      if constexpr (takes_delivery<F, T>) {
        const ref<const counted> keeper{this};
        (*handler_)(delivery<T>{T(sent.value), sent.sequence, 0, sent.topic, keeper});
      } else {
        (*handler_)(std::as_const(sent.value));
      }
    });
  }
  bool blocks() const noexcept override { return false; }
  bool has_room() const noexcept override { return true; }
  bool is_open() const noexcept override { return !this->is_cancelled(); }
  void close() noexcept override {}
  void announce_end() noexcept override { this->refuse(); }
  void finish() noexcept override { this->cancel(); }

private:
  void drop_messages() noexcept override {}
  void drop_handler() noexcept override { handler_.reset(); }

  std::optional<F> handler_; // none once cancelled
};

} // namespace mailroom::inline v0::detail

#endif // MAILROOM_TOPIC_DIRECT_SUBSCRIBER_HPP
