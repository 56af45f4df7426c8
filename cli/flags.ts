import { parseArgs } from 'node:util';
import type { GivenFlag } from '../lib/config/resolve.ts';
import { flagName, type OptionSpec, type OptionSpecs } from '../lib/config/types.ts';
import { NetloomError } from '../lib/errors.ts';
import { suggestion } from '../lib/nearest.ts';
import type { Positional } from './command.ts';

/** Flags that every command understands. */
export const HELP_FLAG = {
  help: { type: 'bool', short: 'h', help: 'Show this help.', group: 'General', configurable: false },
} as const satisfies OptionSpecs;

/** Flags of commands whose options may stand in a file. */
export const FILE_FLAGS = {
  config: {
    type: 'path',
    placeholder: 'FILE',
    help: 'Configuration file (YAML); NETLOOM_CONFIG names one too. Flags and environment overrule it.',
    group: 'General',
    configurable: false,
  },
  printConfig: {
    type: 'bool',
    help: 'Print the effective configuration, with where each value came from, and stop.',
    group: 'General',
    configurable: false,
  },
} as const satisfies OptionSpecs;

export const LOG_LEVEL_FLAG = {
  logLevel: {
    type: 'enum',
    values: ['debug', 'info', 'warn', 'error', 'silent'],
    default: 'warn',
    help: 'Least important messages that are shown; debug also shows where an error arose.',
    group: 'General',
    configurable: false,
  },
} as const satisfies OptionSpecs;

export interface ParsedLine {
  readonly flags: readonly GivenFlag[];
  readonly args: readonly string[];
  readonly problems: readonly NetloomError[];
}

/** Takes the command line apart by the declared options. Collects every problem. Pure. */
export function parseLine(
  argv: readonly string[],
  specs: OptionSpecs,
  positionals: readonly Positional[],
  command: string,
): ParsedLine {
  const byFlag = new Map<string, { key: string; spec: OptionSpec }>();
  const shorts = new Map<string, string>();
  for (const [key, spec] of Object.entries(specs)) {
    byFlag.set(flagName(key, spec), { key, spec });
    if (spec.short !== undefined) shorts.set(spec.short, flagName(key, spec));
  }
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Array.from(byFlag, ([name, { spec }]) => [
        name,
        {
          type: spec.type === 'bool' ? ('boolean' as const) : ('string' as const),
          multiple: true,
          ...(spec.short === undefined ? {} : { short: spec.short }),
        },
      ]),
    ),
  });

  const flags: GivenFlag[] = [];
  const args: string[] = [];
  const problems: NetloomError[] = [];
  const usage = (message: string, details: { expected?: string; found?: string; remedy?: string }): void => {
    problems.push(new NetloomError('USAGE', message, { ...details, place: `netloom ${command}` }));
  };
  for (const token of tokens) {
    if (token.kind === 'positional') args.push(token.value);
    if (token.kind !== 'option') continue;
    const shown = token.rawName;
    const known = byFlag.get(token.name);
    const negated = token.name.startsWith('no-') ? byFlag.get(token.name.slice(3)) : undefined;
    if (known === undefined && negated?.spec.type === 'bool') {
      if (token.value === undefined) flags.push({ key: negated.key, name: shown, text: 'false' });
      else usage(`${shown} takes no value`, { found: token.value });
    } else if (known === undefined) {
      const names = [...byFlag.keys()];
      usage(`unknown flag ${shown}`, {
        remedy: token.name.length === 1 ? shortRemedy(shorts) : flagSuggestion(token.name, names, command),
      });
    } else if (known.spec.type === 'bool') {
      flags.push({ key: known.key, name: shown, text: token.value ?? 'true' });
    } else if (token.value === undefined || (token.inlineValue === false && isFlag(token.value, byFlag, shorts))) {
      usage(`${shown} needs a value`, { expected: known.spec.placeholder ?? known.spec.type });
      // The flag that was swallowed as a value is not looked at: the line is refused anyway.
    } else {
      const text = shown.startsWith('--') ? token.value : token.value.replace(/^=/, '');
      flags.push({ key: known.key, name: shown, text });
    }
  }
  checkPositionals(args, positionals, usage);
  return { flags, args, problems };
}

function isFlag(text: string, byFlag: ReadonlyMap<string, unknown>, shorts: ReadonlyMap<string, unknown>): boolean {
  if (text.startsWith('--')) return byFlag.has(text.slice(2).split('=')[0]!);
  return text.length === 2 && text.startsWith('-') && shorts.has(text[1]!);
}

function shortRemedy(shorts: ReadonlyMap<string, string>): string {
  return `one-letter flags here: ${Array.from(shorts, ([letter, name]) => `-${letter} (--${name})`).join(', ')}`;
}

function flagSuggestion(name: string, names: readonly string[], command: string): string {
  const text = suggestion(
    name,
    names.map((known) => `--${known}`),
  );
  return text.startsWith('did you') ? text : `\`netloom ${command} --help\` lists the flags.`;
}

function checkPositionals(
  args: readonly string[],
  positionals: readonly Positional[],
  usage: (message: string, details: { expected?: string; found?: string; remedy?: string }) => void,
): void {
  for (const [i, positional] of positionals.entries()) {
    const given = positional.many === true ? args.slice(i) : args.slice(i, i + 1);
    if (given.length === 0 && positional.required === true) {
      usage(`${positional.name} is missing`, { expected: positional.values?.join(', ') ?? positional.help });
    }
    for (const arg of given) {
      if (positional.values === undefined || positional.values.includes(arg)) continue;
      usage(`unknown ${positional.name} "${arg}"`, {
        expected: positional.values.join(', '),
        remedy: suggestion(arg, positional.values),
      });
    }
  }
  if (positionals.at(-1)?.many !== true && args.length > positionals.length) {
    usage(`unexpected argument "${args[positionals.length]!}"`, {
      expected: positionals.length === 0 ? 'flags only' : positionals.map((positional) => positional.name).join(' '),
    });
  }
}
