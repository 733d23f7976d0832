// SPDX-License-Identifier: MIT
#include <mailroom/topic/filter_relation.hpp>

#include <doctest/doctest.h>
#include <fuzz/reference_filter.hpp>
#include <support/seed.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <random>      // mt19937
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // move
#include <vector>      // vector

namespace {

using mailroom::dialect;
using mailroom::detail::cover;
using mailroom::detail::overlap;

using texts = std::vector<std::string>;

static_assert(noexcept(overlap({}, {}, dialect::amqp)));
static_assert(noexcept(cover({}, {}, dialect::amqp)));

// What is no more than tokens can be compared while a program is compiled.
static_assert(overlap("a.#.b", "*.c.#", dialect::amqp));
static_assert(cover("a.>", "a.*.>", dialect::nats));

/// All texts of up to `most` words.
texts all_texts(const texts& words, char separator, std::size_t most) {
  texts all;
  texts last{""};
  for (std::size_t length = 1; length <= most; ++length) {
    texts longer;
    for (const std::string& begin : last) {
      for (const std::string& word : words) {
        longer.push_back(length == 1 ? word : begin + separator + word);
      }
    }
    all.insert(all.end(), longer.begin(), longer.end());
    last = std::move(longer);
  }
  return all;
}

/// Do the tokens of a filter from `f` on match those of a name from `n` on?
bool matches(const fuzz::tokens& filter, std::size_t f, const fuzz::tokens& name, std::size_t n,
             dialect rules) {
  if (f == filter.size()) return n == name.size();
  if (fuzz::is_several(filter[f], rules)) {
    if (rules != dialect::nats && matches(filter, f + 1, name, n, rules)) return true;
    if (n == name.size()) return false;
    return matches(filter, f, name, n + 1, rules) || matches(filter, f + 1, name, n + 1, rules);
  }
  return n != name.size() && (fuzz::is_one(filter[f], rules) || filter[f] == name[n]) &&
         matches(filter, f + 1, name, n + 1, rules);
}

/// Which of the names a filter matches, one bit each.
using bits = std::vector<std::uint64_t>;

bits matched(const fuzz::tokens& filter, const std::vector<fuzz::tokens>& names, dialect rules) {
  const bool hides = rules == dialect::mqtt && fuzz::is_wildcard(filter[0], rules);
  bits found(names.size() / 64 + 1, 0);
  for (std::size_t i = 0; i != names.size(); ++i) {
    if (hides && names[i][0].starts_with('$')) continue;
    if (matches(filter, 0, names[i], 0, rules)) found[i / 64] |= std::uint64_t{1} << i % 64;
  }
  return found;
}

bool share_one(const bits& a, const bits& b) {
  for (std::size_t i = 0; i != a.size(); ++i) {
    if ((a[i] & b[i]) != 0) return true;
  }
  return false;
}

bool is_part_of(const bits& a, const bits& b) {
  for (std::size_t i = 0; i != a.size(); ++i) {
    if ((a[i] & ~b[i]) != 0) return false;
  }
  return true;
}

/// Compares all pairs of filters with what they match among all names. There must be longer names
/// than filters, with a word that is in no filter.
void try_all(const texts& patterns, const texts& texts_of_names, dialect rules) {
  std::vector<fuzz::tokens> names;
  for (const std::string& name : texts_of_names) {
    if (fuzz::is_topic(name, rules)) names.push_back(fuzz::split(name, rules));
  }
  texts filters;
  std::vector<bits> found;
  for (const std::string& pattern : patterns) {
    if (pattern.empty() || !fuzz::is_filter(pattern, rules)) continue;
    filters.push_back(pattern);
    found.push_back(matched(fuzz::split(pattern, rules), names, rules));
  }
  std::size_t covered = 0;
  std::size_t overlapping = 0;
  for (std::size_t a = 0; a != filters.size(); ++a) {
    for (std::size_t b = 0; b != filters.size(); ++b) {
      const bool overlaps = share_one(found[a], found[b]);
      const bool covers = is_part_of(found[b], found[a]);
      overlapping += overlaps ? 1U : 0U;
      covered += covers ? 1U : 0U;
      if (overlap(filters[a], filters[b], rules) != overlaps) {
        FAIL("overlap of \"" << filters[a] << "\" and \"" << filters[b] << "\" is " << overlaps);
      }
      if (cover(filters[a], filters[b], rules) != covers) {
        FAIL("cover of \"" << filters[a] << "\" over \"" << filters[b] << "\" is " << covers);
      }
    }
  }
  CHECK(filters.size() > 50);
  CHECK(covered > filters.size());
  CHECK(overlapping > covered);
}

/// Asks about the names that a filter of dialect amqp stands for, where each `#` is up to `most`
/// new words and each `*` one; until one answer is no.
template <class Ask>
bool all_of(const fuzz::tokens& filter, std::size_t at, std::size_t most, const fuzz::tokens& made,
            const Ask& ask) {
  if (at == filter.size()) return ask(made);
  fuzz::tokens next = made;
  if (!fuzz::is_several(filter[at], dialect::amqp)) {
    next.push_back(filter[at] == "*" ? "new" : filter[at]);
    return all_of(filter, at + 1, most, next, ask);
  }
  for (std::size_t taken = 0; taken <= most; ++taken) {
    if (!all_of(filter, at + 1, most, next, ask)) return false;
    next.push_back("new");
  }
  return true;
}

/// Is there a name of dialect amqp that both match? Word by word; there are no empty ones.
bool meet(const fuzz::tokens& a, std::size_t i, const fuzz::tokens& b, std::size_t j) {
  const bool several = i != a.size() && a[i] == "#";
  if (several || (j != b.size() && b[j] == "#")) {
    if (!several) return meet(b, j, a, i);
    return meet(a, i + 1, b, j) || (j != b.size() && meet(a, i, b, j + 1));
  }
  if (i == a.size() || j == b.size()) return i == a.size() && j == b.size();
  return (a[i] == "*" || b[j] == "*" || a[i] == b[j]) && meet(a, i + 1, b, j + 1);
}

std::string random_filter(std::mt19937& chance, std::size_t most) {
  const std::string_view words[]{"a", "a", "b", "*", "*", "#", "#"};
  std::string made{words[chance() % 7]};
  for (std::size_t left = chance() % most; left != 0; --left) {
    made += '.';
    made += words[chance() % 7];
  }
  return made;
}

} // namespace

