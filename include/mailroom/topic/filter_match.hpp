// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_FILTER_MATCH_HPP
#define MAILROOM_TOPIC_FILTER_MATCH_HPP

// Lays the tokens of a filter beside those of a topic.
//
//      filter   a . # . b . * . # . c          a block is what stands between two `#`
//      topic    a x x . b x . x x x c
//                    |  '-.-'    |   '- the last block lies at the end
//                    |   a block lies at the first place where it fits
//                    '- what no block covers belongs to the `#`
//
// The first place is the right one: whoever lies further left leaves more room for the others. So a
// block that fits is never moved again, whatever comes behind it, and only the block that is just
// being laid can fail, and is tried one token further. Every token of the topic is then compared
// with each token of one block at most: tokens of the topic times tokens of the longest block. The
// naive way, which goes back to the block before as well, takes exponential time.
//
// Where several `#` could share a text in several ways this is the rule too: each of them, from the
// left, takes as little as it can, and the last one takes what is left.
//
// Decision: no set of states, one bit for each token of the filter, that moves along the topic. It
//   has to compare each token of the topic with all tokens of the filter, not with those of a block
//   only; it needs memory as soon as there are more tokens than bits; and it does not know who took
//   what.
//
// Sources: K. J. Krauss, Matching Wildcards: An Algorithm (Dr. Dobb's, 2008), for characters.

#include <mailroom/detail/config.hpp>
#include <mailroom/topic/filter_syntax.hpp>

#include <algorithm>   // min
#include <cstddef>     // size_t
#include <span>        // span
#include <string_view> // string_view

namespace mailroom::inline MAILROOM_ABI::detail {

/// Lays a filter beside words. `fits(token, word)` says whether a token that stands for one word
/// can stand for this one; `tell(n, from, behind)` is told which words the wildcard number n takes,
/// again whenever that changes. Both get cursors.
template <class Fits, class Tell>
class layout {
public:
  constexpr layout(token_cursor filter, token_cursor words, Fits fits, Tell tell)
      : filter_{filter}, words_{words}, block_{filter}, from_{words}, tried_{words}, fits_{fits},
        tell_{tell} {}

  /// Do all tokens of the filter find their words, and all words a token? Asked once.
  constexpr bool succeeds() {
    for (;;) {
      const token_kind kind = filter_.is_over() ? token_kind::plain : filter_.kind();
      if (kind == token_kind::many || kind == token_kind::some) {
        if (kind == token_kind::some && words_.is_over()) return false;
        begin_block();
      } else if (filter_.is_over() && words_.is_over()) {
        return true;
      } else if (!filter_.is_over() && !words_.is_over() && fits_(filter_, words_)) {
        lay_token(kind);
      } else if (!in_block_ || words_.is_over()) { // one word further there are even less of them
        return false;
      } else {
        move_block();
      }
    }
  }

private:
  /// The filter stands at a wildcard for several: a block begins behind it.
  constexpr void begin_block() {
    filter_.next();
    block_ = filter_;
    from_ = tried_ = words_;
    in_block_ = true;
    many_ = wildcard_++;
    if (filter_.is_over()) {
      while (!words_.is_over()) words_.next();
    }
    tell_(many_, from_, words_);
  }

  constexpr void lay_token(token_kind kind) {
    const token_cursor word = words_;
    words_.next();
    if (kind == token_kind::one) tell_(wildcard_++, word, words_);
    filter_.next();
  }

  constexpr void move_block() {
    tried_.next();
    words_ = tried_;
    filter_ = block_;
    wildcard_ = many_ + 1;
    tell_(many_, from_, tried_);
  }

  token_cursor filter_; // the next token to be laid
  token_cursor words_;  // where
  token_cursor block_;  // the block that is being laid,
  token_cursor from_;   // the first place it could have,
  token_cursor tried_;  // and the one that is tried
  Fits fits_;
  Tell tell_;
  std::size_t wildcard_ = 0; // number of the next one
  std::size_t many_ = 0;     // number of the one before the block
  bool in_block_ = false;    // not in the one at the beginning, which cannot be moved
};

struct nobody_asks {
  constexpr void operator()(std::size_t, const token_cursor&, const token_cursor&) const noexcept {}
};

/// Does a token of a filter stand for this word?
constexpr bool stands_for(const token_cursor& token, const token_cursor& word) noexcept {
  return token.kind() == token_kind::one || token.token() == word.token();
}

constexpr bool begins_with_wildcard(std::string_view body, dialect rules) noexcept {
  const token_cursor first{body, rules};
  return !first.is_over() && !first.is_plain();
}

/// In mqtt a filter that begins with a wildcard does not see the names that begin with `$`.
constexpr bool is_hidden(std::string_view body, std::string_view name, dialect rules) noexcept {
  return rules == dialect::mqtt && name.starts_with('$') && begins_with_wildcard(body, rules);
}

/// Is the token that begins at `at` the character `c` and nothing else?
constexpr bool is_token(std::string_view text, std::size_t at, char c, char separator) noexcept {
  return at < text.size() && text[at] == c && (at + 1 == text.size() || text[at + 1] == separator);
}

/// Where only the last token stands for several nothing is ever moved: both texts, byte by byte.
constexpr bool match_in_one_pass(std::string_view body, std::string_view topic,
                                 spelling marks) noexcept {
  for (std::size_t p = 0, t = 0;; ++p, ++t) { // a token begins at p, and one at t
    if (is_token(body, p, marks.several, marks.separator)) return true;
    if (is_token(body, p, marks.one, marks.separator)) {
      t = std::min(topic.find(marks.separator, t), topic.size());
      ++p;
    } else {
      for (; p != body.size() && body[p] != marks.separator; ++p, ++t) {
        if (t == topic.size() || topic[t] != body[p]) return false;
      }
    }
    if (t == topic.size()) {
      if (p == body.size()) return true;
      return marks.meaning == token_kind::many &&
             is_token(body, p + 1, marks.several, marks.separator);
    }
    if (p == body.size() || topic[t] != marks.separator) return false;
  }
}

/// Does a filter match a topic that is valid?
constexpr bool match(std::string_view body, std::string_view topic, dialect rules) noexcept {
  if (is_hidden(body, topic, rules)) return false;
  if (rules != dialect::amqp) return match_in_one_pass(body, topic, spelling_of(rules));
  return layout{token_cursor{body, rules}, token_cursor{topic, rules}, stands_for, nobody_asks{}}
      .succeeds();
}

/// How many wildcards a filter has.
constexpr std::size_t count_wildcards(std::string_view body, dialect rules) noexcept {
  std::size_t count = 0;
  for (token_cursor at{body, rules}; !at.is_over(); at.next()) count += at.is_plain() ? 0U : 1U;
  return count;
}

/// Writes down what the first wildcards take, as many as there is room for.
struct captures {
  std::span<std::string_view> into;

  constexpr void operator()(std::size_t wildcard, const token_cursor& from,
                            const token_cursor& behind) const noexcept {
    if (wildcard < into.size()) into[wildcard] = from.until(behind);
  }
};

/// Writes down what the wildcards of a filter take of a topic that it matches.
constexpr void capture(std::string_view body, std::string_view topic, dialect rules,
                       std::span<std::string_view> into) noexcept {
  (void)layout{token_cursor{body, rules}, token_cursor{topic, rules}, stands_for, captures{into}}
      .succeeds();
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_FILTER_MATCH_HPP
