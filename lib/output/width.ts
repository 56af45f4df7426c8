import { escapeUnsafe } from '../log-value.ts';

/** Wide in terminals: CJK, Hangul, full-width forms, emoji. */
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NON_ASCII = /[^\u0020-\u007e]/;
const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Columns that `text` takes in a terminal. */
export function displayWidth(text: string): number {
  if (!NON_ASCII.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** `text` cut to `width` columns with an ellipsis: in the middle, since the ends of Kubernetes names tell them apart. */
export function cutToWidth(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 1) return width === 1 ? '…' : '';
  const parts = Array.from(segmenter.segment(text), ({ segment }) => segment);
  const tailRoom = Math.floor((width - 1) / 2);
  let tail = '';
  let tailWidth = 0;
  while (parts.length > 0) {
    const size = displayWidth(parts.at(-1)!);
    if (tailWidth + size > tailRoom) break;
    tail = parts.pop()! + tail;
    tailWidth += size;
  }
  let head = '';
  let headWidth = 0;
  for (const part of parts) {
    const size = displayWidth(part);
    if (headWidth + size > width - 1 - tailWidth) break;
    head += part;
    headWidth += size;
  }
  return `${head}…${tail}`;
}

/** Names come from clusters and peers: nothing of them may drive the terminal or break the line. */
export function cellText(text: string): string {
  return escapeUnsafe(text);
}
