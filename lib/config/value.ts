import { isAbsolute, resolve } from 'node:path';
import { formatAddress, parseAddress } from './address.ts';
import {
  formatBitrateExact,
  formatBytesExact,
  formatDuration,
  parseBitrate,
  parseBytes,
  parseDuration,
} from './quantities.ts';
import type { Address, OptionSpec } from './types.ts';

/** What stands at a place, before its type is known. Text: flags and environment; the rest: YAML. */
export type Raw =
  | { readonly kind: 'text'; readonly text: string }
  /** `text` is the scalar as written, so that `node: 010` stays '010'. */
  | { readonly kind: 'scalar'; readonly value: string | number | boolean | null; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly Raw[] }
  | { readonly kind: 'map'; readonly entries: readonly (readonly [string, Raw])[] };

export type Parsed =
  | { readonly ok: true; readonly value: unknown }
  /** The option is deliberately left without value: '' or YAML null. */
  | { readonly ok: true; readonly unset: true }
  | { readonly ok: false; readonly expected: string; readonly found: string };

/** Text longer than this is no value of any option here. */
const MAX_TEXT = 4096;
const MAX_ITEMS = 1000;

/** RFC 1123, section 2.1, as Kubernetes demands it (IsDNS1123Subdomain of apimachinery). */
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** What a valid value looks like, with bounds: for help and errors. */
export function expectation(spec: OptionSpec): string {
  const range = rangeText(spec);
  const words = spec.values?.join(', ') ?? '';
  switch (spec.type) {
    case 'string':
      return spec.form === 'subdomain'
        ? 'a name of lower-case letters, digits, "-" and ".", as Kubernetes gives it'
        : 'text on one line';
    case 'int':
      return words === '' ? `a whole number${range}` : `one of ${words}`;
    case 'number':
      return `a number${range}`;
    case 'bool':
      return 'true or false';
    case 'duration':
      return `a duration with its unit (250ms, 10s, 1h30m)${range}`;
    case 'bytes':
      return `a size in bytes (1048576, 64Mi, 1Gi)${range}`;
    case 'bitrate':
      return `a bit rate in bit/s (1000000, 1M, 10G)${range}`;
    case 'address':
      return 'an address as host:port ([::1]:9753 for IPv6)';
    case 'path':
      return 'a path';
    case 'enum':
      return `one of ${words}`;
    case 'list':
      return 'a list (a,b,c)';
    case 'numbers':
      return `numbers by name (${(spec.values ?? []).map((name) => `${name}=N`).join(',')})${range}`;
  }
}

export function rangeText(spec: OptionSpec): string {
  if (spec.min === undefined && spec.max === undefined) return '';
  if (spec.max === undefined) return `, at least ${String(spec.min)}`;
  if (spec.min === undefined) return `, at most ${String(spec.max)}`;
  return ` from ${String(spec.min)} to ${String(spec.max)}`;
}

/** Parses `raw` as `spec` wants it. `base`: folder that relative paths start from. Pure. */
export function parseValue(spec: OptionSpec, raw: Raw, base: string): Parsed {
  const bad = (found: string): Parsed => ({ ok: false, expected: expectation(spec), found });
  const optional = spec.default === undefined && spec.required !== true;
  if (isNothing(raw)) return optional && spec.type !== 'bool' ? { ok: true, unset: true } : bad('nothing');
  if (spec.type === 'list') return parseList(raw, bad);
  if (spec.type === 'numbers') return parseNumbers(spec, raw, bad);
  if (raw.kind === 'list' || raw.kind === 'map') return bad(foundText(raw));
  const isTruth = spec.type === 'bool' && raw.kind === 'scalar' && typeof raw.value === 'boolean';
  const text = isTruth ? String(raw.value) : raw.text.trim();
  if (text.length > MAX_TEXT || /[\u0000-\u001f\u007f]/.test(text)) return bad(foundText(raw));
  const parsed = parseText(spec, text, base);
  if (parsed === undefined) return bad(foundText(raw));
  return typeof parsed === 'number' && !inRange(spec, parsed) ? bad(foundText(raw)) : { ok: true, value: parsed };
}

/** The default in the program's units; undefined where there is none. */
export function defaultValue(spec: OptionSpec, base: string): unknown {
  if (spec.default === undefined) {
    if (spec.type === 'bool') return false;
    if (spec.type === 'list') return [];
    if (spec.type === 'numbers') return {};
    return undefined;
  }
  const parsed = parseValue({ ...spec, required: true }, { kind: 'text', text: String(spec.default) }, base);
  if (!parsed.ok || !('value' in parsed)) throw new TypeError(`declared default ${String(spec.default)} is not valid`);
  return parsed.value;
}

