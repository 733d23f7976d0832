#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compares treegrep's totals with grep's on a directory tree, for patterns of all kinds.
#   compare_with_grep.sh TREEGREP DIR
set -euo pipefail
treegrep=$1
dir=$2
different=0

# grep_totals <option> <pattern> <dir>: in treegrep's words
grep_totals() {
  { LC_ALL=C grep -rIch "$1" -- "$2" "$3" 2>/dev/null || true; } |
    LC_ALL=C awk '{ lines += $1; files += $1 > 0 }
                  END { printf "%.0f matching lines in %.0f files\n", lines, files }'
}

# treegrep_totals <workers> <syntax> <pattern> <dir>
treegrep_totals() {
  local options=(--summary -j "$1") all status=0
  [ "$2" = plain ] || options+=("$2")
  all=$("$treegrep" "${options[@]}" -- "$3" "$4" 2>/dev/null) || status=$?
  if [ "$status" -le 2 ]; then echo "${all%%$'\n'*}"; else echo "exit status $status"; fi
}

# compare <grep's option> <treegrep's syntax> <pattern> <dir> <numbers of workers...>
compare() {
  local wanted now found workers
  wanted=$(grep_totals "$1" "$3" "$4")
  for workers in "${@:5}"; do
    while
      found=$(treegrep_totals "$workers" "$2" "$3" "$4")
      [ "$found" != "$wanted" ]
    do
      now=$(grep_totals "$1" "$3" "$4")
      if [ "$now" = "$wanted" ]; then
        echo "DIFFERENT with -j $workers: grep $1 finds $wanted, treegrep $found"
        different=1
        break
      fi
      wanted=$now # the tree has changed meanwhile; look at it again
    done
  done
  printf 'grep %s %-34q %s\n' "$1" "$3" "$wanted"
}

# A directory below this one that is not large, for expressions that std::regex is slow with.
small_part() {
  local part size
  for part in "$1"/*/; do
    if [ ! -d "$part" ] || [ -L "${part%/}" ]; then continue; fi
    size=$(du -sk "$part" 2>/dev/null | cut -f1)
    if [ "$size" -ge 500 ] && [ "$size" -le 4000 ]; then
      printf '%s\n' "${part%/}"
      return
    fi
  done
  printf '%s\n' "$1"
}

echo "-- $dir"
compare -G plain printf "$dir" 1 2 4
for plain in the '#include' zyxwvu_is_nowhere $'one\ntwo' '' $'\xc3\xa9'; do
  compare -G plain "$plain" "$dir" 4 # plain text and basic expressions are the same for these
done
for special in 'a.b' '*' '\n' $'x\n'; do
  compare -F plain "$special" "$dir" 4
done
for quick in '^#include <[a-z]+\.h>' 'colou?r' 'foo[a-z ]*bar' '[0-9]+\.[0-9]+$'; do
  compare -E -E "$quick" "$dir" 4
done

part=$(small_part "$dir")
echo "-- $part"
for plain in ' ' $'\t' '[0]' '^' '.*' 'not -x'; do
  compare -F plain "$plain" "$part" 1 4
done
for slow in '^$' 'str(n?cpy|len)' 'if|for|while' '(^|[^a-z])int +main' '[A-Z]{4}' '\w+\s\(' $'^a\nb$' ''; do
  compare -E -E "$slow" "$part" 1 4
done
exit "$different"
