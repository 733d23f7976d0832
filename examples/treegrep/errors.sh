#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests what treegrep does when something is wrong with its input, its output, or its time.
#   errors.sh TREEGREP
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
chmod 755 "$work"
cp "$1" "$work/treegrep" # another user may have to run it
treegrep=$work/treegrep
cd "$work"
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# expect <status> <pattern for stdout> <pattern for stderr> <command...>; '' means no output at all
expect() {
  local status=$1 out=$2 err=$3 got=0
  shift 3
  "$@" >stdout 2>stderr </dev/null || got=$?
  [ "$got" = "$status" ] || fail "$*: exit status $got, not $status"
  matches "$out" stdout || fail "$*: stdout is '$(head -c 300 stdout)', not '$out'"
  matches "$err" stderr || fail "$*: stderr is '$(head -c 300 stderr)', not '$err'"
}
matches() { if [ -z "$1" ]; then [ ! -s "$2" ]; else grep -qE -- "$1" "$2"; fi; }

tree() {
  mkdir -p tree/sub/deep tree/.dot late
  printf 'foo\nbar\nfoo bar\n' >tree/a.txt
  printf 'no newline: foo' >tree/b.h
  printf 'foo\r\nbar\r\n' >tree/crlf.c
  printf 'foo\n' >tree/sub/deep/no_extension
  printf 'foo\n' >tree/.dot/.hidden
  printf 'foo\n' >"tree/sub/a name with: everything, *.txt .o"
  printf '\n\nfoo\n\xff\xfe foo \x80\n' >tree/bytes.txt
  printf 'foo\0\n' >tree/binary.o
  : >tree/empty
  ln -s ../a.txt tree/sub/link
  ln -s ../.. tree/sub/deep/up
  ln -s nowhere tree/dangling
  mkfifo tree/fifo
  # binary only far into the file: by a NUL after the last line, and by a hole
  { yes foo | head -n 50000; printf 'x\0'; } >late/nul.txt 2>/dev/null || true
  { yes foo | head -n 50000; } >late/hole.txt 2>/dev/null || true
  truncate -s 3M late/hole.txt
  { yes foo | head -n 50000; printf 'x'; } >late/text.txt 2>/dev/null || true
}

test_usage() {
  echo "-- the command line"
  expect 0 'Usage: treegrep' '' "$treegrep" --help
  expect 0 'Usage: treegrep' '' "$treegrep" -h
  expect 2 '' 'no PATTERN given' "$treegrep"
  expect 2 '' 'no DIR given' "$treegrep" foo
  expect 2 '' "-j needs a number from 1 to 256, not '0'" "$treegrep" -j 0 foo tree
  expect 2 '' "not 'abc'" "$treegrep" -j abc foo tree
  expect 2 '' "not '-1'" "$treegrep" -j -1 foo tree
  expect 2 '' "not '2x'" "$treegrep" -j2x foo tree
  expect 2 '' "not ''" "$treegrep" -j '' foo tree
  expect 2 '' "not '99999999999999999999'" "$treegrep" -j 99999999999999999999 foo tree
  expect 2 '' '-j needs a number' "$treegrep" foo tree -j
  expect 2 '' "bad option '-x'" "$treegrep" -Ex foo tree
  expect 2 '' "bad option '--nothing'" "$treegrep" --nothing foo tree
  expect 2 '' "bad option '--summary=1'" "$treegrep" --summary=1 foo tree
  expect 2 '' 'bad regular expression: .' "$treegrep" -E 'a(b' tree
  expect 2 '' 'bad regular expression: .' "$treegrep" -E '[' tree
  expect 2 '' 'bad regular expression: .' "$treegrep" -E '*' tree
  expect 2 '' 'bad regular expression: .' "$treegrep" -E "$(printf '(%.0s' {1..3000})" tree
  printf -- '-j\n' >tree/sub/option.txt
  expect 0 '^tree/sub/option.txt:1:-j$' . "$treegrep" -- -j tree
  rm tree/sub/option.txt
}

test_places() {
  echo "-- places"
  expect 2 '' 'nowhere: No such file or directory' "$treegrep" foo nowhere
  expect 0 '^tree/a.txt:3:foo bar$' 'nowhere: No such file' "$treegrep" foo nowhere tree
  expect 0 '^9 matching lines in 7 files$' 'nowhere: No such file' "$treegrep" --summary foo tree nowhere
  expect 2 '^0 matching lines in 0 files$' 'nowhere: No such file' "$treegrep" --summary quux nowhere tree
  expect 1 '^0 matching lines in 0 files$' '' "$treegrep" --summary quux tree
  expect 0 '^tree/a.txt:1:foo$' 'treegrep: 2 matching lines in 1 files$' "$treegrep" foo tree/a.txt
  expect 0 '^tree/sub/link:1:foo$' . "$treegrep" foo tree/sub/link
  expect 0 '^9 matching lines in 7 files$' '' "$treegrep" --summary foo tree/sub/deep/up
  expect 2 '' 'Neither a file nor a directory' "$treegrep" foo tree/fifo
  expect 2 '' 'dangling: No such file' "$treegrep" foo tree/dangling
  ln -s circle circle
  expect 2 '' 'circle: Too many levels' "$treegrep" foo circle
  expect 2 '' 'File name too long' "$treegrep" foo "$(printf 'x%.0s' {1..300})"
}

