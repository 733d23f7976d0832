# SPDX-License-Identifier: MIT
"""The tables. A ratio is the best peer's time by ours: above 1, ours is ahead."""

import collections
import statistics

PLACEMENTS = {
  'shared': 'The two cores are two threads of one core',
  'near': 'The two cores are near each other',
  'far': 'The two cores are far from each other',
  'any': 'Where it ran does not matter',
}
SCENARIOS = ('one_to_one', 'many_to_many', 'pairs', 'ping_pong', 'burst', 'single',
             'waiting_throughput', 'waiting_ping_pong', 'waiting_push', 'waiting_single', 'fan_out',
             'memory')
UNITS = {
  'one_to_one': 'ns per message', 'many_to_many': 'ns per message',
  'pairs': 'ns per push and pop', 'ping_pong': 'ns per round trip, middle half; median; 99th percentile',
  'burst': 'ns per message, filling and emptying', 'single': 'ns per push and pop, one thread',
  'waiting_throughput': 'ns per message, who cannot go on waits in the queue',
  'waiting_ping_pong': 'ns per round trip, middle half; median; sleeps for each wait',
  'waiting_push': 'ns per push to a sleeping consumer, middle half; '
                  'median until he has it; sleeps for each wait',
  'waiting_single': 'ns per push and pop, one thread, nobody waits; '
                    'the last column is the ratio to the bare queue',
  'fan_out': 'ns per push to so many readers; the last column is the ratio of the most to one',
  'memory': 'bytes per message of capacity; how many fit',
}
PANELS = {  # what is in the pictures and in the README; the tables have everything
  'one_to_one': ('8 B, 1024', '8 B, 65536', '64 B, 1024', '8 B, 1024, batches of 64'),
  'many_to_many': ('1:1', '4:4', '4:1', '1:4'),
  'pairs': ('2 threads', '8 threads'),
  'ping_pong': ('8 B',),
  'burst': ('1024 messages', '65536 messages'),
  'single': ('push_pop', 'fill_drain'),
  'waiting_throughput': ('1:1', '4:1', '4:4'),
  'waiting_ping_pong': ('at once', 'asleep'),
  'waiting_push': ('asleep',),
  'waiting_single': ('push_pop', 'fill_drain'),
  'fan_out': ('1 reader', '4 readers', '16 readers', '64 readers'),
  'memory': ('8 B, 1024', '64 B, 1024'),
}
LEGEND = 'A ratio is the time of the best peer by ours: above 1, ours is ahead. Peers that fewer ' \
         'threads may use do not count. Medians in nanoseconds, of memory in bytes; in brackets ' \
         'what the quartiles allow.'
MARKS = '`*` a thread that stands still inside a call stops others; `†` only the order of each ' \
        'producer is kept.'


def quartiles(samples):
  """The median, and the quartiles around it."""
  if len(samples) == 1:
    return [samples[0]] * 3
  low, middle, high = statistics.quantiles(samples, n=4, method='inclusive')
  return [round(each, 3) for each in (middle, low, high)]


def marked(result):
  return result['contender'] + ('' if result['lock_free'] else ' `*`') \
         + ('' if result['fifo'] else ' `†`')


def digits(value):
  return f'{value:.2f}' if value < 10 else f'{value:.1f}' if value < 100 else f'{value:.0f}'


def best_variants(data):
  """Of the ways to wait the one that suits a contender best, in each cell and placement. A placement
  that was seen less than three times does not count."""
  best = {}
  fallen = faulty(data)
  for result in data['results']:
    key = tuple(result[name] for name in ('scenario', 'cell', 'placement', 'contender'))
    needed = 1 if result['placement'] == 'any' else max(min(3, data['rounds']), 1)
    if case_of(result) in fallen or result['samples'] < needed:
      continue
    if key not in best or result['figures'][0] < best[key]['figures'][0]:
      best[key] = result
  return list(best.values())


def case_of(result):
  return result['scenario'], result['cell'], result['contender']


def faulty(data):
  """By case, what went wrong there, however the contender waited. Such a case has no figures."""
  return {case_of(each): each for each in data['results'] if each['faults']}


def in_order(values):
  return list(dict.fromkeys(values))


def can_stand_in(peer, mine):
  """Whether as many threads may use it."""
  return peer['producers'] >= mine['producers'] and peer['consumers'] >= mine['consumers']


def promises_as_much(peer, mine):
  return (peer['lock_free'] or not mine['lock_free']) and (peer['fifo'] or not mine['fifo'])


def ratio(peer, mine):
  (peer_middle, peer_low, peer_high), (middle, low, high) = peer['figures'][0], mine['figures'][0]
  if 0 in (middle, low, high):
    return '-'
  return f'**{peer_middle / middle:.2f}** ({peer_low / high:.2f} to {peer_high / low:.2f})'


def ratio_cells(mine, peers):
  """Two columns for the best of some peers: who, and the ratio."""
  if not peers:
    return '-', '-'
  best = min(peers, key=lambda each: each['figures'][0][0])
  return f'{marked(best)} {digits(best["figures"][0][0])}', ratio(best, mine)


def ratio_table(results, where, cells=None):
  """In one placement: our queues against the best of the others, in these cells or in all."""
  rows = []
  for scenario in SCENARIOS:
    here = [each for each in results
            if (each['scenario'], each['placement']) == (scenario, where)]
    for cell in in_order(each['cell'] for each in here):
      if cells and cell not in cells[scenario]:
        continue
      group = [each for each in here if each['cell'] == cell]
      for mine in (each for each in group if each['from'] == 'ours'):
        peers = [each for each in group if each['from'] in ('peer', 'baseline')
                 and can_stand_in(each, mine)]
        if not peers:
          continue
        alike = [each for each in peers if promises_as_much(each, mine)]
        rows.append((scenario, cell, marked(mine), digits(mine['figures'][0][0]),
                     *ratio_cells(mine, peers), *ratio_cells(mine, alike)))
  if not rows:
    return []
  return [f'{PLACEMENTS[where]}:', '',
          '| question | case | ours | | best peer | ratio | best that promises as much | ratio |',
          '| --- | --- | --- | ---: | --- | ---: | --- | ---: |',
          *(f'| {" | ".join(row)} |' for row in rows), '']


