import { NetloomError } from '../errors.ts';
import { nearestName } from '../nearest.ts';
import type { ConfigFile, Sections } from './file.ts';
import { environmentName, flagName, isConfigurable, type OptionSpec, type OptionSpecs, type Origin } from './types.ts';
import { defaultValue, expectation, parseValue, type Raw } from './value.ts';

/** A flag as it was given; `name` with dashes, as in messages. */
export interface GivenFlag {
  readonly key: string;
  readonly name: string;
  readonly text: string;
}

export interface ResolveInput {
  /** Section of the options; undefined: they are flags only. */
  readonly section: string | undefined;
  readonly specs: OptionSpecs;
  readonly flags: readonly GivenFlag[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: ConfigFile | undefined;
  /** All sections, to check the rest of the file as well. */
  readonly sections: Sections;
  readonly cwd: string;
}

export interface Resolved {
  readonly values: Readonly<Record<string, unknown>>;
  readonly origins: ReadonlyMap<string, Origin>;
  /** Each is told to the user; with any, the command does not run. */
  readonly problems: readonly NetloomError[];
  readonly warnings: readonly string[];
}

/** Flags over environment over file over defaults. Collects every problem. Pure. */
export function resolveOptions(input: ResolveInput): Resolved {
  const { specs, section, cwd, file } = input;
  const values: Record<string, unknown> = {};
  const origins = new Map<string, Origin>();
  const problems: NetloomError[] = [...(file?.problems ?? [])];

  const take = (
    key: string,
    spec: OptionSpec,
    raw: Raw,
    base: string,
    origin: Origin,
    place: string,
    keep: boolean,
  ): void => {
    const parsed = parseValue(spec, raw, base);
    if (!parsed.ok) {
      problems.push(
        new NetloomError('CONFIG_INVALID', `option "${key}" has a value that cannot be used`, {
          place,
          expected: parsed.expected,
          found: parsed.found,
        }),
      );
    } else if (keep) {
      values[key] = 'value' in parsed ? parsed.value : defaultValue(spec, cwd);
      origins.set(key, origin);
    }
  };

  for (const [key, spec] of Object.entries(specs)) {
    values[key] = defaultValue(spec, cwd);
    origins.set(key, { kind: 'default' });
  }
  for (const setting of file?.settings ?? []) {
    const spec = input.sections[setting.section]?.[setting.key];
    if (spec === undefined) continue;
    const place = `${file!.name}:${String(setting.line)} (${setting.section}.${setting.key})`;
    const origin: Origin = { kind: 'file', file: file!.name, line: setting.line };
    take(setting.key, spec, setting.raw, file!.folder, origin, place, setting.section === section);
  }
  if (section !== undefined) {
    for (const [key, spec] of Object.entries(specs)) {
      const name = environmentName(section, key);
      const text = input.environment[name];
      if (text === undefined || !isConfigurable(spec)) continue;
      take(key, spec, { kind: 'text', text }, cwd, { kind: 'environment', name }, name, true);
    }
  }
  for (const [key, given] of groupFlags(input.flags, specs)) {
    const name = given[0]!.name;
    const text = given.map((flag) => flag.text).join(',');
    take(key, specs[key]!, { kind: 'text', text }, cwd, { kind: 'flag', name }, name, true);
  }
  for (const [key, spec] of Object.entries(specs)) {
    if (spec.required !== true || values[key] !== undefined || problems.some((problem) => tells(problem, key)))
      continue;
    if (spec.unless !== undefined && values[spec.unless] === true) continue;
    const others =
      section === undefined || !isConfigurable(spec)
        ? ''
        : `, ${environmentName(section, key)} or ${section}.${key} in the configuration file`;
    problems.push(
      new NetloomError('CONFIG_MISSING', `--${flagName(key, spec)} is required`, {
        expected: expectation(spec),
        remedy: `Give --${flagName(key, spec)}${others}.`,
      }),
    );
  }
  return { values, origins, problems, warnings: section === undefined ? [] : strayVariables(section, input) };
}

/** Lists and maps collect repeated flags; of everything else the last one counts, as people expect of scripts that append. */
function groupFlags(flags: readonly GivenFlag[], specs: OptionSpecs): Map<string, GivenFlag[]> {
  const byKey = new Map<string, GivenFlag[]>();
  for (const flag of flags) {
    const type = specs[flag.key]?.type;
    if (type === undefined) continue;
    const before = type === 'list' || type === 'numbers' ? (byKey.get(flag.key) ?? []) : [];
    byKey.set(flag.key, [...before, flag]);
  }
  return byKey;
}

function tells(problem: NetloomError, key: string): boolean {
  return problem.message.includes(`"${key}"`);
}

/**
 * Variables that look like a slip of a real one. Only told, never refused: Kubernetes itself injects
 * NETLOOM_AGENT_SERVICE_HOST, NETLOOM_AGENT_PORT_9753_TCP and the like for a Service named netloom-agent.
 */
function strayVariables(section: string, input: ResolveInput): string[] {
  const prefix = environmentName(section, '');
  const known = Object.keys(input.specs)
    .filter((key) => isConfigurable(input.specs[key]!))
    .map((key) => environmentName(section, key));
  return Object.keys(input.environment)
    .filter((name) => name.startsWith(prefix) && !known.includes(name) && !/_(PORT|SERVICE)(_|$)/.test(name))
    .flatMap((name) => {
      const near = nearestName(
        name.slice(prefix.length),
        known.map((other) => other.slice(prefix.length)),
      );
      return [
        `environment variable ${name} is not known${near === undefined ? '' : `: did you mean ${prefix}${near}?`}`,
      ];
    })
    .slice(0, 20);
}
