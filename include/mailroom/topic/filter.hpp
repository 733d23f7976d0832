// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_FILTER_HPP
#define MAILROOM_TOPIC_FILTER_HPP

// A topic filter: says which topic names a subscriber wants to hear.
//
// Use it       to check names and filters before they reach a dispatcher, or to match by hand.
// Instead use  dispatcher, which owns the filters of its subscribers and calls them itself.
//
// A name is a text; a dialect says how it is read. `exact` reads it whole: any bytes but NUL, equal
// or not. The others read tokens between separators, and a filter may have wildcards among them:
//
//              filter   matches             does not match
//      nats    a.b      a.b                 a, a.b.c, A.B
//              a.*.c    a.b.c               a.c, a.b.b.c       * is exactly one token
//              a.>      a.b, a.b.c          a, b.a             > is one token or more, at end
//              a*.b     a*.b                ab.b               inside a token: plain characters
//      mqtt    a/+      a/b, a/             a, a/b/c           + is one level, also an empty one
//              a/#      a, a/b, a/b/c       ab                 # is any number of levels, at end
//              +/b, #   a/b                 $a/b               wildcards in front do not see a `$`
//      amqp    a.*      a.b, a.*            a, a.b.c           * is exactly one word
//              a.#.b    a.b, a.c.c.b        ab, a.b.c          # is any number of words, anywhere
//
// Bytes count as they are: no case folding, no Unicode normalisation. What is no filter and no name
// is in filter_syntax.hpp. `$share/group/filter`, in mqtt, matches what the filter in it does.
//
// Invariants, unless the filter was moved from
//   (I1)  pattern_ is a valid filter by rules_
//   (I2)  literal_ says that pattern_ is a valid topic too, and matches this topic and no other
//
// Decision: the pattern stays text and is walked beside the topic. A list of tokens would save
//   looking for separators, and cost an allocation for each filter.
// Decision: captures go to the caller's span. A type that holds all of them would allocate, or be
//   large for everybody; who wrote the filter knows how many wildcards it has.
//
// Sources: NATS documentation, Subject-Based Messaging; MQTT Version 5.0 (OASIS Standard), 4.7 and
// 4.8.2; AMQP 0-9-1, 3.1.3.3. The cases in tests/unit/topic/vectors were measured with servers.

#include <mailroom/detail/config.hpp>
#include <mailroom/topic/filter_syntax.hpp>
#include <mailroom/topic/filter_match.hpp>
#include <mailroom/topic/filter_relation.hpp>

#include <cstddef>     // size_t
#include <span>        // span
#include <string>      // string
#include <string_view> // string_view

namespace mailroom::inline MAILROOM_ABI {

class topic_filter {
public:
  /// Makes the filter that `pattern` describes.
  ///
  /// Cost      O(pattern); one copy of the pattern
  /// Throws    std::invalid_argument that says what is wrong with the pattern, and where;
  ///           std::bad_alloc
  explicit topic_filter(std::string_view pattern, dialect rules = dialect::nats);

  /// Tells why no filter can be made of `pattern`.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(pattern), no allocation; may run at compile time
  /// Throws    nothing
  /// Returns   the first fault and its place; false if there is none
  [[nodiscard]] static constexpr name_fault find_fault(std::string_view pattern,
                                                       dialect rules) noexcept {
    return detail::find_fault(pattern, rules, detail::name_kind::filter);
  }

  /// Tells why `name` cannot be published to; otherwise as find_fault. What has no fault as a name
  /// has none as a pattern, but for what begins with `$share/` in mqtt.
  [[nodiscard]] static constexpr name_fault find_topic_fault(std::string_view name,
                                                             dialect rules) noexcept {
    return detail::find_fault(name, rules, detail::name_kind::topic);
  }

  /// Tells whether a filter can be made of `pattern`; otherwise as find_fault.
  [[nodiscard]] static constexpr bool valid(std::string_view pattern, dialect rules) noexcept {
    return !find_fault(pattern, rules);
  }

  /// Tells whether `name` can be published to; otherwise as find_fault.
  [[nodiscard]] static constexpr bool valid_topic(std::string_view name, dialect rules) noexcept {
    return !find_topic_fault(name, rules);
  }

