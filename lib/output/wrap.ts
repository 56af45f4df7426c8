import { displayWidth } from './width.ts';

/** A sentence in lines of at most `width` columns, those after the first indented by two; words are never cut. Pure. */
export function wrapText(text: string, width: number | undefined): string[] {
  if (width === undefined) return [text];
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    const fits = line !== undefined && displayWidth(line) + 1 + displayWidth(word) <= width;
    if (fits) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(line === undefined ? word : `  ${word}`);
  }
  return lines;
}
