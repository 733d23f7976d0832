// SPDX-License-Identifier: MIT
#include <mailroom/topic/filter_match.hpp>

#include <doctest/doctest.h>
#include <fuzz/reference_filter.hpp>
#include <support/seed.hpp>

#include <algorithm>   // max, replace
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <optional>    // optional
#include <random>      // mt19937
#include <string>      // string
#include <string_view> // string_view
#include <vector>      // vector

namespace {

using mailroom::dialect;
using mailroom::detail::capture;
using mailroom::detail::count_wildcards;
using mailroom::detail::layout;
using mailroom::detail::match;
using mailroom::detail::nobody_asks;
using mailroom::detail::stands_for;
using mailroom::detail::token_cursor;

static_assert(noexcept(match({}, {}, dialect::amqp)));
static_assert(match("a.#.b", "a.x.b", dialect::amqp));
static_assert(!match("a.#.b", "a.x.b.c", dialect::amqp));
static_assert(match("a/+/#", "a/", dialect::mqtt));

bool matches(std::string_view filter, std::string_view topic) {
  return match(filter, topic, dialect::amqp);
}

/// `token`, so many times, between dots.
std::string repeated(std::string_view token, std::size_t times) {
  std::string made;
  for (std::size_t i = 0; i != times; ++i) {
    if (i != 0) made += '.';
    made += token;
  }
  return made;
}

// ---- Steps

/// How often a token is compared with a word.
std::uint64_t steps(std::string_view filter, std::string_view topic) {
  std::uint64_t count = 0;
  const auto fits = [&count](const token_cursor& token, const token_cursor& word) {
    ++count;
    return stands_for(token, word);
  };
  layout walk{token_cursor{filter, dialect::amqp}, token_cursor{topic, dialect::amqp}, fits,
              nobody_asks{}};
  CHECK(walk.succeeds() == fuzz::matches(filter, topic, dialect::amqp));
  return count;
}

/// The same for the naive way, in which each # tries all lengths, whatever stands behind it.
bool naive(const fuzz::tokens& filter, std::size_t f, const fuzz::tokens& topic, std::size_t t,
           std::uint64_t& count) {
  if (f == filter.size()) return t == topic.size();
  if (filter[f] == "#") {
    for (std::size_t behind = t; behind <= topic.size(); ++behind) {
      if (naive(filter, f + 1, topic, behind, count)) return true;
    }
    return false;
  }
  if (t == topic.size()) return false;
  ++count;
  return (filter[f] == "*" || filter[f] == topic[t]) && naive(filter, f + 1, topic, t + 1, count);
}

std::uint64_t naive_steps(std::string_view filter, std::string_view topic) {
  std::uint64_t count = 0;
  (void)naive(fuzz::split(filter, dialect::amqp), 0, fuzz::split(topic, dialect::amqp), 0, count);
  return count;
}

std::size_t longest_block(std::string_view filter) {
  std::size_t longest = 0;
  std::size_t length = 0;
  for (token_cursor at{filter, dialect::amqp}; !at.is_over(); at.next()) {
    length = at.token() == "#" ? 0 : length + 1;
    longest = std::max(longest, length);
  }
  return longest;
}

// ---- What the wildcards take

/// Who takes what, by trying: each # from the left as few words as it can, but for the last.
/// Where the pieces of the wildcards begin and end, counted in words.
using pieces = std::vector<std::size_t>;

std::optional<pieces> first_way(const fuzz::tokens& filter, std::size_t f,
                                const fuzz::tokens& topic, std::size_t t, const pieces& so_far) {
  if (f == filter.size()) return t == topic.size() ? std::optional{so_far} : std::nullopt;
  const bool several = filter[f] == "#";
  for (std::size_t end = several ? t : t + 1; end <= (several ? topic.size() : t + 1); ++end) {
    if (end > topic.size()) return std::nullopt;
    pieces taken = so_far;
    if (several || filter[f] == "*") {
      taken.push_back(t);
      taken.push_back(end);
    } else if (filter[f] != topic[t]) {
      return std::nullopt;
    }
    if (auto found = first_way(filter, f + 1, topic, end, taken)) return found;
  }
  return std::nullopt;
}

/// The words from one number to another, as they stand in the topic.
std::string_view words(std::string_view topic, std::size_t from, std::size_t end) {
  token_cursor first{topic, dialect::amqp};
  for (std::size_t i = 0; i != from; ++i) first.next();
  token_cursor behind = first;
  for (std::size_t i = from; i != end; ++i) behind.next();
  return first.until(behind);
}

std::string random_text(std::mt19937& chance, const std::vector<std::string_view>& from,
                        std::size_t most) {
  std::string made{from[chance() % from.size()]};
  for (std::size_t left = chance() % most; left != 0; --left) {
    made += '.';
    made += from[chance() % from.size()];
  }
  return made;
}

} // namespace

// ---- Which filters match

TEST_CASE("filter_match: a block is found at the first place where it fits, and the last at the "
          "end") {
  CHECK(matches("#.a.b.#", "a.a.b"));
  CHECK(matches("#.a.b", "a.b.a.b"));
  CHECK_FALSE(matches("#.a.b", "a.b.a"));
  CHECK(matches("a.#.b", "a.b"));
  CHECK_FALSE(matches("a.#.a", "a"));
  CHECK(matches("#.a.*.#.b", "c.a.a.b.b"));
  CHECK_FALSE(matches("#.a.b.#.b.c", "a.b.c"));
  CHECK(matches("#.a.#.a.#", "a.a"));
  CHECK_FALSE(matches("#.a.#.a.#", "a"));
}

