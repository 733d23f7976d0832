// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_FILTER_RELATION_HPP
#define MAILROOM_TOPIC_FILTER_RELATION_HPP

// What two filters of one dialect have to do with each other: is there a name that both match; does
// one match all that the other matches?
//
// Overlap. If both have a wildcard for several, what stands between the first and the last of each
// can always be written one after the other, so only the beginnings and the ends can be at odds. If
// one of them has none it is a row of words, some of which are free, and the other is laid beside
// it as beside a topic.
//
// Cover. The hardest name of the narrow filter has, where a wildcard stands, words that nobody has
// seen before: only a wildcard of the wide one takes them. How many, for a `#`? None, or very many;
// who takes both takes all between (I1). The wide filter is read as a machine that can be at many
// places at once. At each `#` of the narrow one every machine goes on for none, and one new machine
// for very many stands for the worst of them (I2). In the end all must have arrived.
//
//      narrow   a.*.#.b     none:       a ? b          very many:  a ? ? ? ? ? b
//      wide     a.#.b       takes it                   takes it              so it covers
//
// Invariants
//   (I1)  Let a filter take L R, and L z..z R with very many unseen words z. Then it takes L z R
//         and, word by word, any number of z. Look at the gap between L and R. If a `#` is there
//         it takes the z. If not, a block U V lies across it, U on the end of L. In L z..z R some
//         `#` takes z; let it stand before that block (else read all this backwards), which thus
//         begins with q words z (or within R, q = 0). What is before the block may lie as in L R,
//         what is behind it as in L z..z R or as in L R, and the block itself,
//           for q <= 1               as in L z..z R;
//           for q >= length of U     with U, which is all `*`, one word further, V as in L R;
//           else                     with its first q words, all `*`, on the last q - 1 of L and on
//                                    z, the others as in L z..z R.
//   (I2)  Among places the last one at a `#` matters: it takes all that the earlier ones do. After
//         very many unseen words a machine is there and at the `*` behind it, and nowhere else. So
//         of such machines the one that came least far is the worst.
//
// Both are exact for names of any length. Where only names beyond 255 bytes (amqp) or 65535 bytes
// (mqtt) make the difference, overlap says yes and cover says no.
//
// Decision: no automaton of both filters, searched for a name. It has a state for each set of
//   places that can occur, and there is no small bound on these.

#include <mailroom/detail/config.hpp>
#include <mailroom/topic/filter_syntax.hpp>
#include <mailroom/topic/filter_match.hpp>

#include <algorithm>   // max, min
#include <array>       // array
#include <bitset>      // bitset
#include <cstddef>     // size_t
#include <string_view> // string_view

namespace mailroom::inline MAILROOM_ABI::detail {

constexpr bool is_several(const token_cursor& at) noexcept {
  return at.kind() == token_kind::many || at.kind() == token_kind::some;
}

constexpr bool has_several(token_cursor at) noexcept {
  while (!at.is_over() && !is_several(at)) at.next();
  return !at.is_over();
}

// ---- Overlap

/// Is there a word for which both tokens stand?
constexpr bool can_agree(const token_cursor& a, const token_cursor& b) noexcept {
  return !a.is_plain() || !b.is_plain() || a.token() == b.token();
}

/// Can the tokens before the first wildcard for several agree? Both filters have one.
constexpr bool begins_agree(token_cursor a, token_cursor b) noexcept {
  for (; !is_several(a) && !is_several(b); a.next(), b.next()) {
    if (!can_agree(a, b)) return false;
  }
  return true;
}

/// The tokens behind the last wildcard for several.
struct filter_end {
  token_cursor at;
  std::size_t length = 0;

  constexpr explicit filter_end(token_cursor filter) noexcept : at{filter} {
    while (!filter.is_over()) {
      const bool begins_here = is_several(filter);
      filter.next();
      length = begins_here ? 0 : length + 1;
      if (begins_here) at = filter;
    }
  }
};

/// Can the tokens behind it agree?
constexpr bool ends_agree(token_cursor a, token_cursor b) noexcept {
  filter_end one{a};
  filter_end other{b};
  for (; one.length > other.length; --one.length) one.at.next();
  for (; other.length > one.length; --other.length) other.at.next();
  for (; !one.at.is_over(); one.at.next(), other.at.next()) {
    if (!can_agree(one.at, other.at)) return false;
  }
  return true;
}

/// Can the filter match what a row of tokens, none of them for several, stands for?
constexpr bool overlaps_row(token_cursor filter, token_cursor row) noexcept {
  token_cursor second = row;
  if (!row.is_over()) second.next();
  const bool is_one_word = !row.is_over() && second.is_over();
  const auto fits = [is_one_word](const token_cursor& token, const token_cursor& word) {
    if (is_one_word && token.is_plain() && token.token().empty()) return false; // is no name
    return can_agree(token, word);
  };
  return layout{filter, row, fits, nobody_asks{}}.succeeds();
}

/// Is there a name that both filters match?
constexpr bool overlap(std::string_view a, std::string_view b, dialect rules) noexcept {
  if (rules == dialect::exact) return a == b;
  if (is_hidden(a, b, rules) || is_hidden(b, a, rules)) return false;
  const token_cursor one{a, rules};
  const token_cursor other{b, rules};
  if (!has_several(one)) return overlaps_row(other, one);
  if (!has_several(other)) return overlaps_row(one, other);
  return begins_agree(one, other) && ends_agree(one, other);
}

// ---- Cover

/// Does a token stand for every word for which the other one does?
constexpr bool covers_token(const token_cursor& wide, const token_cursor& narrow) noexcept {
  if (wide.kind() == token_kind::one) return true;
  return narrow.is_plain() && wide.token() == narrow.token();
}

/// Cover, where both filters end with the only wildcard for several. `last` is what that of the
/// narrow one stands for.
constexpr bool covers_tail(token_cursor wide, token_cursor narrow, token_kind last) noexcept {
  for (;;) {
    const token_kind kind = is_several(narrow) ? last : token_kind::one;
    if (wide.kind() == token_kind::many) return true;
    if (kind == token_kind::many) return false;
    if (wide.kind() == token_kind::some) return true;
    if (!covers_token(wide, narrow)) return false;
    wide.next();
    if (kind == token_kind::some) {
      last = token_kind::many; // one word of its own is covered
    } else {
      narrow.next();
    }
  }
}

/// A filter of dialect amqp as a machine. At its place p the tokens before p have found words.
class amqp_machine {
public:
  explicit amqp_machine(std::string_view filter) noexcept : filter_{filter} {
    for (token_cursor at{filter, dialect::amqp}; !at.is_over(); at.next()) {
      kinds_[size_++] = at.kind();
    }
    for (std::size_t p = size_; p-- != 0;) {
      if (kinds_[p] == token_kind::plain) continue;
      reach_[p] = reach_[p + 1];
      if (kinds_[p] == token_kind::many && reach_[p] == 0) reach_[p] = p + 1;
    }
  }

