# SPDX-License-Identifier: MIT
"""Where and with what something was measured, and what the headers cost a compiler."""

import os
import pathlib
import re
import subprocess
import tempfile
import time


def lines_of(*command):
  """What a command prints; nothing where there is no such command."""
  try:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
  except FileNotFoundError:
    return []


def line_of(*command):
  return next(iter(lines_of(*command)), '')


def cached(build, name):
  found = re.search(rf'^{name}:\w+=(.*)$', (build / 'CMakeCache.txt').read_text(), re.M)
  return found.group(1) if found else ''


def describe(build):
  model = re.search(r'^model name\s*: (.*)$', pathlib.Path('/proc/cpuinfo').read_text(), re.M)
  model = model.group(1) if model else os.uname().machine
  model = re.sub(r'\((R|TM)\)|CPU|Processor|@.*', '', model)
  name = f'{" ".join(model.split())}, {len(os.sched_getaffinity(0))} cores'
  packages = lines_of(
    'dpkg-query', '-W', '-f', '${Package} ${Version}\n', 'libboost-dev', 'libconcurrentqueue-dev',
    'libreaderwriterqueue-dev', 'libatomic-queue-dev', 'libxenium-dev', 'libcds-dev', 'libtbb-dev',
    'libck-dev', 'libbenchmark-dev')
  changes = ' + changes' if line_of('git', 'status', '--porcelain', '--', 'include') else ''
  return {
    'machine': name,
    'slug': re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-'),
    'kernel': os.uname().release,
    'compiler': line_of(cached(build, 'CMAKE_CXX_COMPILER'), '--version'),
    'flags': f'-std=c++20 {cached(build, "CMAKE_CXX_FLAGS_RELEASE")} -march=native',
    'commit': (line_of('git', 'rev-parse', '--short=12', 'HEAD') or 'unknown') + changes,
    'date': time.strftime('%Y-%m-%d'),
    'packages': packages,
  }


def headers(build, used, rounds):
  """For each contender's header: how long it takes to compile a file that only includes it, and
  how many lines the preprocessor makes of it."""
  compiler = cached(build, 'CMAKE_CXX_COMPILER')
  found = {}
  with tempfile.TemporaryDirectory() as folder:
    unit = pathlib.Path(folder) / 'unit.cpp'
    command = [compiler, '-std=c++20', '-O2', '-I', 'include', str(unit)]
    for number in range(rounds):
      for header, origin in sorted(used.items()):
        if not header:
          continue
        unit.write_text(f'#include <{header}>\n')
        begin = time.monotonic()
        compiled = subprocess.run([*command, '-c', '-o', '/dev/null'], capture_output=True,
                                  check=False)
        taken = 1000 * (time.monotonic() - begin)
        if compiled.returncode != 0:
          continue  # not C++
        if number == 0:
          text = subprocess.run([*command, '-E', '-P'], capture_output=True, check=True).stdout
          found[header] = {'header': header, 'from': origin, 'lines': text.count(b'\n'),
                           'milliseconds': taken}
        found[header]['milliseconds'] = min(taken, found[header]['milliseconds'])
  return sorted(found.values(), key=lambda each: each['milliseconds'])