TEST_CASE("filter_match: random filters and topics of mqtt match as the table says") {
  std::mt19937 chance{test::seed()};
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  const auto levels = [&chance](const std::vector<std::string_view>& from) {
    std::string made = random_text(chance, from, 5);
    std::replace(made.begin(), made.end(), '.', '/');
    return made;
  };
  int matched = 0;
  for (int i = 0; i != 20'000; ++i) {
    std::string filter = levels({"a", "ab", "$", "", "+", "+"});
    if (chance() % 2 == 0) filter = chance() % 4 == 0 ? "#" : filter + "/#";
    const std::string topic = levels({"a", "a", "ab", "$", ""});
    if (!fuzz::is_filter(filter, dialect::mqtt) || topic.empty()) continue;
    const bool expected = fuzz::matches(filter, topic, dialect::mqtt);
    matched += expected ? 1 : 0;
    if (match(filter, topic, dialect::mqtt) != expected) {
      FAIL("pattern=" << filter << " topic=" << topic << " expected=" << expected);
    }
  }
  CHECK(matched > 1'000);
}

TEST_CASE("filter_match: random filters and topics of amqp match as the table says") {
  std::mt19937 chance{test::seed()};
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  int matched = 0;
  for (int i = 0; i != 20'000; ++i) {
    const std::string filter = random_text(chance, {"a", "b", "", "*", "#", "#"}, 8);
    const std::string topic = random_text(chance, {"a", "a", "b", "", "*"}, 10);
    const bool expected = fuzz::matches(filter, topic, dialect::amqp);
    matched += expected ? 1 : 0;
    if (matches(filter, topic) != expected) {
      FAIL("pattern=" << filter << " topic=" << topic << " expected=" << expected);
    }
  }
  CHECK(matched > 1'000);
}

// ---- Steps

TEST_CASE("filter_match: each word is compared at most once with each token of the longest block") {
  std::mt19937 chance{test::seed()};
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  for (int i = 0; i != 3'000; ++i) {
    const std::string filter = random_text(chance, {"a", "a", "a", "b", "*", "#"}, 30);
    const std::string topic = random_text(chance, {"a", "a", "a", "a", "a", "b"}, 60);
    const std::size_t size = fuzz::split(topic, dialect::amqp).size();
    if (steps(filter, topic) > size * longest_block(filter)) {
      FAIL("pattern=" << filter << " topic=" << topic << " steps=" << steps(filter, topic));
    }
  }
}

TEST_CASE("filter_match: fifteen # and 31 words take as many steps as there are words") {
  const std::string topic = repeated("a", 31);
  CHECK(steps(repeated("#", 15), topic) == 0);
  CHECK(steps(repeated("#.a", 15), topic) <= 31);
  CHECK(steps(repeated("#.a", 14) + ".#.b", topic) <= 31);
  CHECK(steps(repeated("#.*", 15) + ".b", topic) <= 31 * 2);
}

TEST_CASE("filter_match: one # more costs nothing, where the naive way pays several times as "
          "much") {
  const std::string topic = repeated("a", 24);
  std::uint64_t before = naive_steps("#.a.#.b", topic);
  for (std::size_t hashes = 3; hashes <= 6; ++hashes) {
    const std::string filter = repeated("#.a", hashes - 1) + ".#.b";
    CHECK(steps(filter, topic) <= 24);
    const std::uint64_t now = naive_steps(filter, topic);
    CHECK(now > 3 * before);
    before = now;
  }
  CHECK(before > 100'000);
}

TEST_CASE("filter_match: twice as many words take twice as many steps, whatever the filter") {
  for (const auto filter : {"#.a.a.a.b", "#.a.#.a.a.b.#", "#.*.*.*.b.#", "*.#.a.a.#.b"}) {
    CAPTURE(filter);
    const std::uint64_t once = steps(filter, repeated("a", 60));
    const std::uint64_t twice = steps(filter, repeated("a", 120));
    CHECK(once > 30);
    CHECK(twice <= 2 * once + 16);
  }
}

// ---- What the wildcards take

TEST_CASE("filter_match: each # takes as little as it can, from the left, and the last one the "
          "rest") {
  std::mt19937 chance{test::seed()};
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  int matched = 0;
  for (int i = 0; i != 10'000; ++i) {
    const std::string filter = random_text(chance, {"a", "b", "*", "#", "#"}, 6);
    const std::string topic = random_text(chance, {"a", "a", "b", "", "c"}, 8);
    const auto expected =
        first_way(fuzz::split(filter, dialect::amqp), 0, fuzz::split(topic, dialect::amqp), 0, {});
    std::vector<std::string_view> got(count_wildcards(filter, dialect::amqp));
    REQUIRE(matches(filter, topic) == expected.has_value());
    if (!expected) continue;
    capture(filter, topic, dialect::amqp, got);
    ++matched;
    REQUIRE(expected->size() == 2 * got.size());
    for (std::size_t n = 0; n != got.size(); ++n) {
      const std::string_view piece = words(topic, (*expected)[2 * n], (*expected)[2 * n + 1]);
      if (got[n] != piece || got[n].data() != piece.data()) {
        FAIL("pattern=" << filter << " topic=" << topic << " wildcard=" << n << " got=" << got[n]);
      }
    }
  }
  CHECK(matched > 1'000);
}
