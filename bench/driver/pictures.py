# SPDX-License-Identifier: MIT
"""One picture for each question, drawn by gnuplot: a panel for each case, a bar for each contender.

Text is of a grey, and bars are of colours, that can be read on white and on black."""

import statistics
import subprocess

import report

TEXT = '#808080'
COLOURS = {'ours': '#e8590c', 'peer': '#4c8fc4', 'baseline': '#8a8f98', 'limit': '#3f9e6e'}
WIDTH, ROW, TITLE = 900, 19, 60


def quoted(text):
  return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


def panel(cell, bars, fallen, rows):
  """Commands for one panel with room for so many bars. Bars that would make all others small are
  cut, and say so. Of whom something is wrong there is no bar, but what it is."""
  bars = sorted(bars, key=lambda bar: -bar['figures'][0][0])
  middles = [bar['figures'][0][0] for bar in bars]
  longest = min(middles[0], 4 * statistics.median(middles))
  lines = ['$bars << END', *(f'{row} 0 0 0 0 {quoted(bar["faults"])}'
                             for row, bar in enumerate(fallen))]
  for row, bar in enumerate(bars, len(fallen)):
    middle, low, high = (min(figure, longest) for figure in bar['figures'][0])
    colour = int(COLOURS[bar['from']][1:], 16)
    text = report.digits(bar['figures'][0][0]) + (' »' if middle < bar['figures'][0][0] else '')
    lines.append(f'{row} {middle} {low} {high} {colour} {quoted(text)}')
  bars = fallen + bars
  names = ', '.join(f'{quoted(label(bar))} {row}' for row, bar in enumerate(bars))
  return lines + [
    'END', f'set title {quoted(cell)} offset 0,-0.6',
    f'set yrange [{len(bars) - rows - 0.6}:{len(bars) - 0.4}]', f'set xrange [0:{1.35 * longest}]',
    f'set ytics ({names}) scale 0',
    'plot $bars using ($2/2):1:($2/2):(0.36):5 with boxxyerror fc rgb variable fs solid, '
    f'"" using 2:1:3:4 with xerrorbars lc rgb "{TEXT}" pt -1, '
    f'"" using (($4>$2?$4:$2)):1:6 with labels left offset 0.6,0 tc rgb "{TEXT}"']


def label(bar):
  """The name, shorter, and its marks."""
  marks = '' if bar['lock_free'] or bar['from'] not in ('ours', 'peer') else ' *'
  marks += '' if bar['fifo'] else ' †'
  return bar['contender'].replace('moodycamel ', '').replace('concurrent_bounded_queue', '') \
      .replace('vyukov_bounded_queue', 'vyukov').replace('VyukovMPMCCycleQueue', 'vyukov') \
      .replace(', half the buffer at once', ', bulk').strip() + marks


def picture(data, scenario, results, path):
  where = report.most_seen(results)
  here = [each for each in results if each['placement'] == where]
  found = report.in_order(each['cell'] for each in here)
  cells = [cell for cell in report.PANELS[scenario] if cell in found] or found[:4]
  groups = {cell: [each for each in here if each['cell'] == cell] for cell in cells}
  fallen = {cell: [each for each in report.faulty(data).values()
                   if (each['scenario'], each['cell']) == (scenario, cell)] for cell in cells}
  columns = min(2, len(cells))
  rows = (len(cells) + columns - 1) // columns
  tallest = max(len(groups[cell]) + len(fallen[cell]) for cell in cells)
  height = TITLE + rows * (tallest * ROW + 60)
  place = '' if where == 'any' else f', cores {where}'
  unit = report.UNITS[scenario].split(';')[0]
  title = f'{scenario}: {unit}\\n{data["machine"]}{place}; {data["compiler"].split(" (")[0]} ' \
          f'{data["compiler"].split()[-1]}. Less is better; orange is mailroom, ' \
          'green the limit of the machine'
  lines = ['set encoding utf8',
           f'set terminal svg size {WIDTH},{height} font "sans-serif,12" noenhanced',
           f'set output {quoted(str(path))}', f'set border 0 lc rgb "{TEXT}"', 'unset key',
           f'set xtics textcolor rgb "{TEXT}" scale 0', f'set ytics textcolor rgb "{TEXT}"',
           f'set title textcolor rgb "{TEXT}"', 'set lmargin 30', 'unset xtics',
           f'set multiplot layout {rows},{columns} title "{title}" textcolor rgb "{TEXT}"']
  for cell in cells:
    lines += panel(cell, groups[cell], fallen[cell], tallest)
  lines.append('unset multiplot')
  subprocess.run(['gnuplot'], input='\n'.join(lines) + '\n', text=True, check=True)


def draw(data, folder):
  results = report.best_variants(data)
  for scenario in report.PANELS:
    mine = [each for each in results if each['scenario'] == scenario]
    if mine:
      picture(data, scenario, mine, folder / f'{data["slug"]}.{scenario}.svg')
