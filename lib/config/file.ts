import type * as Yaml from 'yaml';
import { NetloomError } from '../errors.ts';
import { suggestion } from '../nearest.ts';
import { isConfigurable, type OptionSpecs } from './types.ts';
import type { Raw } from './value.ts';

/** Sections of the file by name, each with its options. */
export type Sections = Readonly<Record<string, OptionSpecs>>;

export interface FileSetting {
  readonly section: string;
  readonly key: string;
  readonly raw: Raw;
  /** From 1. */
  readonly line: number;
}

export interface ConfigFile {
  /** As people named it. */
  readonly name: string;
  /** Folder that relative paths in it start from. */
  readonly folder: string;
  readonly settings: readonly FileSetting[];
  readonly problems: readonly NetloomError[];
}

/** Aliases are useful for a shared `tls:`; more than this many are an expansion attack or a mistake. */
const MAX_ALIASES = 100;
const MAX_DEPTH = 8;
/** A mapping or list longer than this is no configuration of ours. */
const MAX_ENTRIES = 1000;
/** Problems of one file that are told; the rest follow after these are corrected. */
const MAX_PROBLEMS = 50;

/**
 * Reads YAML text into settings. Collects every problem with file and line instead of stopping at the first.
 * An empty file is an empty configuration. The YAML library is loaded only when there is a file.
 */