test_same_as_grep() {
  echo "-- the same as grep"
  "$here/compare_with_grep.sh" "$treegrep" tree >comparison || fail "$(grep DIFFERENT comparison)"
  # of late, text.txt alone is text: so says grep
  [ "$(LC_ALL=C grep -rIch '' late | sort -n | tr '\n' ' ')" = '0 0 50001 ' ] || fail "grep has other rules"
  expect 0 '^50001 matching lines in 1 files$' '' "$treegrep" --summary '' late
  expect 0 '^50000 matching lines in 1 files$' '' "$treegrep" --summary -E 'fo+' late
  "$treegrep" -j 3 foo tree 2>/dev/null | sort >ours
  LC_ALL=C grep -rIn foo tree 2>/dev/null | sort >theirs
  cmp -s ours theirs || fail "the lines printed differ from those of grep -rIn"
}

test_permission() {
  echo "-- permission"
  mkdir -p locked/closed
  printf 'foo\n' | tee locked/open.txt >locked/secret.txt
  printf 'foo\n' >locked/closed/file.txt
  chmod 000 locked/secret.txt locked/closed
  local user=()
  if [ "$(id -u)" -eq 0 ]; then
    user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    if ! "${user[@]}" "$treegrep" --help >/dev/null 2>&1; then
      echo "   not tested: root may read everything, and setpriv cannot make us somebody else"
      return
    fi
  fi
  expect 0 '^1 matching lines in 1 files$' 'locked/secret.txt: Permission denied' \
    "${user[@]}" "$treegrep" --summary foo locked
  matches 'locked/closed: Permission denied' stderr || fail "the directory is not named"
  matches '^permission +2$' stdout || fail "they are not counted: $(cat stdout)"
  expect 2 '' 'Permission denied' "${user[@]}" "$treegrep" foo locked/secret.txt
}

test_runaway_regex() {
  echo "-- lines that std::regex cannot manage"
  mkdir -p lines
  { printf 'x%.0s' {1..3000}; printf '\nxxy\n'; } >lines/slow.txt
  { head -c 300000 /dev/zero | tr '\0' x; printf '\nxxy\n'; } >lines/long.txt
  expect 0 '^2 matching lines in 2 files$' 'lines/slow.txt: lines not searched: 1 \(.+\)$' \
    "$treegrep" --summary -E '(x+x+)+y' lines
  matches '^regex +[12]$' stdout || fail "the line is not counted: $(cat stdout)"
  expect 0 '^2 matching lines in 2 files$' '' "$treegrep" --summary -E 'x*y' lines
}

test_no_threads() {
  echo "-- no threads"
  local user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  if [ "$(id -u)" -ne 0 ] || ! "${user[@]}" "$treegrep" --help >/dev/null 2>&1; then
    echo "   not tested: needs another user, whose processes can be limited"
    return
  fi
  for limit in 1 2 4 7; do
    expect 2 '' 'cannot start all threads: Resource temporarily unavailable' \
      "${user[@]}" bash -c "ulimit -u $limit; exec '$treegrep' -j 8 foo tree"
  done
}

test_vanishing_files() {
  echo "-- a tree that changes"
  mkdir -p busy/here
  printf 'foo\n' | tee busy/here/{1..50}.txt >busy/stays.txt
  while :; do
    printf 'foo\n' | tee busy/{1..50}.txt >/dev/null
    rm -f busy/{1..50}.txt
    mv busy/here busy/there
    mv busy/there busy/here
  done 2>/dev/null &
  local changing=$! status
  for _ in {1..30}; do
    status=0
    "$treegrep" -j 4 foo busy >stdout 2>stderr || status=$?
    [ "$status" -eq 0 ] || fail "exit status $status while files come and go"
    matches '^busy/stays.txt:1:foo$' stdout || fail "the file that stays is not found"
    if grep -v -e 'No such file or directory$' -e ' matching lines in ' stderr; then
      fail "an unexpected message"
    fi
  done
  kill "$changing"
  wait "$changing" 2>/dev/null || true
}

test_output() {
  echo "-- standard output"
  if [ -e /dev/full ]; then
    expect 2 '' 'standard output: No space left' bash -c "'$treegrep' foo tree >/dev/full"
    expect 2 '' 'standard output: No space left' bash -c "'$treegrep' --summary foo tree >/dev/full"
  fi
  expect 2 '' 'standard output: Bad file descriptor' bash -c "'$treegrep' foo tree >&-"
  expect 0 '^2$' 'standard output: Broken pipe' \
    bash -c "{ '$treegrep' foo late late late; echo \$? >status; } | head -n 1 >line; cat status"
}

