// SPDX-License-Identifier: MIT
#include "known.hpp"

#include <mailroom/detail/mutex.hpp>
#include <mailroom/detail/platform.hpp>

#include <stdexcept> // runtime_error

namespace model {
namespace {

using mailroom::detail::atomic;
using mailroom::detail::futex;
using mailroom::detail::lock_guard;
using mailroom::detail::mutex;
using mailroom::detail::never;
using enum std::memory_order;

void write(plain& object) { object.write(code_place::current()); }
void read(plain& object) { object.read(code_place::current()); }

/// Data and a flag. `late` writes the data once more, after the flag.
program flagged_data(order raise, order look, bool late) {
  return [=] {
    plain data;
    atomic<unsigned> flag;
    run({[&] {
           if (!late) write(data);
           flag.store(1, raise);
           if (late) write(data);
         },
         [&] {
           if (flag.load(look) == 1) write(data);
         }});
  };
}

/// The last of two that let go ends the object.
program counted_object(order drop) {
  return [=] {
    auto* const object = new atomic<unsigned>{2};
    const auto let_go = [=] {
      if (object->fetch_sub(1, drop) == 1) delete object;
    };
    run({let_go, let_go});
  };
}

/// Sleeps until a flag is up; `own_word` sleeps on a word that nobody changes.
program sleep_until_flag(bool own_word, bool wakes) {
  return [=] {
    futex flag;
    futex other;
    run({[&] {
           while (flag.word.load(acquire) == 0) {
             (void)futex_wait(own_word ? other : flag, 0, never);
           }
         },
         [&] {
           flag.word.store(1, release);
           if (wakes) futex_wake_one(own_word ? other : flag);
         }});
  };
}

void add_races(std::vector<known_program>& all) {
  all.push_back({"two threads write", "race: two writes", {}, [] {
                   plain data;
                   run({[&] { write(data); }, [&] { write(data); }});
                 }});
  all.push_back({"one writes, then another reads", "race", {}, [] {
                   plain data;
                   run({[&] { write(data); }, [&] { read(data); }});
                 }});
  all.push_back({"one reads, then another writes", "race: a write and a read", {}, [] {
                   plain data;
                   run({[&] { read(data); }, [&] { write(data); }});
                 }});
  all.push_back({"two threads read", nullptr, {}, [] {
                   plain data;
                   run({[&] { read(data); }, [&] { read(data); }});
                 }});
  all.push_back({"data behind a flag", nullptr, {}, flagged_data(release, acquire, false)});
  all.push_back({"data behind a relaxed flag", "race", {}, flagged_data(relaxed, acquire, false)});
  all.push_back(
      {"data behind a flag read relaxed", "race", {}, flagged_data(release, relaxed, false)});
  all.push_back(
      {"data written right after the flag", "race", {}, flagged_data(release, acquire, true)});
  all.push_back({"data under a lock", nullptr, {}, [] {
                   plain data;
                   mutex lock;
                   const auto use = [&] {
                     const lock_guard held{lock};
                     write(data);
                   };
                   run({use, use});
                 }});
}

void add_lives(std::vector<known_program>& all) {
  all.push_back({"the last reference ends it", nullptr, {}, counted_object(acq_rel)});
  all.push_back(
      {"without acquire it ends too soon", "ends while another", {}, counted_object(release)});
  all.push_back(
      {"without release it ends too soon", "ends while another", {}, counted_object(acquire)});
  all.push_back({"an atomic is used after its end", "an atomic", {}, [] {
                   auto* const object = new atomic<unsigned>;
                   run({[=] { delete object; }, [=] { object->store(1, relaxed); }});
                 }});
  all.push_back({"an atomic is used before its beginning is seen", "beginning", {}, [] {
                   atomic<atomic<unsigned>*> shown;
                   atomic<unsigned>* made = nullptr;
                   run({[&] {
                          made = new atomic<unsigned>;
                          shown.store(made, relaxed);
                        },
                        [&] {
                          if (auto* const seen = shown.load(relaxed)) seen->store(1, relaxed);
                        }});
                   delete made;
                 }});
  all.push_back({"an address that is not there yet", "where nothing is", {}, [] {
                   atomic<unsigned*> shown;
                   unsigned value = 7;
                   run({[&] { shown.store(&value, release); },
                        [&] {
                          unsigned* volatile place = shown.load(acquire);
                          *place = 8;
                        }});
                 }});
  all.push_back({"something is left", "leak", {}, [] {
                   int* volatile lost = new int;
                   (void)lost;
                 }});
  all.push_back({"memory is given back twice", "twice", {}, [] {
                   int* const once = new int;
                   int* volatile again = once;
                   delete once;
                   delete again;
                 }});
  all.push_back({"an exception leaves a thread", "exception", {}, [] {
                   run({[] { throw std::runtime_error{"lost"}; }});
                 }});
}

void add_waits(std::vector<known_program>& all) {
  all.push_back({"two locks in opposite orders", "deadlock", {}, [] {
                   mutex a, b;
                   const auto both = [](mutex& first, mutex& second) {
                     const lock_guard outer{first};
                     const lock_guard inner{second};
                   };
                   run({[&] { both(a, b); }, [&] { both(b, a); }});
                 }});
  all.push_back({"a sleeper on the word that changes", nullptr, {}, sleep_until_flag(false, true)});
  all.push_back({"R-50: a sleeper that may wake without a reason",
                 nullptr,
                 {.spurious = 1},
                 sleep_until_flag(false, true)});
  all.push_back({"a sleeper that nobody wakes", "deadlock", {}, sleep_until_flag(false, false)});
  all.push_back(
      {"a sleeper that was woken before it slept", "deadlock", {}, sleep_until_flag(true, true)});
  for (const bool own : {true, false}) {
    all.push_back({own ? "who is woken sees the word as it was then"
                       : "who is woken need not see another word as it was then",
                   own ? nullptr : "the other",
                   {},
                   [own] {
                     futex bed, other;
                     run({[&] {
                            if (!futex_wait(bed, 0, 1000)) return;
                            require((own ? bed : other).word.load(relaxed) == 1, "the other");
                          },
                          [&] {
                            other.word.store(1, relaxed);
                            bed.word.store(1, relaxed);
                            futex_wake_one(bed);
                          }});
                   }});
  }
  all.push_back({"a sleeper with a deadline", nullptr, {}, [] {
                   futex word;
                   run({[&] {
                          while (futex_wait(word, 0, 1000)) {
                          }
                        },
                        [] {}});
                 }});
  all.push_back({"a loop that waits for a flag", nullptr, {}, [] {
                   atomic<unsigned> flag;
                   run({[&] {
                          while (flag.load(relaxed) == 0) await_change();
                        },
                        [&] { flag.store(1, relaxed); }});
                 }});
  all.push_back({"a loop that waits for nothing", "deadlock", {}, [] {
                   atomic<unsigned> flag;
                   run({[&] {
                          while (flag.load(relaxed) != 2) await_change();
                        },
                        [&] { flag.store(1, relaxed); }});
                 }});
  all.push_back({"a loop that waits may see one change and not the other", "the other", {}, [] {
                   atomic<unsigned> a, b, go;
                   run({[&] {
                          (void)b.load(relaxed);
                          (void)a.load(relaxed);
                          go.store(1, release);
                          await_change();
                          if (b.load(relaxed) == 1) require(a.load(relaxed) == 1, "the other");
                        },
                        [&] {
                          while (go.load(acquire) == 0) await_change();
                          a.store(1, relaxed);
                          b.store(1, relaxed);
                        }});
                 }});
  all.push_back({"a loop that does not end", "no end", {.longest = 200}, [] {
                   atomic<unsigned> flag;
                   run({[&] {
                          while (flag.load(relaxed) != 2) flag.store(1, relaxed);
                        },
                        [] {}});
                 }});
  all.push_back({"a thread that stands still with a lock", "deadlock", {.parked = 1}, [] {
                   mutex lock;
                   atomic<unsigned> inside;
                   const auto use = [&] {
                     const lock_guard held{lock};
                     inside.store(1, relaxed);
                   };
                   run({use, use});
                 }});
  all.push_back({"a thread that stands still alone", nullptr, {.parked = 1}, [] {
                   atomic<unsigned> a, b;
                   run({[&] { a.store(1, relaxed); }, [&] { b.store(1, relaxed); }});
                 }});
}

} // namespace

const std::vector<known_program>& all_known() {
  static const std::vector<known_program> all = [] {
    std::vector<known_program> made;
    add_races(made);
    add_lives(made);
    add_waits(made);
    return made;
  }();
  return all;
}

bool is_judged_rightly(const known_program& one, options how) {
  how.parked = one.how.parked;
  how.spurious = one.how.spurious;
  how.longest = one.how.longest;
  const result found = check(how, one.body);
  if (one.verdict == nullptr) return found.ok && found.complete;
  return !found.ok && found.message.find(one.verdict) != std::string::npos;
}

} // namespace model