  /// Does it match all names that `narrow` stands for?
  bool covers(std::string_view narrow) const noexcept {
    const token_cursor begin{narrow, dialect::amqp};
    if (!needs_more(begin)) return covers(begin, most);
    std::size_t number = 0;
    for (token_cursor at = begin; !at.is_over(); at.next(), ++number) {
      if (is_several(at) && !covers(begin, number)) return false;
    }
    return true;
  }

private:
  static constexpr std::size_t most = 256; // tokens in 255 bytes
  using places = std::bitset<most + 1>;

  /// Is an empty token all that there is beside the `#`? It alone is no name.
  static bool needs_more(token_cursor at) noexcept {
    std::size_t words = 0;
    bool has_text = false;
    for (; !at.is_over(); at.next()) {
      if (is_several(at)) continue;
      ++words;
      has_text = has_text || !at.token().empty();
    }
    return words == 1 && !has_text;
  }

  /// The same, where the `#` with a certain number stands for one word at least.
  bool covers(token_cursor narrow, std::size_t some) const noexcept {
    std::array<places, most / 2 + 1> machines;
    std::size_t count = 1;
    machines[0] = with_none_taken(places{1});
    for (std::size_t number = 0; !narrow.is_over(); narrow.next(), ++number) {
      if (!is_several(narrow) || number == some) {
        const places fitting = places_for(narrow);
        for (std::size_t m = 0; m != count; ++m) machines[m] = step(machines[m], fitting);
      }
      if (!is_several(narrow)) continue;
      std::size_t worst = most + 1;
      for (std::size_t m = 0; m != count; ++m) worst = std::min(worst, furthest(machines[m]));
      if (worst == 0) return false;
      machines[count++] = after_unseen_words(worst - 1);
    }
    for (std::size_t m = 0; m != count; ++m) {
      if (!machines[m][size_]) return false;
    }
    return true;
  }

  /// Where a token stands for all that `narrow` does, or for an unseen word if that is a wildcard.
  places places_for(const token_cursor& narrow) const noexcept {
    places fitting;
    std::size_t p = 0;
    for (token_cursor at{filter_, dialect::amqp}; !at.is_over(); at.next(), ++p) {
      fitting[p] = covers_token(at, narrow);
    }
    return fitting;
  }

  places step(const places& from, const places& fitting) const noexcept {
    places to;
    for (std::size_t p = 0; p != size_; ++p) {
      if (!from[p]) continue;
      if (kinds_[p] == token_kind::many) {
        to[p] = true;
      } else if (fitting[p]) {
        to[p + 1] = true;
      }
    }
    return with_none_taken(to);
  }

  /// A `#` may take nothing.
  places with_none_taken(places at) const noexcept {
    for (std::size_t p = 0; p != size_; ++p) {
      if (at[p] && kinds_[p] == token_kind::many) at[p + 1] = true;
    }
    return at;
  }

  /// One more than the place of the last `#` that is reached when only unseen words come; or 0.
  std::size_t furthest(const places& from) const noexcept {
    std::size_t found = 0;
    for (std::size_t p = 0; p != size_; ++p) {
      if (from[p]) found = std::max(found, reach_[p]);
    }
    return found;
  }

  places after_unseen_words(std::size_t many) const noexcept { // (I2)
    places at;
    at[many] = true;
    at[++many] = true;
    while (many != size_ && kinds_[many] == token_kind::one) at[++many] = true;
    return at;
  }

  std::string_view filter_;
  std::size_t size_ = 0;
  std::array<token_kind, most> kinds_;
  std::array<std::size_t, most + 1> reach_{}; // from a place to furthest
};

/// Does a filter match all names that another one matches?
constexpr bool cover(std::string_view wide, std::string_view narrow, dialect rules) noexcept {
  if (rules == dialect::exact) return wide == narrow;
  if (is_hidden(wide, narrow, rules)) return false;
  const token_cursor outer{wide, rules};
  const token_cursor inner{narrow, rules};
  if (!has_several(inner)) return layout{outer, inner, covers_token, nobody_asks{}}.succeeds();
  if (!has_several(outer)) return false;
  if (rules == dialect::amqp) return amqp_machine{wide}.covers(narrow);
  const bool needs_one = rules == dialect::nats || narrow == "#" || narrow == "/#"; // "" is no name
  return covers_tail(outer, inner, needs_one ? token_kind::some : token_kind::many);
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_FILTER_RELATION_HPP