# A terminal is needed to see the progress line: `script` makes one.
test_progress() {
  echo "-- the progress line"
  expect 0 '^9 matching' '' "$treegrep" --summary foo tree # stderr is no terminal
  if ! script -qec true /dev/null </dev/null >screen 2>&1; then
    echo "   not tested: there is no script(1), or no terminal for it"
    return
  fi
  local places
  mapfile -t places < <(yes tree | head -n 3000)
  script -qec "$treegrep -j 1 --summary foo ${places[*]}" /dev/null </dev/null >screen
  grep -q 'files, .* missed by this line, now tree/' screen || fail "no progress line: $(cat -v screen)"
  grep -q $'\r\033\\[K27000 matching lines in 21000 files' screen || fail "it is not cleared: $(cat -v screen)"
}

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# Waits until the process listens for SIGINT: a shell starts it with that signal ignored.
wait_until_listening() {
  local tries=0
  until grep -qsi '^SigBlk:.*[2367abef]$' "/proc/$1/status" || [ "$tries" -eq 100 ]; do
    tries=$((tries + 1))
    sleep 0.02
  done
}

# interrupt <command...>: sends SIGINT in the middle of the search; sets status and took
interrupt() {
  local pid begin
  "$@" >stdout 2>stderr &
  pid=$!
  wait_until_listening "$pid"
  sleep 0.3
  begin=$(now_ms)
  kill -INT "$pid" || fail "$*: ended too soon: $(tail -n 3 stdout stderr)"
  status=0
  wait "$pid" || status=$?
  took=$(($(now_ms) - begin))
}

# stops_in_time <command...>: within 100 ms, or 500 where a sanitizer slows everything down. Other
# programs may take the processors from us, so the best of some tries counts.
stops_in_time() {
  local tries=0 best=1000000 limit=100
  ! grep -qE '__(asan|tsan)_init' "$treegrep" || limit=500
  until [ "$best" -le "$limit" ] || [ "$tries" -eq 10 ]; do
    tries=$((tries + 1))
    interrupt "$@"
    [ "$status" -eq 130 ] || fail "interrupted: exit status $status: $(cat stderr)"
    [ "$took" -ge "$best" ] || best=$took
  done
  echo "   stopped after $best ms (try $tries): $(grep -h matching stdout stderr)"
  [ "$best" -le "$limit" ] || fail "it took $best ms to stop"
}

# partial_is_true <lines> <files>: what the partial summary claims was there to be found.
partial_is_true() {
  local lines files rows
  read -r lines files < <(sed -nE 's/^([0-9]+) matching lines in ([0-9]+) files \(interrupted\)$/\1 \2/p' stdout)
  if [ -z "$files" ] || [ "$lines" -gt "$1" ] || [ "$files" -gt "$2" ] || [ "$lines" -ne $((3 * files)) ]; then
    fail "the partial summary is not true: $(head -n 1 stdout)"
  fi
  rows=$(awk '$1 == ".txt" { print $2, $3 }' stdout)
  [ "$files" -eq 0 ] || [ "$rows" = "$lines $files" ] || fail "the table does not fit: $(cat stdout)"
}

test_interrupt() {
  echo "-- Ctrl-C"
  mkdir -p many
  for i in {1..500}; do printf 'foo\nfoo\nbar\nfoo\n' >"many/$i.txt"; done
  local places
  mapfile -t places < <(yes many | head -n 40000)
  stops_in_time "$treegrep" --summary -j 2 foo "${places[@]}"
  partial_is_true $((1500 * 40000)) $((500 * 40000))
  stops_in_time "$treegrep" --summary -j 8 foo "${places[@]}"
  partial_is_true $((1500 * 40000)) $((500 * 40000))

  mkdir -p slow # every line takes a second
  for i in {1..4}; do yes "$(printf 'x%.0s' {1..3000})" 2>/dev/null | head -n 300 >"slow/$i.md" || true; done
  stops_in_time "$treegrep" --summary -j 2 -E 'foo|(x+x+)+y' many slow
  partial_is_true 1500 500

  mkfifo stuck # nobody reads what is printed
  sleep 1000 <>stuck &
  local reader=$!
  stops_in_time bash -c "exec '$treegrep' foo ${places[*]:0:2000} >stuck"
  grep -q 'not all of these lines were printed' stderr || fail "lost lines are not mentioned"
  kill "$reader"
  wait "$reader" 2>/dev/null || true

  stops_in_time bash -c "exec '$treegrep' foo ${places[*]:0:20000} >printed"
  [ "$(tail -c 1 printed | od -An -tx1)" = ' 0a' ] || fail "the last line is not whole"
  ! grep -vqE '^many/[0-9]+\.txt:[124]:foo$' printed || fail "a line is not whole"
}

tree
test_usage
test_places
test_same_as_grep
test_permission
test_runaway_regex
test_no_threads
test_vanishing_files
test_output
test_progress
test_interrupt
if [ "$failures" -ne 0 ]; then
  echo "$failures failures"
  exit 1
fi
echo "all as it should be"
