# SPDX-License-Identifier: MIT
# need <package>:<probe>... makes sure that everything is there, and installs what is not. A probe is
# a command, or a file by its absolute path. Where all of it is there, nothing is called at all; else
# it says what it is about to install. To be sourced by bash.
need() {
  local wanted package probe missing=() as_root=()
  for wanted in "$@"; do
    package=${wanted%%:*} probe=${wanted#*:}
    case $probe in
      /*) [ -e "$probe" ] || missing+=("$package") ;;
      *) command -v "$probe" >/dev/null || missing+=("$package") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  if ! command -v apt-get >/dev/null; then
    echo "mailroom: please install ${missing[*]}; this machine has no apt-get to do it with." >&2
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "mailroom: please install ${missing[*]}; this user is not root and there is no sudo." >&2
      return 1
    fi
    as_root=(sudo)
    [ -t 0 ] || as_root+=(-n) # nobody is there to type a password
  fi
  as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q)

  echo "mailroom: installing ${missing[*]} (${as_root[*]} install)"
  if ! "${as_root[@]}" update || ! "${as_root[@]}" install -y --no-install-recommends "${missing[@]}"
  then
    echo "mailroom: that did not work; please install ${missing[*]} and run this again." >&2
    return 1
  fi
}