TEST_CASE("filter_relation: exact filters overlap and cover when they are the same") {
  for (const std::string_view a : {"a", "a.b", ">", "#"}) {
    for (const std::string_view b : {"a", "a.b", ">", "#"}) {
      CHECK(overlap(a, b, dialect::exact) == (a == b));
      CHECK(cover(a, b, dialect::exact) == (a == b));
    }
  }
}

TEST_CASE("filter_relation: nats: all short filters, against all names that are a little longer") {
  try_all(all_texts({"a", "b", "*", ">"}, '.', 4), all_texts({"a", "b", "c"}, '.', 6),
          dialect::nats);
}

TEST_CASE("filter_relation: mqtt: all short filters, against all names that are a little longer") {
  try_all(all_texts({"a", "$b", "", "+", "#"}, '/', 3), all_texts({"a", "$b", "", "c"}, '/', 5),
          dialect::mqtt);
}

TEST_CASE("filter_relation: amqp: all short filters, against all names that are a little longer") {
  // Of the names one is the empty text: no word at all.
  try_all(all_texts({"a", "", "*", "#"}, '.', 4), all_texts({"a", "", "c"}, '.', 6), dialect::amqp);
}

TEST_CASE("filter_relation: amqp: longer filters cover when they match whatever the other stands "
          "for, with none to many words for each #") {
  std::mt19937 chance{test::seed()};
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  int covered = 0;
  for (int i = 0; i != 3'000; ++i) {
    const std::string wide = random_filter(chance, 8);
    std::string narrow = random_filter(chance, 8);
    for (std::size_t at = narrow.find('#'), left = 3; at != narrow.npos;
         at = narrow.find('#', at + 1)) {
      if (left == 0) narrow[at] = '*';
      if (left != 0) --left;
    }
    const fuzz::tokens tokens = fuzz::split(wide, dialect::amqp);
    const bool expected = all_of(
        fuzz::split(narrow, dialect::amqp), 0, tokens.size() + 1, {},
        [&](const fuzz::tokens& name) { return matches(tokens, 0, name, 0, dialect::amqp); });
    covered += expected ? 1 : 0;
    if (cover(wide, narrow, dialect::amqp) != expected) {
      FAIL("cover of \"" << wide << "\" over \"" << narrow << "\" is " << expected);
    }
  }
  CHECK(covered > 50);
}

TEST_CASE("filter_relation: amqp: longer filters overlap when they can be read word by word "
          "together") {
  std::mt19937 chance{test::seed()};
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  int overlapping = 0;
  for (int i = 0; i != 10'000; ++i) {
    const std::string a = random_filter(chance, 8);
    const std::string b = random_filter(chance, 8);
    const bool expected = meet(fuzz::split(a, dialect::amqp), 0, fuzz::split(b, dialect::amqp), 0);
    overlapping += expected ? 1 : 0;
    if (overlap(a, b, dialect::amqp) != expected) {
      FAIL("overlap of \"" << a << "\" and \"" << b << "\" is " << expected);
    }
  }
  CHECK(overlapping > 1'000);
  CHECK(overlapping < 9'000);
}

TEST_CASE("filter_relation: as many words and # as 255 bytes hold are compared") {
  const auto repeated = [](std::string_view token, std::size_t times) {
    std::string made;
    for (std::size_t i = 0; i != times; ++i) {
      if (i != 0) made += '.';
      made += token;
    }
    return made;
  };
  const std::string hashes = repeated("#", 128);
  const std::string stars = repeated("*", 128);
  const std::string dots = repeated("", 256);
  CHECK(cover(hashes, hashes, dialect::amqp));
  CHECK(cover("#", hashes, dialect::amqp));
  CHECK(cover(hashes, dots, dialect::amqp));
  CHECK(cover(hashes, stars, dialect::amqp));
  CHECK_FALSE(cover(stars, hashes, dialect::amqp));
  CHECK(overlap(stars, hashes, dialect::amqp));
  CHECK(overlap(dots, hashes, dialect::amqp));
  CHECK_FALSE(overlap(dots, stars, dialect::amqp));
  CHECK(cover(dots, dots, dialect::amqp));
  CHECK(cover("*.#." + repeated("a.#.*", 40) + ".#", "#." + repeated("a.*.#", 41), dialect::amqp));
}