/** The notation that parseValue() reads back as the same value. */
export function formatValue(spec: OptionSpec, value: unknown): string {
  switch (spec.type) {
    case 'duration':
      return formatDuration(value as number);
    case 'bytes':
      return formatBytesExact(value as number);
    case 'bitrate':
      return formatBitrateExact(value as number);
    case 'address':
      return formatAddress(value as Address);
    case 'list':
      return (value as readonly string[]).join(',');
    case 'numbers':
      return Object.entries(value as Record<string, number>)
        .map(([name, number]) => `${name}=${String(number)}`)
        .join(',');
    case 'string':
    case 'int':
    case 'number':
    case 'bool':
    case 'path':
    case 'enum':
      return String(value);
  }
}

function parseText(spec: OptionSpec, text: string, base: string): unknown {
  switch (spec.type) {
    case 'string':
      return spec.form === 'subdomain' && !SUBDOMAIN.test(text) ? undefined : text;
    case 'int': {
      if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(Number(text))) return undefined;
      return spec.values === undefined || spec.values.includes(String(Number(text))) ? Number(text) : undefined;
    }
    case 'number':
      return parseNumber(text);
    case 'bool':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'duration':
      return parseDuration(text);
    case 'bytes':
      return parseBytes(text);
    case 'bitrate':
      return parseBitrate(text);
    case 'address': {
      const address = parseAddress(text);
      return address?.port === 0 && spec.anyPort === false ? undefined : address;
    }
    case 'path':
      return isAbsolute(text) ? text : resolve(base, text);
    case 'enum':
      return spec.values?.includes(text) === true ? text : undefined;
    case 'list':
    case 'numbers':
      return undefined;
  }
}

function parseNumber(text: string): number | undefined {
  return /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(Number(text))
    ? Number(text)
    : undefined;
}

function parseList(raw: Raw, bad: (found: string) => Parsed): Parsed {
  const items: string[] = [];
  for (const item of raw.kind === 'list' ? raw.items : raw.kind === 'map' ? [raw] : splitText(raw.text)) {
    if (item.kind === 'list' || item.kind === 'map' || isNothing(item)) return bad(foundText(raw));
    items.push(item.text.trim());
  }
  const broken =
    items.length > MAX_ITEMS || items.some((item) => item.length > MAX_TEXT || /[\u0000-\u001f\u007f,]/.test(item));
  return broken ? bad(foundText(raw)) : { ok: true, value: items };
}

function splitText(text: string): Raw[] {
  return text.split(',').map((part) => ({ kind: 'text', text: part }));
}

/** What is not named keeps its default. */
function parseNumbers(spec: OptionSpec, raw: Raw, bad: (found: string) => Parsed): Parsed {
  const named: (readonly [string, Raw])[] = [];
  if (raw.kind === 'map') named.push(...raw.entries);
  else if (raw.kind === 'list') return bad(foundText(raw));
  else {
    for (const part of raw.text.split(',')) {
      const [name, number, ...more] = part.split('=');
      if (name === undefined || number === undefined || more.length > 0) return bad(foundText(raw));
      named.push([name.trim(), { kind: 'text', text: number }]);
    }
  }
  const value: Record<string, number> = {};
  const isDefault = raw.kind === 'text' && raw.text === String(spec.default);
  if (spec.default !== undefined && !isDefault) Object.assign(value, defaultValue(spec, '/'));
  const seen = new Set<string>();
  for (const [name, item] of named) {
    const number = item.kind === 'list' || item.kind === 'map' ? undefined : parseNumber(item.text.trim());
    if (number === undefined || !inRange({ ...spec, type: 'number' }, number)) return bad(foundText(raw));
    if (seen.has(name) || spec.values?.includes(name) !== true) return bad(`${name} in ${foundText(raw)}`);
    seen.add(name);
    value[name] = number;
  }
  return { ok: true, value };
}

function inRange(spec: OptionSpec, value: number): boolean {
  const bound = (text: string | number | undefined): number | undefined =>
    text === undefined ? undefined : Number(parseText({ type: spec.type, help: '' }, String(text), '/'));
  const min = bound(spec.min);
  const max = bound(spec.max);
  return (min === undefined || value >= min) && (max === undefined || value <= max);
}

function isNothing(raw: Raw): boolean {
  if (raw.kind === 'text') return raw.text.trim() === '';
  return raw.kind === 'scalar' && (raw.value === null || (typeof raw.value === 'string' && raw.value.trim() === ''));
}

/** What was found, short enough for a message. */
export function foundText(raw: Raw): string {
  switch (raw.kind) {
    case 'text':
      return quote(raw.text);
    case 'scalar':
      return raw.value === null ? 'nothing' : quote(raw.text);
    case 'list':
      return `a list of ${String(raw.items.length)}`;
    case 'map':
      return raw.entries.length === 0 ? 'an empty mapping' : `a mapping with ${quote(raw.entries[0]![0])}`;
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
