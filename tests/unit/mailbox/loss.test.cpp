// SPDX-License-Identifier: MIT
// What a mailbox does with it is in mailbox.test.cpp.

#include <mailroom/mailbox/loss.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>

#include <atomic>      // atomic
#include <functional>  // function
#include <memory>      // make_unique, unique_ptr
#include <string>      // string
#include <type_traits> // is_convertible, is_copy_constructible
#include <utility>     // move
#include <vector>      // vector

namespace {

using mailroom::detail::losses;

static_assert(!std::is_copy_constructible_v<losses<int>>);
static_assert(!std::is_convertible_v<int, mailroom::discard_t>);

} // namespace

TEST_CASE("losses: without a listener they are counted, and a message stays what it was") {
  losses<std::unique_ptr<int>> lost;
  CHECK_FALSE(lost.is_watched());
  auto message = std::make_unique<int>(1);
  lost.reject();
  lost.drop(std::move(message));
  lost.drop(std::move(message));
  lost.discard(std::move(message));
  CHECK(message != nullptr);
  CHECK(lost.rejected() == 1);
  CHECK(lost.dropped() == 2);
  CHECK(lost.discarded() == 1);
}

TEST_CASE("losses: a listener gets what is dropped and discarded, and a copy of what is kept") {
  std::vector<std::string> seen;
  losses<std::string> lost{[&](std::string&& each) noexcept { seen.push_back(std::move(each)); }};
  CHECK(lost.is_watched());
  const std::string kept = "a message that is kept by its owner";
  std::string given = "a message that is given away by its owner";
  lost.drop(kept);
  lost.drop(std::move(given));
  lost.discard("a message");
  lost.reject();
  CHECK(kept == "a message that is kept by its owner");
  CHECK(given.empty());
  CHECK(seen == std::vector<std::string>{"a message that is kept by its owner",
                                         "a message that is given away by its owner", "a message"});
  CHECK(lost.dropped() == 2);
  CHECK(lost.discarded() == 1);
}

TEST_CASE("losses: a listener may own what cannot be copied, and is destroyed") {
  const auto owner = std::make_shared<int>(0);
  {
    losses<int> lost{[own = std::make_unique<std::shared_ptr<int>>(owner)](int each) noexcept {
      **own += each;
    }};
    lost.drop(3);
    lost.discard(4);
    CHECK(owner.use_count() == 2);
  }
  CHECK(*owner == 7);
  CHECK(owner.use_count() == 1);
}

TEST_CASE("losses: several threads lose at once") {
  std::atomic<int> seen{0};
  losses<int> lost{[&](int each) noexcept { seen.fetch_add(each); }};
  const auto lose = [&] {
    for (int i = 0; i != 1000; ++i) {
      lost.drop(1);
      lost.discard(2);
      lost.reject();
    }
  };
  test::run_together(std::vector<std::function<void()>>(3, lose));
  CHECK(seen.load() == 9000);
  CHECK(lost.dropped() == 3000);
  CHECK(lost.discarded() == 3000);
  CHECK(lost.rejected() == 3000);
}
