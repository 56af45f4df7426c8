import { isConfigurable, originText, type OptionSpec, type OptionSpecs, type Origin } from './types.ts';
import { formatValue } from './value.ts';

/**
 * The effective configuration as YAML, each value with where it came from. Reads back as the same values;
 * what has no value stands as a comment.
 */
export function printConfig(
  section: string,
  specs: OptionSpecs,
  values: Readonly<Record<string, unknown>>,
  origins: ReadonlyMap<string, Origin>,
): string {
  const rows: (readonly [string, string])[] = [];
  let open: string[] = [];
  for (const [key, spec] of ordered(specs)) {
    const parts = key.split('.');
    const levels = parts.slice(0, -1);
    const name = parts.at(-1)!;
    const set = Object.entries(specs).some(
      ([other, s]) => other.startsWith(`${levels.join('.')}.`) && hasValue(s, values[other]),
    );
    if (levels.join('.') !== open.join('.')) {
      for (const [depth, level] of levels.entries()) {
        if (open[depth] !== level) rows.push([`${indent(depth + 1)}${set ? '' : '# '}${level}:`, '']);
      }
      open = levels;
    }
    const hidden = levels.length > 0 && !set;
    if (hasValue(spec, values[key])) {
      rows.push([
        `${indent(parts.length)}${name}: ${yamlText(spec, values[key])}`,
        originText(origins.get(key) ?? { kind: 'default' }),
      ]);
    } else {
      rows.push([
        `${hidden ? indent(levels.length) : indent(parts.length)}# ${hidden ? '  ' : ''}${name}:`,
        spec.required === true ? 'required, not set' : 'not set',
      ]);
    }
  }
  const width = Math.min(46, Math.max(0, ...rows.map(([text]) => text.length)));
  const lines = rows.map(([text, comment]) =>
    comment === '' ? text : `${text.padEnd(width)}  # ${comment.replace(/\s+/g, ' ')}`,
  );
  return `# Effective configuration of netloom ${section}, and where each value came from.\n${section}:\n${lines.join('\n')}\n`;
}

/** Plain keys in order of declaration, then levels together, as YAML needs them. */
function ordered(specs: OptionSpecs): [string, OptionSpec][] {
  const entries = Object.entries(specs).filter(([, spec]) => isConfigurable(spec));
  const level = (key: string): string => key.split('.').slice(0, -1).join('.');
  const levels = [...new Set(entries.map(([key]) => level(key)))].sort((a, b) => (a === '' ? -1 : b === '' ? 1 : 0));
  return levels.flatMap((name) => entries.filter(([key]) => level(key) === name));
}

function hasValue(spec: OptionSpec, value: unknown): boolean {
  if (value === undefined) return false;
  if (spec.type === 'list') return (value as readonly string[]).length > 0;
  if (spec.type === 'numbers') return Object.keys(value as object).length > 0;
  return true;
}

function indent(depth: number): string {
  return '  '.repeat(depth);
}

function yamlText(spec: OptionSpec, value: unknown): string {
  switch (spec.type) {
    case 'int':
    case 'number':
    case 'bool':
      return String(value);
    case 'list':
      return `[${(value as readonly string[]).map(yamlString).join(', ')}]`;
    case 'numbers':
      return `{ ${Object.entries(value as Record<string, number>)
        .map(([name, number]) => `${name}: ${String(number)}`)
        .join(', ')} }`;
    case 'string':
    case 'duration':
    case 'bytes':
    case 'bitrate':
    case 'address':
    case 'path':
    case 'enum':
      return yamlString(formatValue(spec, value));
  }
}

/** Words that are plain text in every YAML version stay bare; everything else is a JSON string, which YAML reads. */
function yamlString(text: string): string {
  const bare = /^[A-Za-z/][\w./-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text);
  const quantity = /^\d+[A-Za-z]+(\d+[A-Za-z]+)*$/.test(text) && !/^\d+e\d+$/i.test(text) && !/^0[xo]/i.test(text);
  return bare || quantity ? text : JSON.stringify(text);
}
