#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes samples of all contenders by turns, and writes what they show. Called by bench/run.

A round takes one sample of every case, in an order that is shuffled anew, so that whatever happens
on the machine meanwhile hits all alike. Each sample is a process of its own. It tells the distance
of the two cores before and after, and is kept only if these agree; else it is repeated, as it is
when the core was taken away in the middle."""

import argparse
import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import time

import machine
import pictures
import report

ATTEMPTS = 3     # at a sample, in each round
PATIENCE = 15    # seconds, for a sample; the harness gives up by itself long before
STRIKES = 3      # so often a contender may give no answer before his other cases are not begun
BENCHMARKS = ('single', 'waiting_single', 'fan_out')  # these questions are put to Google Benchmark
NO_ANSWER = f'no answer in {PATIENCE} s'
QUICK = re.compile(r'one_to_one/(8|64) B, 1024|one_to_one/8 B, 1024, batches.*'
                   r'|many_to_many/(1:1|4:4)|pairs/2.*|ping_pong/.*|burst/1024.*'
                   r'|waiting_(throughput/(1:1|4:4)|ping_pong/at once|push/.*)'
                   r'|memory/(8|64) B, 1024')


def placement(round_trip):
  """What a bare round trip in nanoseconds says about where the two cores are."""
  if round_trip < 80:
    return 'shared'  # two threads of one core
  return 'near' if round_trip < 300 else 'far'


def call(*command):
  try:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=PATIENCE, check=True).stdout
  except subprocess.TimeoutExpired:
    return None
  except subprocess.CalledProcessError:
    return ''


class Case:
  """One line of a program's list, and the samples that were kept of it."""

  hung = collections.Counter()  # by contender

  def __init__(self, program, line):
    self.program = program
    self.about = line
    self.kept = {}  # by placement, the figures
    self.repeated = 0
    self.faults = set()

  def name(self):
    return f'{self.about["scenario"]}/{self.about["cell"]}'

  def sample(self, milliseconds):
    contender = self.about['contender']
    if self.hung[contender] >= STRIKES and not self.kept:
      self.faults.add('left out, as others gave no answer')
    if self.faults:
      return None
    for _ in range(ATTEMPTS):
      text = call(self.program, 'run', self.about['case'], milliseconds)
      if not text:
        self.faults.add(NO_ANSWER if text is None else 'crashes')
        self.hung[contender] += text is None
        return None
      answer = json.loads(text)
      if answer['faults']:
        self.faults.add(answer['faults'])
        return None
      if self.keep(answer):
        return placement(answer['after'])
      self.repeated += 1
    return None

  def keep(self, answer):
    before, after = answer['before'], answer['after']
    if self.about['scenario'] == 'memory':
      self.kept['any'] = [answer['figures']]
      return True
    agree = placement(before) == placement(after) and max(before, after) < 1.35 * min(before, after)
    if not agree or answer['disturbed']:
      return False
    self.kept.setdefault(placement(after), []).append(answer['figures'])
    return True

  def results(self):
    common = {**self.about, 'repeated': self.repeated, 'faults': ', '.join(sorted(self.faults))}
    if not self.kept:
      return [{**common, 'placement': 'none', 'samples': 0}]
    return [{**common, 'placement': where, 'samples': len(figures),
             'figures': [report.quartiles(each) for each in zip(*figures)]}
            for where, figures in self.kept.items()]


class Benchmarks:
  """What Google Benchmark finds in a program for one question: costs without another thread."""

  def __init__(self, program, lines):
    self.program = program
    self.scenario = lines[0]['scenario']
    self.contenders = {line['contender']: line for line in lines}
    self.found = {}
    self.faults = collections.defaultdict(set)

  def name(self):
    return f'{self.scenario}/'

  def sample(self, _):
    if self.faults:
      return None
    text = call(self.program, 'benchmark', '--benchmark_format=json',
                '--benchmark_min_time=0.002', f'--benchmark_filter=/{self.scenario}/',
                '--benchmark_perf_counters=INSTRUCTIONS')
    if not text:
      for contender in self.contenders:
        self.faults[contender, '-'].add(NO_ANSWER if text is None else 'crashes')
      return None
    for each in json.loads(text)['benchmarks']:
      name = each['name'].removesuffix('/manual_time')
      contender, _, cell = name.rsplit('/', 2)
      if each.get('error_occurred'):
        self.faults[contender, cell].add('loses')
        continue
      items = each['items_per_second'] * each['real_time'] / 1e9  # in an iteration
      is_counted = 'INSTRUCTIONS' in each and name == each['name']  # else with what is not timed
      instructions = each['INSTRUCTIONS'] / items if is_counted else 0
      self.found.setdefault((contender, cell), []).append([1e9 / each['items_per_second'],
                                                           instructions])
    return None

  def results(self):
    for contender, cell in [*self.found, *self.faults]:
      figures = self.found.get((contender, cell), [])
      yield {**self.contenders[contender], 'cell': cell, 'placement': 'any',
             'samples': len(figures), 'repeated': 0,
             'faults': ', '.join(sorted(self.faults.get((contender, cell), []))),
             'figures': [report.quartiles(each) for each in zip(*figures)]}


