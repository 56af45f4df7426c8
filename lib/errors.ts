import { ERROR_CODES, type ErrorCode } from './error-codes.ts';

/** What an error tells besides its code. Every part is one short phrase; all are optional but `message`. */
export interface ErrorDetails {
  /** Where: a file with line or path inside it, a flag, a URL. */
  readonly place?: string;
  /** What was expected there. */
  readonly expected?: string;
  /** What was found instead. */
  readonly found?: string;
  /** What the reader can do; the remedy of the code's registry entry is used when absent. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/**
 * The one error class of Netloom: a registered code, what happened, where, what was expected and found,
 * and what to do about it. `describe()` is what people are shown.
 */
export class NetloomError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'NetloomError';
    this.code = code;
    this.details = details;
  }

  get remedy(): string {
    return this.details.remedy ?? ERROR_CODES[this.code].remedy;
  }

  /** All of it on one line, for logs and lists. */
  sentence(): string {
    const { place, expected, found } = this.details;
    const parts = [
      place === undefined ? this.message : `${this.message}, at ${place}`,
      ...(expected === undefined ? [] : [`expected ${expected}`]),
      ...(found === undefined ? [] : [`found ${found}`]),
    ];
    return `${parts.join('; ')}. ${this.remedy}`;
  }

  describe(): string {
    const { place, expected, found } = this.details;
    const lines = [`${this.code}: ${this.message}`];
    if (place !== undefined) lines.push(`  where:    ${place}`);
    if (expected !== undefined) lines.push(`  expected: ${expected}`);
    if (found !== undefined) lines.push(`  found:    ${found}`);
    lines.push(`  do:       ${this.remedy}`);
    return lines.join('\n');
  }
}

/** The text of any thrown value for a log or a list: of our own errors also where, what and what to do. */
export function sentenceOf(error: unknown): string {
  return error instanceof NetloomError ? error.sentence() : messageOf(error);
}

/** The text of any thrown value, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
