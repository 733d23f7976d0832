// SPDX-License-Identifier: MIT
// treegrep: a parallel text search, as an example of a whole program built from mailroom.
//
// A mailbox takes files from the thread that walks to the threads that search; a dispatcher takes
// what they found to subscribers that print it, count it, and show how far the search is.

#include <mailroom/mailroom.hpp>

#include "interrupt.hpp"
#include "options.hpp"
#include "output.hpp"
#include "pattern.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "search.hpp"
#include "tally.hpp"
#include "terminal.hpp"
#include "walk.hpp"

#include <signal.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <regex>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace treegrep {

using subscription = mailroom::subscription<shared_report>;
using delivery = mailroom::delivery<shared_report>;

/// Closes on every way out, so that no thread waits for ever.
template <class Closable>
struct closer {
  Closable& what;
  ~closer() { what.close(); }
};

class search_job {
public:
  search_job(const options& wanted, pattern what) : wanted_{wanted}, pattern_{std::move(what)} {}

  /// Searches, prints, and returns the exit status.
  int run() {
    const interrupt ctrl_c{stop_};
    const auto start = std::chrono::steady_clock::now();
    search_and_publish();
    conclude(std::chrono::steady_clock::now() - start);
    return exit_status(ctrl_c.caught());
  }

private:
  /// The subscribers. They get every report, however late they are: all publishers wait for them.
  void search_and_publish() {
    const auto complaints =
        reports_.on("skip.*", [this](const shared_report& skipped) { complain(*skipped); });
    subscription everything = reports_.subscribe(">");
    subscription matches;
    subscription latest;
    if (!wanted_.summary) matches = reports_.subscribe("match.*", {.capacity = 64});
    if (screen_.is_terminal()) latest = reports_.subscribe(">", lossy);

    std::jthread counter;
    std::jthread printer;
    std::jthread watcher;
    const closer<report_dispatcher> over{reports_};
    counter = std::jthread([&] {
      return everything.run([this](const delivery& d) { count_.add(d.topic(), *d.value); });
    });
    printer = std::jthread(
        [&] { return matches.run([this](const shared_report& found) { print(*found); }); });
    watcher = std::jthread([&](const std::stop_token& enough) {
      progress line{screen_};
      return latest.run([&](const delivery& d) { line.show(d, enough); });
    });
    search_files();
    watcher.request_stop();
  }

  /// This thread walks, others search. All of them have ended when it returns.
  void search_files() {
    std::vector<std::jthread> workers(wanted_.workers);
    const closer<mailroom::mailbox<file>> over{files_};
    for (std::jthread& each : workers) {
      each = std::jthread([this] {
        searcher worker{pattern_, wanted_.summary ? lines::counted : lines::kept,
                        stop_.get_token()};
        reporter publish{reports_};
        return files_.run([&](file&& next) { worker.search(std::move(next), publish); });
      });
    }
    walker{files_, reporter{reports_}, stop_.get_token()}.walk(wanted_.places);
  }

  void complain(const report& skipped) {
    if (!skipped.text.empty()) screen_.say("treegrep: " + skipped.path + ": " + skipped.text);
  }

  void print(const report& found) {
    screen_.make_room([&] { out_.write(found.text, stop_.get_token()); });
    if (out_.error() != 0) stop_.request_stop(); // nobody will read what we find
  }

  /// The summary: the result of --summary, else a remark to the lines that were printed.
  void conclude(std::chrono::duration<double> time) {
    const std::string headline =
        count_.headline() + (stop_.stop_requested() ? " (interrupted)" : "");
    if (wanted_.summary) {
      const std::string table = count_.table(time, wanted_.workers);
      screen_.make_room([&] { out_.write(headline + "\n" + table); });
    } else {
      const std::string skips = count_.skips();
      screen_.say("treegrep: " + headline + (skips.empty() ? "" : "; skipped: " + skips));
      if (!out_.is_complete()) screen_.say("treegrep: not all of these lines were printed");
    }
    if (out_.error() != 0) {
      screen_.say("treegrep: standard output: " + std::generic_category().message(out_.error()));
    }
  }

  int exit_status(int signal) const {
    if (out_.error() != 0) return 2;
    if (signal != 0) return 128 + signal;
    if (count_.lines() != 0) return 0;
    return count_.failures() == 0 ? 1 : 2;
  }

  const options& wanted_;
  const pattern pattern_;
  std::stop_source stop_; // of everything: Ctrl-C, or nobody reads
  terminal screen_;
  output out_;
  mailroom::mailbox<file> files_{1024};
  report_dispatcher reports_;
  tally count_; // belongs to the counter until that has ended
};

int run(int argc, char** argv) {
  const options wanted = parse(argc, argv);
  if (wanted.help) {
    output out;
    out.write(help_text);
    return out.is_complete() ? 0 : 2;
  }
  return search_job{wanted, {wanted.pattern, wanted.regex ? syntax::regex : syntax::plain}}.run();
}

} // namespace treegrep

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN); // a reader that has gone is an error of write
  try {
    return treegrep::run(argc, argv);
  } catch (const treegrep::usage_error& error) {
    std::cerr << "treegrep: " << error.what() << "\nTry 'treegrep --help'.\n";
  } catch (const std::regex_error& error) {
    std::cerr << "treegrep: bad regular expression: " << error.what() << "\n";
  } catch (const std::system_error& error) {
    std::cerr << "treegrep: cannot start all threads: " << error.code().message() << "\n";
  } catch (const std::exception& error) {
    std::cerr << "treegrep: " << error.what() << "\n";
  }
  return 2;
}
