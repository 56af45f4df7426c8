import { escapeUnsafe, isSecretName, plainValue, safeText } from './log-value.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** What modules take to say something to the operator. Never throws, never blocks on the reader. */
export interface Logger {
  debug(msg: string, fields?: object): void;
  info(msg: string, fields?: object): void;
  warn(msg: string, fields?: object): void;
  error(msg: string, fields?: object): void;
  /** A logger whose every line carries `fields` too. */
  child(fields: object): Logger;
}

/** The part of a writable stream that is used. */
export interface LogStream {
  write(text: string): unknown;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** text: `TIME LEVEL msg key=value`, one line; json: one object a line. Default text. */
  readonly format?: LogFormat;
  /** Default: standard error. */
  readonly stream?: LogStream;
  readonly now?: () => number;
}

/**
 * Values are bounded in length, secrets (by field name, and private keys or authorization values inside text)
 * are replaced, and control characters are escaped: what a peer sends can neither forge a line nor drive a terminal.
 * Errors appear as code, message and causes; with their stack at level debug.
 */
export function createLogger(options: LoggerOptions): Logger {
  const stream = options.stream ?? process.stderr;
  const now = options.now ?? Date.now;
  const line = options.format === 'json' ? jsonLine : textLine;
  const threshold = LOG_LEVELS.indexOf(options.level);
  const withStack = options.level === 'debug';

  const make = (bound: object | undefined): Logger => {
    const at = (level: LogLevel): Logger['info'] => {
      if (LOG_LEVELS.indexOf(level) < threshold) return ignore;
      return (msg, fields) => {
        try {
          stream.write(line(new Date(now()).toISOString(), level, msg, flatten(bound, fields, withStack)));
        } catch {
          // A closed or full log stream must not stop the program; there is no other place to tell it.
        }
      };
    };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => make(bound === undefined ? fields : { ...bound, ...fields }),
    };
  };
  return make(undefined);
}

function ignore(): void {
  // below the level
}

export const silentLogger: Logger = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => silentLogger,
};

/** Most keys a limiter remembers; beyond it the longest silent one is forgotten. */
const MAX_LIMITED_KEYS = 512;

export interface LogLimiter {
  /**
   * A logger that writes at most one line per `key` every `ms` milliseconds; what it held back is told by the next
   * line of that key as `suppressed`. Ask for it again at each use: `limit.everyMs('bad-row', 10_000).warn(...)`.
   */
  everyMs(key: string, ms: number): Logger;
}

/** For messages that a peer can cause: one limiter per module, bounded in memory. */
export function createLogLimiter(logger: Logger, now: () => number = Date.now): LogLimiter {
  const keys = new Map<string, { lastMs: number; suppressed: number }>();
  return {
    everyMs(key, ms) {
      const write =
        (level: 'debug' | 'info' | 'warn' | 'error', target: Logger): Logger['info'] =>
        (msg, fields) => {
          const nowMs = now();
          const known = keys.get(key);
          // A clock that was set back must not silence a key for good.
          if (known !== undefined && nowMs - known.lastMs < ms && nowMs >= known.lastMs) {
            known.suppressed++;
            return;
          }
          const suppressed = known?.suppressed ?? 0;
          keys.delete(key);
          keys.set(key, { lastMs: nowMs, suppressed: 0 });
          if (keys.size > MAX_LIMITED_KEYS) {
            const oldest = keys.keys().next();
            if (oldest.done !== true) keys.delete(oldest.value);
          }
          target[level](msg, suppressed === 0 ? fields : { ...fields, suppressed });
        };
      const make = (target: Logger): Logger => ({
        debug: write('debug', target),
        info: write('info', target),
        warn: write('warn', target),
        error: write('error', target),
        child: (fields) => make(target.child(fields)),
      });
      return make(logger);
    },
  };
}

function flatten(
  bound: object | undefined,
  fields: object | undefined,
  withStack: boolean,
): ReadonlyMap<string, unknown> {
  const out = new Map<string, unknown>();
  for (const source of [bound, fields]) {
    if (source === undefined) continue;
    // `log.warn('x', error)` is a slip that should still tell the error.
    if (source instanceof Error) {
      out.set('error', plainValue(source, withStack));
      continue;
    }
    for (const name of Object.keys(source)) {
      if (isSecretName(name)) {
        out.set(name, '[redacted]');
        continue;
      }
      let value: unknown;
      try {
        value = (source as Record<string, unknown>)[name];
      } catch {
        value = '[unreadable]';
      }
      if (value !== undefined) out.set(name, plainValue(value, withStack));
    }
  }
  return out;
}

function textLine(time: string, level: LogLevel, msg: string, fields: ReadonlyMap<string, unknown>): string {
  let line = `${time} ${level.toUpperCase().padEnd(5)} ${escapeUnsafe(safeText(msg))}`;
  for (const [name, value] of fields) line += ` ${fieldName(name)}=${fieldText(value)}`;
  return `${line}\n`;
}

/** Plain where it can be read back unambiguously, else JSON. */
function fieldText(value: unknown): string {
  if (typeof value === 'string') {
    const safe = escapeUnsafe(value);
    return safe === value && /^[^\s"=\\]+$/.test(value) ? value : quoted(value);
  }
  // Numbers, booleans, null, lists and objects: JSON of what plainValue() left.
  return quoted(value);
}

function quoted(value: unknown): string {
  return escapeUnsafe(JSON.stringify(value));
}

function fieldName(name: string): string {
  return /^[\w.\-/]+$/.test(name) ? name : quoted(name);
}

/** Names of the line itself come first and cannot be overwritten by fields. */
function jsonLine(time: string, level: LogLevel, msg: string, fields: ReadonlyMap<string, unknown>): string {
  const entries: [string, unknown][] = [
    ['time', time],
    ['level', level],
    ['msg', safeText(msg)],
  ];
  for (const [name, value] of fields) {
    entries.push([name === 'time' || name === 'level' || name === 'msg' ? `field_${name}` : name, value]);
  }
  return `${escapeUnsafe(JSON.stringify(Object.fromEntries(entries)))}\n`;
}
