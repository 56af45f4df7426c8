import type { TextStyle } from '../lib/output/index.ts';

/** What is wrong with the whole answer, a line each, before it; nothing where nothing is. Pure. */
export function warningLines(warnings: readonly string[] | undefined, style: TextStyle): string {
  return (warnings ?? []).map((warning) => `${style.paint('warning', `Warning: ${warning}`)}\n`).join('');
}
