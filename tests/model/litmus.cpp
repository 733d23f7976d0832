// SPDX-License-Identifier: MIT
#include "litmus.hpp"

#include <mailroom/detail/platform.hpp>

#include <stdexcept> // runtime_error

namespace model {
namespace {

using mailroom::detail::atomic;
using mailroom::detail::fence;
using enum std::memory_order;
using number = unsigned;

bool seen = false;

/// Two locations, which is enough for most.
struct xy {
  atomic<number> x;
  atomic<number> y;
};

/// Store buffering: each writes one and reads the other. Both miss the other's?
program store_buffering(order write, order read, bool left_fence, bool right_fence, order how) {
  return [=] {
    xy m;
    number a = 1, b = 1;
    run({[&] {
           m.x.store(1, write);
           if (left_fence) fence(how);
           a = m.y.load(read);
         },
         [&] {
           m.y.store(1, write);
           if (right_fence) fence(how);
           b = m.x.load(read);
         }});
    saw(a == 0 && b == 0);
  };
}

/// Store buffering with a fence on one side that reaches into the other.
void buffering_with_fence_for_all() {
  xy m;
  number a = 1, b = 1;
  run({[&] {
         m.x.store(1, relaxed);
         a = m.y.load(relaxed);
       },
       [&] {
         m.y.store(1, relaxed);
         mailroom::detail::fence_all_threads();
         b = m.x.load(relaxed);
       }});
  saw(a == 0 && b == 0);
}

/// Message passing by relaxed accesses, and such a fence in the reader, before or behind its first.
program passing_with_fence_for_all(bool between) {
  return [=] {
    xy m;
    number flag = 0, data = 1;
    run({[&] {
           m.x.store(1, relaxed);
           m.y.store(1, relaxed);
         },
         [&] {
           if (!between) mailroom::detail::fence_all_threads();
           flag = m.y.load(relaxed);
           if (between) mailroom::detail::fence_all_threads();
           data = m.x.load(relaxed);
         }});
    saw(flag == 1 && data == 0);
  };
}

/// Message passing: data, then a flag. Is the flag seen and the data not?
program message_passing(order write, order read, order before, order after) {
  return [=] {
    xy m;
    number flag = 0, data = 1;
    run({[&] {
           m.x.store(1, relaxed);
           if (before != relaxed) fence(before);
           m.y.store(1, write);
         },
         [&] {
           flag = m.y.load(read);
           if (after != relaxed) fence(after);
           data = m.x.load(relaxed);
         }});
    saw(flag == 1 && data == 0);
  };
}

/// Two writers, two readers that disagree on who came first.
program independent_reads(order write, order read, bool fences) {
  return [=] {
    xy m;
    number a = 0, b = 1, c = 0, d = 1;
    run({[&] { m.x.store(1, write); }, [&] { m.y.store(1, write); },
         [&] {
           a = m.x.load(read);
           if (fences) fence(seq_cst);
           b = m.y.load(read);
         },
         [&] {
           c = m.y.load(read);
           if (fences) fence(seq_cst);
           d = m.x.load(read);
         }});
    saw(a == 1 && b == 0 && c == 1 && d == 0);
  };
}

/// Both write both, in opposite orders. Does each lose where it was last?
program writes_of_both(order write, bool fences) {
  return [=] {
    xy m;
    run({[&] {
           m.x.store(1, write);
           if (fences) fence(seq_cst);
           m.y.store(2, write);
         },
         [&] {
           m.y.store(1, write);
           if (fences) fence(seq_cst);
           m.x.store(2, write);
         }});
    saw(m.x.load(relaxed) == 1 && m.y.load(relaxed) == 1);
  };
}

/// R: writes and a read. The second write to y is last, and yet x is not seen.
program write_then_read(order write, order read, bool fences) {
  return [=] {
    xy m;
    number a = 1;
    run({[&] {
           m.x.store(1, write);
           if (fences) fence(seq_cst);
           m.y.store(1, write);
         },
         [&] {
           m.y.store(2, write);
           if (fences) fence(seq_cst);
           a = m.x.load(read);
         }});
    saw(m.y.load(relaxed) == 2 && a == 0);
  };
}

/// S: a write that is seen comes, in modification order, behind one that follows the look.
program seen_then_overwritten(order write, order read) {
  return [=] {
    xy m;
    number a = 0;
    run({[&] {
           m.x.store(2, relaxed);
           m.y.store(1, write);
         },
         [&] {
           a = m.y.load(read);
           m.x.store(1, relaxed);
         }});
    saw(a == 1 && m.x.load(relaxed) == 2);
  };
}

/// Three threads: what one hands on, the next hands on again.
program relay(order first, order second) {
  return [=] {
    xy m;
    atomic<number> z;
    number a = 0, b = 0, c = 1;
    run({[&] {
           z.store(1, relaxed);
           m.x.store(1, first);
         },
         [&] {
           a = m.x.load(second == release ? acquire : relaxed);
           m.y.store(1, second);
         },
         [&] {
           b = m.y.load(acquire);
           c = z.load(relaxed);
         }});
    saw(a == 1 && b == 1 && c == 0);
  };
}

/// A release, then something else written to the flag by `middle`; the reader acquires that.
program release_sequence(program middle_of(atomic<number>&)) {
  return [=] {
    xy m;
    number flag = 0, data = 1;
    run({[&] {
           m.x.store(1, relaxed);
           m.y.store(1, release);
         },
         middle_of(m.y),
         [&] {
           flag = m.y.load(acquire);
           data = m.x.load(relaxed);
         }});
    saw(flag == 2 && data == 0);
  };
}

program load_buffering(order read, order write) {
  return [=] {
    xy m;
    number a = 0, b = 0;
    run({[&] {
           a = m.x.load(read);
           m.y.store(1, write);
         },
         [&] {
           b = m.y.load(read);
           m.x.store(1, write);
         }});
    saw(a == 1 && b == 1);
  };
}

/// Dekker, with a read-modify-write of another word where the fence should be.
program exchange_is_no_fence(order how) {
  return [=] {
    xy m;
    atomic<number> other;
    number a = 1, b = 1;
    run({[&] {
           m.x.store(1, relaxed);
           (void)other.fetch_add(1, how);
           a = m.y.load(relaxed);
         },
         [&] {
           m.y.store(1, relaxed);
           fence(seq_cst);
           b = m.x.load(relaxed);
         }});
    saw(a == 0 && b == 0);
  };
}

/// The sleeper registers and looks; the notifier publishes by an RMW and looks for sleepers.
program publish_then_look(order publish, order look, bool sleeper_fence) {
  return [=] {
    xy m;
    number message = 1, sleepers = 1;
    run({[&] {
           (void)m.y.fetch_add(1, relaxed);
           if (sleeper_fence) fence(seq_cst);
           message = m.x.load(acquire);
         },
         [&] {
           (void)m.x.fetch_add(1, publish);
           sleepers = m.y.load(look);
         }});
    saw(message == 0 && sleepers == 0);
  };
}

void add_coherence(std::vector<litmus>& all) {
  all.push_back({"CoRR: two loads go back in time", false, [] {
                   xy m;
                   number a = 0, b = 1;
                   run({[&] { m.x.store(1, relaxed); },
                        [&] {
                          a = m.x.load(relaxed);
                          b = m.x.load(relaxed);
                        }});
                   saw(a == 1 && b == 0);
                 }});
  all.push_back({"CoRR: two readers see two writes in opposite orders", false, [] {
                   xy m;
                   number a = 0, b = 0, c = 0, d = 0;
                   run({[&] { m.x.store(1, relaxed); }, [&] { m.x.store(2, relaxed); },
                        [&] {
                          a = m.x.load(relaxed);
                          b = m.x.load(relaxed);
                        },
                        [&] {
                          c = m.x.load(relaxed);
                          d = m.x.load(relaxed);
                        }});
                   saw(a == 1 && b == 2 && c == 2 && d == 1);
                 }});
  all.push_back({"CoWR: a thread misses its own store", false, [] {
                   xy m;
                   number a = 1;
                   run({[&] {
                          m.x.store(1, relaxed);
                          a = m.x.load(relaxed);
                        },
                        [] {}});
                   saw(a == 0);
                 }});
  all.push_back({"CoWW: a thread's stores change places", false, [] {
                   xy m;
                   run({[&] {
                          m.x.store(1, relaxed);
                          m.x.store(2, relaxed);
                        },
                        [] {}});
                   saw(m.x.load(relaxed) == 1);
                 }});
  all.push_back({"CoRW: a store comes before what its thread has read", false, [] {
                   xy m;
                   number a = 0;
                   run({[&] { m.x.store(1, relaxed); },
                        [&] {
                          a = m.x.load(relaxed);
                          m.x.store(2, relaxed);
                        }});
                   saw(a == 1 && m.x.load(relaxed) == 1);
                 }});
  all.push_back({"a store is put in before one that was executed earlier", true, [] {
                   xy m;
                   number a = 0;
                   run({[&] { m.x.store(1, relaxed); },
                        [&] {
                          m.x.store(2, relaxed);
                          a = m.x.load(relaxed);
                        },
                        [] {}});
                   saw(a == 2 && m.x.load(relaxed) == 1);
                 }});
}

void add_atomicity(std::vector<litmus>& all) {
  all.push_back({"two increments make one", false, [] {
                   xy m;
                   const auto add = [&] { (void)m.x.fetch_add(1, relaxed); };
                   run({add, add});
                   saw(m.x.load(relaxed) != 2);
                 }});
  all.push_back({"load and store lose an increment", true, [] {
                   xy m;
                   const auto add = [&] { m.x.store(m.x.load(seq_cst) + 1, seq_cst); };
                   run({add, add});
                   saw(m.x.load(relaxed) != 2);
                 }});
  all.push_back({"a store comes between an exchange and what it read", false, [] {
                   xy m;
                   number old = 9, a = 0, b = 0;
                   run({[&] { old = m.x.exchange(1, relaxed); }, [&] { m.x.store(2, relaxed); },
                        [&] {
                          a = m.x.load(relaxed);
                          b = m.x.load(relaxed);
                        }});
                   saw(old == 0 && a == 2 && b == 1);
                 }});
  all.push_back({"a compare-exchange fails by an old value", true, [] {
                   xy m;
                   number flag = 0, found = 0;
                   bool done = true;
                   run({[&] {
                          m.x.store(1, relaxed);
                          m.y.store(1, relaxed);
                        },
                        [&] {
                          flag = m.y.load(relaxed);
                          found = 1;
                          done = m.x.compare_exchange(found, 2, relaxed, relaxed);
                        }});
                   saw(flag == 1 && !done && found == 0);
                 }});
  all.push_back({"a compare-exchange succeeds twice from one value", false, [] {
                   xy m;
                   bool a = false, b = false;
                   const auto take = [&](bool& done) {
                     number expected = 0;
                     done = m.x.compare_exchange(expected, 1, relaxed, relaxed);
                   };
                   run({[&] { take(a); }, [&] { take(b); }});
                   saw(a && b);
                 }});
  all.push_back({"a failed compare-exchange acquires nothing when relaxed", true, [] {
                   xy m;
                   number expected = 7, data = 1;
                   run({[&] {
                          m.x.store(1, relaxed);
                          m.y.store(1, release);
                        },
                        [&] {
                          (void)m.y.compare_exchange(expected, 2, acq_rel, relaxed);
                          data = m.x.load(relaxed);
                        }});
                   saw(expected == 1 && data == 0);
                 }});
}

void add_release_sequences(std::vector<litmus>& all) {
  all.push_back({"a relaxed RMW keeps the release sequence", false,
                 release_sequence([](atomic<number>& y) -> program {
                   return [&y] {
                     number expected = 1;
                     (void)y.compare_exchange(expected, 2, relaxed, relaxed);
                   };
                 })});
  all.push_back({"another thread's store ends the release sequence", true,
                 release_sequence(
                     [](atomic<number>& y) -> program { return [&y] { y.store(2, relaxed); }; })});
  all.push_back({"C++20: the releasing thread's own relaxed store ends it too", true, [] {
                   xy m;
                   number flag = 0, data = 1;
                   run({[&] {
                          m.x.store(1, relaxed);
                          m.y.store(1, release);
                          m.y.store(2, relaxed);
                        },
                        [&] {
                          flag = m.y.load(acquire);
                          data = m.x.load(relaxed);
                        }});
                   saw(flag == 2 && data == 0);
                 }});
}

void add_ordering(std::vector<litmus>& all) {
  all.push_back({"SB with a fence for all threads", false, buffering_with_fence_for_all});
  all.push_back({"MP with a fence for all between", false, passing_with_fence_for_all(true)});
  all.push_back({"MP with a fence for all before", true, passing_with_fence_for_all(false)});
  all.push_back({"SB relaxed", true, store_buffering(relaxed, relaxed, false, false, relaxed)});
  all.push_back(
      {"SB release/acquire", true, store_buffering(release, acquire, false, false, relaxed)});
  all.push_back({"SB seq_cst", false, store_buffering(seq_cst, seq_cst, false, false, relaxed)});
  all.push_back({"SB seq_cst stores, acquire loads", true,
                 store_buffering(seq_cst, acquire, false, false, relaxed)});
  all.push_back(
      {"SB with seq_cst fences", false, store_buffering(relaxed, relaxed, true, true, seq_cst)});
  all.push_back(
      {"SB with one seq_cst fence", true, store_buffering(relaxed, relaxed, true, false, seq_cst)});
  all.push_back(
      {"SB with acq_rel fences", true, store_buffering(relaxed, relaxed, true, true, acq_rel)});
  all.push_back({"MP relaxed", true, message_passing(relaxed, relaxed, relaxed, relaxed)});
  all.push_back(
      {"MP release, acquire", false, message_passing(release, acquire, relaxed, relaxed)});
  all.push_back({"MP release, relaxed", true, message_passing(release, relaxed, relaxed, relaxed)});
  all.push_back({"MP relaxed, acquire", true, message_passing(relaxed, acquire, relaxed, relaxed)});
  all.push_back({"MP fences", false, message_passing(relaxed, relaxed, release, acquire)});
  all.push_back({"MP release fence, acquire load", false,
                 message_passing(relaxed, acquire, release, relaxed)});
  all.push_back({"MP release store, acquire fence", false,
                 message_passing(release, relaxed, relaxed, acquire)});
  all.push_back(
      {"MP fences the wrong way round", true, message_passing(relaxed, relaxed, acquire, release)});
  all.push_back({"MP seq_cst fence, relaxed load", true,
                 message_passing(relaxed, relaxed, seq_cst, relaxed)});
  all.push_back({"IRIW acquire", true, independent_reads(release, acquire, false)});
  all.push_back({"IRIW seq_cst", false, independent_reads(seq_cst, seq_cst, false)});
  all.push_back({"IRIW with seq_cst fences", false, independent_reads(relaxed, relaxed, true)});
  all.push_back(
      {"IRIW seq_cst stores, acquire loads", true, independent_reads(seq_cst, acquire, false)});
  all.push_back({"2+2W relaxed", true, writes_of_both(relaxed, false)});
  all.push_back({"2+2W release", true, writes_of_both(release, false)});
  all.push_back({"2+2W seq_cst", false, writes_of_both(seq_cst, false)});
  all.push_back({"2+2W with seq_cst fences", false, writes_of_both(relaxed, true)});
  all.push_back({"R release/acquire", true, write_then_read(release, acquire, false)});
  all.push_back({"R seq_cst", false, write_then_read(seq_cst, seq_cst, false)});
  all.push_back({"R with seq_cst fences", false, write_then_read(relaxed, relaxed, true)});
  all.push_back({"S relaxed", true, seen_then_overwritten(relaxed, relaxed)});
  all.push_back({"S release/acquire", false, seen_then_overwritten(release, acquire)});
  all.push_back({"WRC release/acquire", false, relay(release, release)});
  all.push_back({"WRC with a relaxed middle", true, relay(release, relaxed)});
  all.push_back({"an acq_rel RMW is no fence", true, exchange_is_no_fence(acq_rel)});
  all.push_back({"a seq_cst RMW is no fence", true, exchange_is_no_fence(seq_cst)});
  all.push_back(
      {"publish by a seq_cst RMW, then look", false, publish_then_look(seq_cst, seq_cst, true)});
  all.push_back(
      {"publish by an acq_rel RMW, then look", true, publish_then_look(acq_rel, seq_cst, true)});
  all.push_back(
      {"publish, then look with acquire", true, publish_then_look(seq_cst, acquire, true)});
  all.push_back({"R-50: publish, then look; the sleeper has no fence", true,
                 publish_then_look(seq_cst, seq_cst, false)});
  all.push_back({"LB acquire", false, load_buffering(acquire, relaxed)});
  all.push_back({"LB release", false, load_buffering(relaxed, release)});
}

} // namespace

void saw(bool outcome) { seen = seen || outcome; }

const std::vector<litmus>& all_litmus() {
  static const std::vector<litmus> all = [] {
    std::vector<litmus> made;
    add_coherence(made);
    add_atomicity(made);
    add_release_sequences(made);
    add_ordering(made);
    return made;
  }();
  return all;
}

bool can_happen(const litmus& one, const options& how) {
  seen = false;
  const result found = check(how, one.body);
  if (!found.ok) throw std::runtime_error{std::string{one.name} + ": " + found.message};
  return seen;
}

} // namespace model
