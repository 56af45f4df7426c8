import { cellText, wrapText, type TextStyle } from '../lib/output/index.ts';

/** What is wrong with the whole answer, a sentence each, before it; nothing where nothing is. Pure. */
export function warningLines(warnings: readonly string[] | undefined, style: TextStyle): string {
  const lines = (warnings ?? []).flatMap((warning) => wrapText(`Warning: ${cellText(warning)}`, style.width));
  return lines.map((line) => `${style.paint('warning', line)}\n`).join('');
}
