/**
 * One declaration per option: file key, flag, environment variable, type, default, bounds and help all come from it,
 * and so do the parser, `--help`, `--print-config` and docs/configuration.md.
 */

/** Host and port of a listener or a server. IPv6 hosts are held without brackets. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What a value of each type is in the program. Durations are milliseconds, bytes bytes, bitrates bits per second. */
export interface ValueTypes {
  string: string;
  int: number;
  number: number;
  bool: boolean;
  duration: number;
  bytes: number;
  bitrate: number;
  address: Address;
  /** Absolute. From a file: relative to that file's folder; from a flag or the environment: to the working folder. */
  path: string;
  enum: string;
  list: readonly string[];
  numbers: Readonly<Record<string, number>>;
}
export type OptionType = keyof ValueTypes;

export interface OptionSpec<T extends OptionType = OptionType, V extends string = string> {
  readonly type: T;
  /** One or two sentences, without the default and bounds, which are added. */
  readonly help: string;
  /** Heading under which help shows it. */
  readonly group?: string;
  /** In the notation of files and flags ('10s', '64Mi'), so that help shows what people would write. */
  readonly default?: string | number | boolean;
  /** Must be given somewhere; excludes a default. */
  readonly required?: boolean;
  /** Key of a boolean option with which a required one is not needed (and may be undefined). */
  readonly unless?: string;
  /** Smallest and largest value, same notation. For numbers: of each value. */
  readonly min?: string | number;
  readonly max?: string | number;
  /** enum: the words. numbers: the keys that may occur. */
  readonly values?: readonly V[];
  /** Flag name without dashes; derived from the key when absent. */
  readonly flag?: string;
  /** One letter. */
  readonly short?: string;
  /** Placeholder in help; derived from the type when absent. */
  readonly placeholder?: string;
  /** false: belongs to one invocation; a flag only, neither in files nor in the environment. */
  readonly configurable?: boolean;
  /** string: subdomain: a name as Kubernetes gives to nodes (RFC 1123). */
  readonly form?: 'subdomain';
  /** address: port 0 (any free one) may be asked for. Default true. */
  readonly anyPort?: boolean;
}

/**
 * Options of one section, by key. Keys are camelCase; a dot is a level in the file: `tls.ca` is `tls: {ca: ...}`,
 * flag `--tls-ca`, environment `NETLOOM_AGENT_TLS_CA` in section `agent`.
 */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type Present<S> = S extends { readonly default: string | number | boolean } | { readonly required: true }
  ? true
  : S extends { readonly type: 'bool' | 'list' | 'numbers' }
    ? true
    : false;

type ValueOf<S extends OptionSpec> = S extends { readonly type: 'enum'; readonly values: readonly (infer V)[] }
  ? V
  : ValueTypes[S['type']];

/** Values by key. Without default: bool is false, list and numbers are empty, everything else may be undefined. */
export type ValuesOf<S extends OptionSpecs> = {
  readonly [K in keyof S]: Present<S[K]> extends true ? ValueOf<S[K]> : ValueOf<S[K]> | undefined;
};

/** Keeps literal types of keys, types and enum words. */
export function defineOptions<const S extends OptionSpecs>(specs: S): S {
  return specs;
}

/** Where a value came from. */
export type Origin =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly file: string; readonly line: number }
  | { readonly kind: 'environment'; readonly name: string }
  | { readonly kind: 'flag'; readonly name: string };

export function originText(origin: Origin): string {
  switch (origin.kind) {
    case 'default':
      return 'default';
    case 'file':
      return `${origin.file}:${String(origin.line)}`;
    case 'environment':
      return origin.name;
    case 'flag':
      return origin.name;
  }
}

function kebab(key: string): string {
  return key
    .replaceAll('.', '-')
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase();
}

/** 'tls.serverName' -> 'tls-server-name' */
export function flagName(key: string, spec: OptionSpec): string {
  return spec.flag ?? kebab(key);
}

/** ('agent', 'tls.serverName') -> 'NETLOOM_AGENT_TLS_SERVER_NAME' */
export function environmentName(section: string, key: string): string {
  return `NETLOOM_${kebab(section)}_${kebab(key)}`.replaceAll('-', '_').toUpperCase();
}

export function isConfigurable(spec: OptionSpec): boolean {
  return spec.configurable !== false;
}