class Progress:
  """How much is done, and for how long it will go on, on stderr."""

  def __init__(self, seconds):
    self.begin = time.monotonic()
    self.seconds = seconds
    self.shown = 0

  def show(self, done, total, where):
    now = time.monotonic()
    is_terminal = sys.stderr.isatty()
    if done != total and now - self.shown < (0.2 if is_terminal else 10):
      return
    self.shown = now
    passed = now - self.begin
    left = max(int(min(passed / done * (total - done), self.seconds - passed)), 0)
    text = f'{done}/{total} samples, {left // 60}:{left % 60:02} left, cores: {where}'
    print(f'\r{text:70}' if is_terminal else text, end='' if is_terminal else '\n',
          file=sys.stderr, flush=True)


def jobs_of(programs):
  jobs = []
  for program in programs:
    lines = [json.loads(line) for line in (call(program, 'list') or '').splitlines()]
    jobs += [Case(program, line) for line in lines if line['scenario'] not in BENCHMARKS]
    for scenario in BENCHMARKS:
      benchmarks = [line for line in lines if line['scenario'] == scenario]
      if benchmarks:
        jobs.append(Benchmarks(program, benchmarks))
  return jobs


def take_rounds(jobs, rounds, seconds, milliseconds):
  """Rounds until there are enough, or there is no time for another one."""
  shuffled = random.Random(1)
  progress = Progress(seconds)
  begin = time.monotonic()
  where = '?'
  done = 0
  finished = 0
  wanted = rounds
  while finished < wanted:
    for job in shuffled.sample(jobs, len(jobs)):
      where = job.sample(milliseconds) or where
      done += 1
      progress.show(done, max(wanted, finished + 1) * len(jobs), where)
    finished += 1
    wanted = min(rounds, int(seconds / ((time.monotonic() - begin) / finished)))
    jobs = [job for job in jobs if not job.name().startswith('memory/')]
  print(file=sys.stderr)
  return finished


def one_result_per_line(data):
  lines = ',\n'.join(json.dumps(result) for result in data['results'])
  head = json.dumps({**data, 'results': []}, indent=1)
  return head.replace('"results": []', f'"results": [\n{lines}\n]') + '\n'


def main():
  parser = argparse.ArgumentParser(prog='bench/run', description='Measures all contenders.')
  parser.add_argument('--quick', action='store_true', help='some of it, in less than a minute')
  parser.add_argument('--only', metavar='SCENARIO', help='one_to_one, many_to_many, pairs, '
                      'ping_pong, burst, single, waiting_throughput, waiting_ping_pong, '
                      'waiting_push, waiting_single, fan_out, memory or headers')
  parser.add_argument('--build', required=True, type=pathlib.Path, help=argparse.SUPPRESS)
  parser.add_argument('--results', required=True, type=pathlib.Path, help=argparse.SUPPRESS)
  options = parser.parse_args()

  def wanted(job):
    name = job.name()
    if options.only and not name.startswith(options.only + '/'):
      return False
    if not options.quick or isinstance(job, Benchmarks):
      return True
    return QUICK.fullmatch(name) and job.about['variant'] != 'spin'

  names = (options.build / 'bench/contenders.txt').read_text().split()
  programs = [options.build / 'bench/programs' / name for name in names]
  absent = [path.name for path in programs if not path.exists()]
  programs = [path for path in programs if path.exists()]
  known = jobs_of(programs)
  jobs = [job for job in known if wanted(job)]
  if not jobs and options.only != 'headers':
    parser.error(f'there is no scenario {options.only}')
  data = machine.describe(options.build)
  data['quick'] = options.quick
  data['absent'] = absent
  rounds, seconds, milliseconds = (3, 25, 4) if options.quick else (15, 450, 10)
  data['rounds'] = take_rounds(jobs, rounds, seconds, milliseconds) if jobs else 0
  data['results'] = [result for job in jobs for result in job.results()]
  data['headers'] = []
  if options.only in (None, 'headers'):
    used = {job.about['header']: job.about['from'] for job in known if isinstance(job, Case)}
    data['headers'] = machine.headers(options.build, used, 1 if options.quick else 5)

  options.results.mkdir(parents=True, exist_ok=True)
  base = options.results / data['slug']
  base.with_suffix('.json').write_text(one_result_per_line(data))
  base.with_suffix('.md').write_text(report.tables(data))
  pictures.draw(data, options.results)
  print(f'{base}.md')


if __name__ == '__main__':
  main()
