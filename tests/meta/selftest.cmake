# SPDX-License-Identifier: MIT
# Would the rules notice? A tree that keeps all of them is written into WORK; then, one after the
# other, a file of it is replaced by one that breaks a rule, and the script must say so.
#   cmake -D WORK=folder -P selftest.cmake
cmake_minimum_required(VERSION 3.25)

set(listed mailroom/detail/config.hpp,mailroom/detail/platform.hpp,mailroom/core/status.hpp,mailroom/queue/ring.hpp,mailroom/mailroom.hpp)
set(arguments -D HEADERS=${listed} -D FROM=${WORK}/include -D TESTS=${WORK}/tests -D VERSION=1.2.3
              -D README=${WORK}/README.md -D EXAMPLES=${WORK}/examples -D PACKAGES=${WORK}/package)

# header(<path> <rest of the banner> <text behind it>) writes a header that is as it should be.
function(header path banner text)
  string(TOUPPER "mailroom/${path}" guard)
  string(REGEX REPLACE "[/.]" "_" guard ${guard})
  file(WRITE ${WORK}/include/mailroom/${path} "// SPDX-License-Identifier: MIT
#ifndef ${guard}
#define ${guard}

// A header for the test of the tests.
${banner}
#include <cstddef> // size_t

${text}
#endif // ${guard}
")
endfunction()

set(figures "Measured on Box, 2 cores; g++. Ratios hold, absolute numbers do not.\n| 1 |\n")

function(write_good_tree)
  file(REMOVE_RECURSE ${WORK})
  header(detail/config.hpp "" "#define MAILROOM_VERSION_MAJOR 1
#define MAILROOM_VERSION_MINOR 2
#define MAILROOM_VERSION_PATCH 3
")
  header(detail/platform.hpp "" "#include <atomic>\n#include <mutex>\n")
  header(core/status.hpp "" "#include <mailroom/detail/config.hpp>\n")
  header(queue/ring.hpp
"//
// Invariants
//   (I1)  only the producer writes tail
//
// Memory order
//   (F)   filled: push -> pop
" "#include <mailroom/detail/platform.hpp>
#include <mailroom/core/status.hpp>

/// Puts a message in.
///
/// Caller    the producer
/// Progress  wait-free
/// Returns   false when \"relaxed)\" is only a word
bool push() {
  const auto tail = tail_.load(relaxed); // (I1)
  slot[tail] = 1; // relaxed), in a comment
  tail_.store(tail + 1, release); // (F) (I1)
}
void release(int n);
")
  header(mailroom.hpp "" "#include <mailroom/queue/ring.hpp>\n")
  file(WRITE ${WORK}/tests/unit/core/status.test.cpp "")
  file(WRITE ${WORK}/tests/unit/queue/ring.test.cpp "")
  file(WRITE ${WORK}/examples/hello.cpp "int main() {\n  int x[1] = {1};\n  return x[0];\n}\n")
  file(WRITE ${WORK}/package/one/CMakeLists.txt "find_package(mailroom)\n")
  file(WRITE ${WORK}/README.md "Text.\n\n```cpp\nint x[1] = {1};\nreturn x[0];\n```\n
```cmake\nfind_package(mailroom)\n```\n\n```sh\nanything\n```\n
![one](results/box.one.svg)\n<!-- figures: results/box.md -->\n${figures}<!-- /figures -->\n")
  file(WRITE ${WORK}/results/box.md "<!-- figures -->\n${figures}<!-- /figures -->\n")
  file(WRITE ${WORK}/results/box.one.svg "<svg>Box, 2 cores</svg>")
endfunction()

function(run script)
  execute_process(COMMAND ${CMAKE_COMMAND} ${arguments} -P ${CMAKE_CURRENT_LIST_DIR}/${script}.cmake
                  RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE text)
  string(REGEX REPLACE "[ \n]+" " " text "${text}") # message() wraps its lines
  set(code "${code}" PARENT_SCOPE)
  set(text "${text}" PARENT_SCOPE)
endfunction()

# refuses(<script> <what it must say>): the tree as it stands breaks a rule. Afterwards it is good.
function(refuses script what)
  run(${script})
  string(FIND "${text}" "${what}" found)
  if(code EQUAL 0 OR found EQUAL -1)
    message(SEND_ERROR "${script} did not say: ${what}\nbut: ${text}")
  endif()
  write_good_tree()
endfunction()

write_good_tree()
foreach(script floors orders doc mirror version snippets figures)
  run(${script})
  if(NOT code EQUAL 0)
    message(SEND_ERROR "${script} refuses a good tree: ${text}")
  endif()
endforeach()

# ---- floors
header(detail/config.hpp "" "#include <mailroom/core/status.hpp>\n")
refuses(floors "mailroom/detail/config.hpp reaches up to mailroom/core/status.hpp")
header(mailroom.hpp "" "#include <mailroom/core/status.hpp>\n")
refuses(floors "mailroom/mailroom.hpp does not reach mailroom/queue/ring.hpp")
header(detail/config.hpp "" "#include \"platform.hpp\"\n")
refuses(floors "includes a file by quotes")
header(queue/other.hpp "" "")
refuses(floors "mailroom/queue/other.hpp is on disk but not in MAILROOM_HEADERS")
file(REMOVE ${WORK}/include/mailroom/queue/ring.hpp)
refuses(floors "mailroom/queue/ring.hpp is listed but not on disk")
header(core/status.hpp "" "#include <atomic>\n")
refuses(floors "core/status.hpp includes <atomic>")
header(core/status.hpp "" "std::atomic<int> x;\n")
refuses(floors "core/status.hpp names std::atomic")
header(core/status.hpp "" "#  include <thread>\n")
refuses(floors "core/status.hpp includes <thread>")
header(core/status.hpp "" "inline std::mutex lock;\n")
refuses(floors "core/status.hpp names a thread or a lock")
header(detail/platform.hpp "" "void wait() { value_.wait(0); }\n")
refuses(floors "platform.hpp waits on a std::atomic")
header(core/status.hpp "" "#include <functional>\n")
header(queue/ring.hpp "" "#include <mailroom/core/status.hpp>\n")
refuses(floors "queue/ring.hpp makes its users parse <functional>")
header(detail/config.hpp "" "#include <chrono>\n")
header(core/status.hpp "" "#include <mailroom/detail/config.hpp>\n")
header(queue/ring.hpp "" "#include <mailroom/core/status.hpp>\n")
refuses(floors "queue/ring.hpp makes its users parse <chrono>")

# ---- orders
header(queue/ring.hpp "" "x.load(relaxed);\n")
refuses(orders "no reason given for the order in x.load(relaxed)")
header(queue/ring.hpp "//   (F)   filled\n" "x.compare_exchange(a, b[0], seq_cst,\n relaxed); // (F)\n")
refuses(orders "no reason given for the order in x.compare_exchange")
header(queue/ring.hpp "//   (F)   filled\n" "x.load(std::memory_order_acquire); // (F), said in passing\n")
refuses(orders "no reason given for the order in x.load(std::memory_order_acquire)")
header(queue/ring.hpp "" "x.load(relaxed); // (F)\n")
refuses(orders "the banner does not explain (F)")
header(queue/ring.hpp "//   (F)   filled\n" "x.load(memory_order::relaxed); // (F) (I7)\n")
refuses(orders "the banner does not explain (I7)")
header(queue/ring.hpp "//   (F)   filled\n" "")
refuses(orders "the banner explains (F), which no line uses")

# ---- doc
file(WRITE ${WORK}/include/mailroom/core/status.hpp "#pragma once\n")
refuses(doc "status.hpp: is not a header with licence, guard and banner")
file(READ ${WORK}/include/mailroom/core/status.hpp good)
string(REPLACE "SPDX" "Licence" bad "${good}")
file(WRITE ${WORK}/include/mailroom/core/status.hpp "${bad}")
refuses(doc "the first line is not the licence")
string(REPLACE "CORE_STATUS" "STATUS" bad "${good}")
file(WRITE ${WORK}/include/mailroom/core/status.hpp "${bad}")
refuses(doc "the include guard is not MAILROOM_CORE_STATUS_HPP")
string(REPLACE "// A header for the test of the tests." "" bad "${good}")
file(WRITE ${WORK}/include/mailroom/core/status.hpp "${bad}")
refuses(doc "no banner says what it is")
header(core/status.hpp "" "\tint x;\n")
refuses(doc "a tab, or a character that is not plain text")
string(REPEAT "x" 101 long)
header(core/status.hpp "" "// ${long}\n")
refuses(doc "104 columns")
set(later TO) # in two pieces, so that this file leaves nothing for later itself
header(core/status.hpp "" "// ${later}DO: more.\n")
refuses(doc "do it or delete it")
header(core/status.hpp "" "/// Speed     great\n")
refuses(doc "Speed is none of")
header(core/status.hpp "" "  /// Returns   true\n  /// Caller    anyone\n")
refuses(doc "Caller stands out of order")
header(core/status.hpp "" "/// Progress  fast\n")
refuses(doc "Progress is one of")

# ---- mirror
file(REMOVE ${WORK}/tests/unit/queue/ring.test.cpp)
refuses(mirror "mailroom/queue/ring.hpp has no test: write tests/unit/queue/ring.test.cpp")
file(WRITE ${WORK}/tests/unit/queue/old.test.cpp "")
refuses(mirror "tests/unit/queue/old.test.cpp tests no header")

# ---- version
header(detail/config.hpp "" "#define MAILROOM_VERSION_MAJOR 1
#define MAILROOM_VERSION_MINOR 3
#define MAILROOM_VERSION_PATCH 3
")
refuses(version "config.hpp says version 1.3.3, CMakeLists.txt 1.2.3")
header(detail/config.hpp "" "")
refuses(version "config.hpp says version")

# ---- snippets
file(WRITE ${WORK}/README.md "```cpp\nint x[1] = {2};\n```\n")
refuses(snippets "This block of the README stands in no file that is built: int x[1] = {2};")
file(WRITE ${WORK}/README.md "```cmake\nfind_package(mail)\n```\n")
refuses(snippets "find_package(mail)")

# ---- figures
string(REPLACE "1" "2" others "${figures}")
file(WRITE ${WORK}/results/box.md "<!-- figures -->\n${others}<!-- /figures -->\n")
refuses(figures "The figures in the README are not those of results/box.md")
file(WRITE ${WORK}/README.md "<!-- figures: results/box.md -->\n${figures}<!-- /figures -->\n")
refuses(figures "The README does not show results/box.one.svg")
file(REMOVE ${WORK}/results/box.one.svg)
refuses(figures "The README shows results/box.one.svg, which is not there")
file(WRITE ${WORK}/results/box.one.svg "<svg>another machine</svg>")
refuses(figures "results/box.one.svg does not name the machine, Box, 2 cores")
file(READ ${WORK}/README.md text)
string(REPLACE "Ratios" "Numbers" text "${text}")
file(WRITE ${WORK}/README.md "${text}")
refuses(figures "The README does not say what its figures are worth")
file(WRITE ${WORK}/README.md "Fast.\n")
refuses(figures "The README does not say which figures it shows")
