/**
 * How values appear in a log line: bounded, on one line, without secrets. Pure.
 */
import { NetloomError } from './errors.ts';

/** Longest text of one value; what is cut is said. The longest useful value here is a verifier's line. */
const MAX_TEXT = 2000;
const MAX_DEPTH = 4;
const MAX_ITEMS = 50;

const SECRET_NAME = /passw(or)?d|passphrase|secret|token|authorization|cookie|credential|private_?-?key|api_?-?key/i;
const PEM_SECRET = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g;
const BEARER = /\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}/gi;
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*):[^\s/@]+@/gi;
const REDACTED = '[redacted]';

/**
 * Characters that could forge a line, drive a terminal or reorder text:
 * C0 and C1 controls, DEL, line and paragraph separators, bidirectional controls, zero-width marks.
 */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** `text` with unsafe characters as escapes, so that it stays one line and cannot drive a terminal. */
export function escapeUnsafe(text: string): string {
  return text.replace(UNSAFE, (char) => {
    if (char === '\n') return '\\n';
    if (char === '\r') return '\\r';
    if (char === '\t') return '\\t';
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** `text` without private keys, authorization values and passwords in URLs, cut to a bounded length. */
export function safeText(text: string): string {
  const cut =
    text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}... (${String(text.length - MAX_TEXT)} more characters)` : text;
  return cut.replace(PEM_SECRET, REDACTED).replace(BEARER, `$1 ${REDACTED}`).replace(URL_PASSWORD, `$1:${REDACTED}@`);
}

/**
 * A copy of `value` that JSON can hold: bounded in depth, width and text; no secrets by name or look;
 * cycles, getters that throw and foreign objects become text. Never throws.
 */
export function plainValue(value: unknown, withStack = false): unknown {
  try {
    return plain(value, withStack, 0, new Set());
  } catch (error) {
    return `[unprintable: ${error instanceof Error ? safeText(error.message) : 'unknown'}]`;
  }
}

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

function plain(value: unknown, withStack: boolean, depth: number, above: Set<object>): unknown {
  switch (typeof value) {
    case 'string':
      return safeText(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
    case 'undefined':
      return value;
    case 'bigint':
      return value.toString();
    case 'symbol':
      return value.toString();
    case 'function':
      return `[function ${value.name}]`;
    case 'object':
      if (value === null) return null;
      return plainObject(value, withStack, depth, above);
  }
}

function plainObject(value: object, withStack: boolean, depth: number, above: Set<object>): unknown {
  if (value instanceof Error) return errorText(value, withStack);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (value instanceof Uint8Array) {
    const shown = Buffer.from(value.subarray(0, 32)).toString('hex');
    return value.length > 32 ? `${shown}... (${String(value.length)} bytes)` : shown;
  }
  if (above.has(value)) return '[circular]';
  if (depth >= MAX_DEPTH) return Array.isArray(value) ? '[array]' : '[object]';
  above.add(value);
  try {
    if (Array.isArray(value) || ArrayBuffer.isView(value) || value instanceof Set) {
      const items = Array.isArray(value) ? value : Array.from(value as unknown as Iterable<unknown>);
      const shown = items.slice(0, MAX_ITEMS).map((item) => plain(item, withStack, depth + 1, above));
      if (items.length > MAX_ITEMS) shown.push(`... ${String(items.length - MAX_ITEMS)} more`);
      return shown;
    }
    const entries: Iterable<[string, unknown]> =
      value instanceof Map ? Array.from(value, ([k, v]) => [String(k), v] as [string, unknown]) : Object.entries(value);
    const out = Object.create(null) as Record<string, unknown>;
    let count = 0;
    for (const [name, item] of entries) {
      if (count++ >= MAX_ITEMS) {
        out['...'] = 'more';
        break;
      }
      out[name] = isSecretName(name) ? REDACTED : plain(item, withStack, depth + 1, above);
    }
    return out;
  } finally {
    above.delete(value);
  }
}

/** Code, message and causes of an error in one text; the stack only when asked for. */
function errorText(error: Error, withStack: boolean): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let i = 0; i < 5 && current !== undefined && current !== null; i++) {
    if (!(current instanceof Error)) {
      parts.push(typeof current === 'string' ? current : Object.prototype.toString.call(current));
      break;
    }
    if (current instanceof NetloomError) {
      parts.push(`${current.code}: ${current.sentence()}`);
      current = current.cause;
      continue;
    }
    const code = (current as { code?: unknown }).code;
    parts.push(
      typeof code === 'string' && !current.message.includes(code) ? `${code}: ${current.message}` : current.message,
    );
    current = current.cause;
  }
  const text = safeText(parts.join(' <- '));
  return withStack && error.stack !== undefined ? `${text} ${safeText(error.stack)}` : text;
}
