import { flagName, isConfigurable, type OptionSpec, type OptionSpecs } from '../lib/config/types.ts';
import { rangeText } from '../lib/config/value.ts';
import { VERSION } from '../lib/version.ts';
import type { Command } from './command.ts';

const WIDTH = 80;
/** Column where the text of an option begins. */
const TEXT_COLUMN = 29;

/** `netloom --help` */
export function overviewHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  return [
    'netloom - Kubernetes placement that follows measured traffic',
    '',
    'Usage: netloom COMMAND [options]',
    '',
    'Commands:',
    ...commands.flatMap((command) => {
      const indent = ' '.repeat(width + 4);
      return wrap(command.summary, indent, WIDTH, `  ${command.name.padEnd(width)}  `);
    }),
    '',
    'Options:',
    '  -h, --help   Show this help, or that of a command.',
    '  --version    Show the version.',
    '',
    '`netloom COMMAND --help` shows the options of a command.',
    'Exit status: 0 done, 1 failed, 2 wrong usage or configuration.',
    '',
  ].join('\n');
}

/** `netloom COMMAND --help`, at most 80 columns wide. Pure. */
export function commandHelp(command: Command, specs: OptionSpecs): string {
  const lines = [
    ...wrap(`netloom ${command.name} - ${command.summary}`, '  ', WIDTH),
    '',
    ...wrap(`Usage: ${usageOf(command, specs)}`, '         ', WIDTH),
  ];
  for (const paragraph of command.description ?? []) lines.push('', ...wrap(paragraph, '', WIDTH));
  if (command.positionals !== undefined && command.positionals.length > 0) {
    lines.push('', 'Arguments:');
    for (const positional of command.positionals) lines.push(...entry(positional.name, positional.help));
  }
  for (const [group, options] of grouped(specs)) {
    lines.push('', `${group}:`);
    for (const [key, spec] of options) lines.push(...entry(flagText(key, spec), optionText(spec)));
  }
  if (command.section !== undefined) {
    const prefix = `NETLOOM_${command.section.name.toUpperCase()}_`;
    lines.push(
      '',
      ...wrap(
        `Most options may also stand below "${command.section.name}:" in the configuration file, or in the environment as ${prefix}NAME (docs/configuration.md).`,
        '',
        WIDTH,
      ),
    );
  }
  lines.push('', 'Examples:');
  for (const example of command.examples)
    lines.push(...wrap(`# ${example.text}`, '  # ', WIDTH, '  '), `  ${example.command}`);
  return `${lines.join('\n')}\n`;
}

export function versionText(): string {
  return `netloom ${VERSION} (Node ${process.version.slice(1)}, ${process.platform} ${process.arch})`;
}

function usageOf(command: Command, specs: OptionSpecs): string {
  if (command.usage !== undefined) return `netloom ${command.name} ${command.usage}`;
  const required = Object.entries(specs)
    .filter(([, spec]) => spec.required === true)
    .map(([key, spec]) => `--${flagName(key, spec)} ${placeholder(spec)}`);
  const args = (command.positionals ?? []).map((positional) => {
    const name = `${positional.values?.join('|') ?? positional.name}${positional.many === true ? '...' : ''}`;
    return positional.required === true ? name : `[${name}]`;
  });
  return ['netloom', command.name, ...args, ...required, '[options]'].join(' ');
}

/** Groups in order of their first option; what every command has comes last. */
function grouped(specs: OptionSpecs): Map<string, [string, OptionSpec][]> {
  const groups = new Map<string, [string, OptionSpec][]>();
  const sorted = Object.entries(specs).sort(
    ([, a], [, b]) => Number(a.group === 'General') - Number(b.group === 'General'),
  );
  for (const option of sorted) {
    const group = option[1].group ?? 'Options';
    groups.set(group, [...(groups.get(group) ?? []), option]);
  }
  return groups;
}

export function placeholder(spec: OptionSpec): string {
  if (spec.placeholder !== undefined) return spec.placeholder;
  switch (spec.type) {
    case 'string':
      return 'TEXT';
    case 'int':
    case 'number':
      return spec.values?.join('|') ?? 'N';
    case 'bool':
      return '';
    case 'duration':
      return 'DURATION';
    case 'bytes':
      return 'BYTES';
    case 'bitrate':
      return 'BITRATE';
    case 'address':
      return 'HOST:PORT';
    case 'path':
      return 'PATH';
    case 'enum':
      return spec.values?.join('|') ?? 'WORD';
    case 'list':
      return 'A,B,...';
    case 'numbers':
      return 'NAME=N,...';
  }
}

function flagText(key: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  return `${short}--${flagName(key, spec)}${spec.type === 'bool' ? '' : ` ${placeholder(spec)}`}`;
}

function optionText(spec: OptionSpec): string {
  const notes: string[] = [];
  if (spec.required === true) notes.push('required');
  if (spec.default !== undefined && spec.type !== 'bool') notes.push(`default ${String(spec.default)}`);
  const range = rangeText(spec).replace(/^,? /, '');
  if (range !== '') notes.push(range);
  if (!isConfigurable(spec) || notes.length > 0)
    return notes.length === 0 ? spec.help : `${spec.help} [${notes.join('; ')}]`;
  return spec.help;
}

function entry(head: string, text: string): string[] {
  const left = `  ${head}`;
  const indent = ' '.repeat(TEXT_COLUMN);
  const body = wrap(text, indent, WIDTH, indent);
  if (left.length + 1 >= TEXT_COLUMN) return [...wrapFlag(left), ...body];
  return [`${left.padEnd(TEXT_COLUMN)}${body[0]!.trimStart()}`, ...body.slice(1)];
}

/** A flag whose words do not fit beside it breaks at their bars. */
function wrapFlag(left: string): string[] {
  return left.length <= WIDTH ? [left] : wrap(left.trim().replaceAll('|', '| '), '      ', WIDTH, '  ');
}

/** Breaks at spaces; `first` begins the first line, `indent` all others. */
export function wrap(text: string, indent: string, width: number, first = ''): string[] {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines;
}
