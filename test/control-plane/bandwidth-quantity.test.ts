import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseBandwidth } from '../../bandwidth/contract/bandwidth.ts';
import { bandwidth, nearlyQuantity, quantity } from '../support/arbitrary-quantity.ts';

const GO_MODULE = join(import.meta.dirname, 'go');

it('reads annotations as kubelet does: 30,000 texts through the Go implementation', () => {
  const texts = [quantity, bandwidth, nearlyQuantity].flatMap((arbitrary, seed) =>
    fc.sample(arbitrary, { numRuns: 10_000, seed }),
  );
  const answers = execFileSync('go', ['run', '-mod=readonly', './quantity'], {
    cwd: GO_MODULE,
    encoding: 'utf8',
    input: texts.map((text) => `${JSON.stringify(text)}\n`).join(''),
    maxBuffer: 64 << 20,
  });
  const theirs = answers.trimEnd().split('\n');
  const ours = texts.map((text) => {
    const wish = parseBandwidth(text);
    return wish.kind === 'limit' || wish.kind === 'unsupported' ? String(wish.bps) : 'invalid';
  });
  const different = texts
    .map((text, i) => ({ text, ours: ours[i], theirs: theirs[i] }))
    .filter((row) => row.ours !== row.theirs);
  // Of negative numbers with many digits their Value() overflows: "-71947.1102Gi" is 2,342,843,019 to them.
  expect(different.filter(({ text }) => !text.startsWith('-'))).toEqual([]);
  // Both outcomes were met, often.
  expect(theirs.filter((answer) => answer === 'invalid').length).toBeGreaterThan(5_000);
  expect(theirs.filter((answer) => answer !== 'invalid').length).toBeGreaterThan(8_000);
}, 300_000);