export async function parseConfigFile(
  text: string,
  name: string,
  folder: string,
  sections: Sections,
): Promise<ConfigFile> {
  const yaml = await import('yaml');
  const settings: FileSetting[] = [];
  const problems: NetloomError[] = [];
  const lines = new yaml.LineCounter();
  const lineOf = (node: unknown): number => {
    const offset = yaml.isNode(node) ? node.range?.[0] : undefined;
    return offset === undefined ? 1 : lines.linePos(offset).line;
  };
  const fail = (
    code: 'CONFIG_INVALID' | 'CONFIG_UNKNOWN_KEY',
    line: number,
    path: string,
    details: { message: string; expected?: string; found?: string; remedy?: string },
  ): void => {
    if (problems.length >= MAX_PROBLEMS) return;
    const { message, ...rest } = details;
    problems.push(
      new NetloomError(code, message, { place: `${name}:${String(line)}${path === '' ? '' : ` (${path})`}`, ...rest }),
    );
  };
  const result = { name, folder, settings, problems };

  const documents = yaml.parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: false,
    logLevel: 'silent',
  });
  // `empty` is true for a file with nothing but comments.
  if (!Array.isArray(documents)) return result;
  for (const document of documents) {
    for (const error of document.errors) {
      const { line, col } = lines.linePos(error.pos[0]);
      fail('CONFIG_INVALID', line, '', {
        message: 'the file is not valid YAML',
        found: `${error.message.replace(/\s+/g, ' ').slice(0, 200)} (column ${String(col)})`,
        remedy: yamlRemedy(error.code),
      });
    }
  }
  if (documents.length > 1) {
    fail('CONFIG_INVALID', lineOf(documents[1]!.contents), '', {
      message: 'the file holds more than one YAML document',
      expected: 'one document',
      found: String(documents.length),
      remedy: 'Put everything into one document: remove the lines "---" between them.',
    });
  }
  if (problems.length > 0) return result;
  const document = documents[0];
  if (document === undefined) return result;
  let aliases = 0;

  /** The node behind aliases; undefined after telling a problem. */
  const follow = (node: unknown, path: string): unknown => {
    let current = node;
    while (yaml.isAlias(current)) {
      if (++aliases > MAX_ALIASES) {
        if (aliases === MAX_ALIASES + 1) {
          fail('CONFIG_INVALID', lineOf(current), path, {
            message: 'too many YAML aliases',
            expected: `at most ${String(MAX_ALIASES)}`,
          });
        }
        return undefined;
      }
      const alias: Yaml.Alias = current;
      const target: unknown = alias.resolve(document);
      if (target === undefined) {
        fail('CONFIG_INVALID', lineOf(alias), path, {
          message: 'the file is not valid YAML',
          found: `*${alias.source}, and no &${alias.source} before it`,
        });
      }
      current = target;
    }
    return current;
  };

  const pairs = (node: unknown, path: string): { name: string; value: unknown; line: number }[] | undefined => {
    if (!yaml.isMap(node)) return undefined;
    if (node.items.length > MAX_ENTRIES) {
      fail('CONFIG_INVALID', lineOf(node), path, {
        message: 'too many keys',
        expected: `at most ${String(MAX_ENTRIES)}`,
      });
      return [];
    }
    const out: { name: string; value: unknown; line: number }[] = [];
    for (const pair of node.items) {
      const key = follow(pair.key, path);
      if (!yaml.isScalar(key)) {
        fail('CONFIG_INVALID', lineOf(pair.key), path, {
          message: 'a key must be a plain name',
          found: 'a list or mapping as key',
        });
        continue;
      }
      out.push({ name: String(key.value), value: pair.value, line: lineOf(pair.key) });
    }
    return out;
  };

  const raw = (given: unknown, path: string, depth: number): Raw => {
    const node = follow(given, path);
    if (node === null || node === undefined) return { kind: 'scalar', value: null, text: '' };
    if (yaml.isScalar(node)) return scalar(node);
    if (depth >= MAX_DEPTH) {
      fail('CONFIG_INVALID', lineOf(node), path, {
        message: 'nested too deeply',
        expected: `at most ${String(MAX_DEPTH)} levels`,
      });
      return { kind: 'scalar', value: null, text: '' };
    }
    if (yaml.isSeq(node)) {
      return { kind: 'list', items: node.items.slice(0, MAX_ENTRIES + 1).map((item) => raw(item, path, depth + 1)) };
    }
    const entries = (pairs(node, path) ?? []).map((pair) => [pair.name, raw(pair.value, path, depth + 1)] as const);
    return { kind: 'map', entries };
  };

  const walk = (section: string, specs: OptionSpecs, prefix: string, given: unknown, line: number): void => {
    const path = prefix === '' ? section : `${section}.${prefix}`;
    const node = follow(given, path);
    if (node === null || node === undefined || (yaml.isScalar(node) && node.value === null)) return;
    const entries = pairs(node, path);
    if (entries === undefined) {
      fail('CONFIG_INVALID', line, path, {
        message: `"${path}" must hold options`,
        expected: 'a mapping (key: value)',
        found: kindOf(node, yaml),
      });
      return;
    }
    const here = prefix === '' ? '' : `${prefix}.`;
    const keys = Object.keys(specs).filter((key) => key.startsWith(here) && isConfigurable(specs[key]!));
    for (const entry of entries) {
      const key = `${here}${entry.name}`;
      if (keys.includes(key)) {
        settings.push({ section, key, raw: raw(entry.value, `${section}.${key}`, 0), line: entry.line });
      } else if (keys.some((known) => known.startsWith(`${key}.`)) && prefix.split('.').length < MAX_DEPTH) {
        walk(section, specs, key, entry.value, entry.line);
      } else {
        const known = [...new Set(keys.map((name) => name.slice(here.length).split('.')[0]!))];
        fail('CONFIG_UNKNOWN_KEY', entry.line, `${section}.${key}`, {
          message: `unknown key "${entry.name}" in "${path}"`,
          remedy:
            entry.name === '<<'
              ? 'Merge keys are not supported: give the whole mapping as an alias (tls: *name).'
              : suggestion(entry.name, known),
        });
      }
    }
  };

  const root = follow(document.contents, '');
  if (root === null || root === undefined || (yaml.isScalar(root) && root.value === null)) return result;
  const entries = pairs(root, '');
  if (entries === undefined) {
    fail('CONFIG_INVALID', lineOf(root), '', {
      message: 'the configuration must be a mapping of sections',
      expected: Object.keys(sections)
        .map((section) => `${section}:`)
        .join(', '),
      found: kindOf(root, yaml),
    });
    return result;
  }
  for (const entry of entries) {
    const specs = Object.hasOwn(sections, entry.name) ? sections[entry.name] : undefined;
    if (specs !== undefined) {
      walk(entry.name, specs, '', entry.value, entry.line);
      continue;
    }
    const owners = Object.keys(sections).filter((section) => Object.hasOwn(sections[section]!, entry.name));
    fail('CONFIG_UNKNOWN_KEY', entry.line, '', {
      message: `unknown section "${entry.name}"`,
      remedy:
        owners.length > 0
          ? `Put it below ${owners.map((section) => `"${section}:"`).join(' or ')}.`
          : suggestion(entry.name, Object.keys(sections)),
    });
  }
  return result;
}

function scalar(node: Yaml.Scalar): Raw {
  const { value } = node;
  const text = typeof value === 'string' ? value : (node.source ?? String(value));
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return { kind: 'scalar', value, text };
  }
  return { kind: 'scalar', value: text, text };
}

function kindOf(node: unknown, yaml: typeof Yaml): string {
  if (yaml.isSeq(node)) return 'a list';
  if (yaml.isMap(node)) return 'a mapping';
  if (yaml.isScalar(node)) return `a single value (${JSON.stringify(String(node.value).slice(0, 60))})`;
  return 'nothing';
}

function yamlRemedy(code: string): string {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'Indent with spaces: YAML does not take tabs.';
    case 'DUPLICATE_KEY':
      return 'Keep one of the two keys.';
    default:
      return 'Correct the line; what comes after it may be read wrongly too.';
  }
}