def most_seen(results):
  """The placement with the most samples: a picture shows one."""
  seen = collections.Counter()
  for each in results:
    seen[each['placement']] += each['samples']
  return seen.most_common(1)[0][0]


def figures(data):
  """What the README shows: the cells that are in the pictures too."""
  results = best_variants(data)
  placed = [each for each in results if each['placement'] != 'any']
  lines = [f'Measured on {data["machine"]}; {data["compiler"]}; commit {data["commit"]}, '
           f'{data["date"]}. Ratios hold, absolute numbers do not.', '', LEGEND, MARKS, '']
  if data['quick']:
    lines += ['A quick run: to see that it works, not to quote from.', '']
  if placed:
    lines += ratio_table(results, most_seen(placed), PANELS)
  return ['<!-- figures -->', *lines, *ratio_table(results, 'any', PANELS), '<!-- /figures -->', '']


def detail(scenario, where, here):
  """One question in one placement: a row for each contender, a column for each cell."""
  cells = in_order(each['cell'] for each in here)
  names = in_order(each['contender'] for each in sorted(
    here, key=lambda each: (cells.index(each['cell']), each['figures'][0][0])))
  heads = cells + (['ratio'] if scenario == 'fan_out' else
                   [f'{cell}, ratio' for cell in cells] if scenario == 'waiting_single' else [])
  lines = [f'### {scenario}, {where}' if where != 'any' else f'### {scenario}', '',
           f'{UNITS[scenario]}', '', f'| | {" | ".join(heads)} |',
           '| --- |' + ' ---: |' * len(heads)]
  for name in names:
    row = {each['cell']: each for each in here if each['contender'] == name}
    first = next(iter(row.values()))
    texts = [entry(scenario, row[cell]) if cell in row else '' for cell in cells]
    if scenario == 'fan_out':
      both = [row.get(PANELS[scenario][end]) for end in (-1, 0)]
      texts.append(ratio(*both) if all(both) else '')
    if scenario == 'waiting_single':
      texts += [by_its_queue(row[cell], here) if cell in row else '' for cell in cells]
    label = marked(first) if first['from'] in ('ours', 'peer') else name
    lines.append(f'| {label} | {" | ".join(texts)} |')
  return lines + ['']


def by_its_queue(mine, here):
  """What a mailbox takes by what its queue takes without it; it shows what it costs to be able to
  wait."""
  name = mine['contender'].removeprefix('mailbox over ')
  bare = [each for each in here if each['contender'] == f'{name}, bare'
          and each['cell'] == mine['cell']]
  return ratio(mine, bare[0]) if bare and mine is not bare[0] else ''


def entry(scenario, result):
  (middle, low, high), second = result['figures'][0], result['figures'][1][0]
  if scenario == 'memory':
    return f'{digits(middle)}; {second:.0f}'
  spread = f'{digits(middle)} ({digits(low)} to {digits(high)})'
  if scenario in ('ping_pong', 'waiting_ping_pong', 'waiting_push'):
    spread += f'; {digits(second)}; {digits(result["figures"][2][0])}'
  if scenario in ('single', 'waiting_single') and second:
    spread += f'; {digits(second)} instructions'
  return spread


def head(data):
  kept = sum(each['samples'] for each in data['results'])
  repeated = sum(each['repeated'] for each in data['results'])
  lines = [f'# Measured on {data["machine"]}', '',
           'Ratios hold, absolute numbers do not.', '',
           f'{data["compiler"]}, {data["flags"]}; Linux {data["kernel"]}; commit '
           f'{data["commit"]}, {data["date"]}. {data["rounds"]} rounds, {kept} samples kept, '
           f'{repeated} repeated. {"; ".join(data["packages"])}.', '']
  if data['quick']:
    lines += ['A quick run: to see that it works, not to quote from.', '']
  if data['absent']:
    lines += [f'Not there, because not installed or not built: {", ".join(data["absent"])}.', '']
  return lines


def tables(data):
  lines = head(data)
  lines += ['## In short', '', *figures(data), '## Ratios', '', LEGEND, MARKS, '']
  results = best_variants(data)
  for where in PLACEMENTS:
    lines += ratio_table(results, where)
  if faulty(data):
    lines += ['## What went wrong', '', '| contender | question | case | |', '| --- | --- | --- '
              '| --- |']
    lines += [f'| {marked(each)} | {each["scenario"]} | {each["cell"]} | {each["faults"]} |'
              for _, each in sorted(faulty(data).items())] + ['']
  lines += ['## Everything', '', f'Median, and the quartiles in brackets. {MARKS}', '']
  for scenario in SCENARIOS:
    for where in PLACEMENTS:
      here = [each for each in results
              if (each['scenario'], each['placement']) == (scenario, where)]
      if here:
        lines += detail(scenario, where, here)
  if data['headers']:
    lines += ['### headers', '', 'A file that only includes it, with -O2', '',
              '| header | lines after the preprocessor | ms |', '| --- | ---: | ---: |']
    lines += [f'| {each["header"]} | {each["lines"]} | {each["milliseconds"]:.0f} |'
              for each in data['headers']] + ['']
  return '\n'.join(lines)
