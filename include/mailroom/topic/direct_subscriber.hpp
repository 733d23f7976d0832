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

namespace mailroom::inline MAILROOM_ABI::detail {

/// A subscriber whose handler runs in the publisher's thread.
template <class T, class F>
class direct_subscriber final : public subscriber<T> {
public:
  template <class G>
  direct_subscriber(topic_filter wanted, ref<subscriber_list<T>> list, G&& handler)
      : subscriber<T>{std::move(wanted), subscription_options{}, std::move(list)},
        handler_(std::in_place, std::forward<G>(handler)) {}

  queue_status offer(envelope<T>& sent, transfer, std::size_t&) override {
    return this->run_handler([&] {
      if constexpr (takes_delivery<F, T>) {
        delivery<T> next{T(sent.value), sent.sequence, 0, sent.topic, ref<const counted>{this}};
        this->call_handler(next.value, sent.sequence, sent.topic,
                           [&] { (*handler_)(std::move(next)); });
      } else {
        this->call_handler(sent.value, sent.sequence, sent.topic,
                           [&] { (*handler_)(std::as_const(sent.value)); });
      }
    });
  }
  void drain() noexcept override { this->cancel(); }
  bool is_open() const noexcept override { return !this->is_cancelled(); }
  void close() noexcept override {}
  void announce_end() noexcept override { this->refuse(); }
  void finish() noexcept override { this->cancel(); }

private:
  void drop_messages() noexcept override {}
  void drop_handler() noexcept override { handler_.reset(); }

  std::optional<F> handler_; // none once cancelled
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_DIRECT_SUBSCRIBER_HPP