  /// Tells whether `topic` is one of the names that the pattern stands for.
  ///
  /// Caller    anyone, concurrently with all other const members
  /// Progress  wait-free
  /// Cost      O(topic), whatever the pattern; in amqp, where `#` may stand anywhere, O(topic *
  ///           pattern between two `#`); no allocation
  /// Throws    nothing
  /// Returns   false also for a topic that is not valid
  [[nodiscard]] bool matches(std::string_view topic) const noexcept;

  /// Writes down what the wildcards stand for, in their order, as pieces of `topic`. Where words
  /// could go to several `#`, each of them, from the left, takes as little as it can, and the last
  /// one the rest. Who takes no word at all leaves a view without data(); an empty word has some.
  ///
  /// Caller    as for matches
  /// Progress  wait-free
  /// Cost      as for matches
  /// Throws    nothing
  /// Returns   whether the topic matches; `into` is left alone if not, and beyond wildcards()
  bool capture(std::string_view topic, std::span<std::string_view> into) const noexcept;

  /// Tells whether there is a name that both filters match. The longest text that a dialect allows
  /// is not looked at.
  ///
  /// Caller    as for matches
  /// Progress  wait-free
  /// Cost      O(both patterns); O(pattern * pattern) in amqp; no allocation
  /// Throws    std::invalid_argument for filters of different dialects
  [[nodiscard]] bool overlaps(const topic_filter& other) const;

  /// Tells whether this filter matches every name that the other one matches. The longest text that
  /// a dialect allows is not looked at.
  ///
  /// Caller    as for matches
  /// Progress  wait-free
  /// Cost      O(both patterns); in amqp O(pattern * pattern * number of `#`); no allocation
  /// Throws    std::invalid_argument for filters of different dialects
  [[nodiscard]] bool covers(const topic_filter& other) const;

  /// The text the filter was made of; it lives as long as the filter.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Throws    nothing
  [[nodiscard]] std::string_view pattern() const noexcept { return pattern_; }

  /// The group that the pattern names with `$share/`; empty if it names none.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Throws    nothing
  [[nodiscard]] std::string_view group() const noexcept {
    return detail::group_of(pattern_, rules_);
  }

  /// The dialect the pattern is read in.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Throws    nothing
  [[nodiscard]] dialect rules() const noexcept { return rules_; }

  /// How many tokens of the pattern are wildcards.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(pattern)
  /// Throws    nothing
  [[nodiscard]] std::size_t wildcards() const noexcept {
    return detail::count_wildcards(body(), rules_);
  }

  /// Tells whether the pattern has no wildcard and no group, and so matches one name only: itself.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(1)
  /// Throws    nothing
  [[nodiscard]] bool is_literal() const noexcept { return literal_; }

  /// Compares pattern and dialect; filters that differ may still match the same topics.
  ///
  /// Caller    anyone, concurrently with all other const members
  /// Progress  wait-free
  /// Cost      O(pattern)
  /// Throws    nothing
  [[nodiscard]] bool operator==(const topic_filter&) const noexcept = default;

private:
  std::string_view body() const noexcept { return detail::body_of(pattern_, rules_); }
  void check_dialect_of(const topic_filter& other) const;

  std::string pattern_; // (I1)
  dialect rules_;
  bool literal_ = false; // (I2)
};

// ---- Definitions, in the order of the class

inline topic_filter::topic_filter(std::string_view pattern, dialect rules)
    : pattern_{pattern}, rules_{rules} {
  if (const name_fault fault = find_fault(pattern, rules)) {
    detail::throw_fault(pattern, detail::name_kind::filter, fault);
  }
  literal_ = group().empty() && wildcards() == 0;
}

inline bool topic_filter::matches(std::string_view topic) const noexcept {
  if (literal_) return topic == pattern_; // (I2)
  return detail::match(body(), topic, rules_) && valid_topic(topic, rules_);
}

inline bool topic_filter::capture(std::string_view topic,
                                  std::span<std::string_view> into) const noexcept {
  if (!matches(topic)) return false;
  detail::capture(body(), topic, rules_, into);
  return true;
}

inline bool topic_filter::overlaps(const topic_filter& other) const {
  check_dialect_of(other);
  return detail::overlap(body(), other.body(), rules_);
}

inline bool topic_filter::covers(const topic_filter& other) const {
  check_dialect_of(other);
  return detail::cover(body(), other.body(), rules_);
}

inline void topic_filter::check_dialect_of(const topic_filter& other) const {
  if (rules_ != other.rules_) {
    detail::throw_invalid_argument("mailroom: filters of different dialects are not compared");
  }
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_FILTER_HPP
