import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../lib/error-codes.ts';
import { readSources } from './sources.ts';

const product = [...readSources().values()].filter(
  (source) => !/^(test|bench|scripts)\//.test(source.path) && source.path !== 'lib/error-codes.ts',
);

describe('error codes', () => {
  it('are all used', () => {
    const unused = Object.keys(ERROR_CODES).filter(
      (code) => !product.some((source) => source.text.includes(`'${code}'`)),
    );
    expect(unused).toEqual([]);
  });

  it('are all registered where an error is made', () => {
    const wrong: string[] = [];
    for (const source of product) {
      for (const match of source.text.matchAll(/new NetloomError\(\s*'([^']*)'/g)) {
        if (!Object.hasOwn(ERROR_CODES, match[1]!)) wrong.push(`${source.path}: ${match[1]!}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('say what they mean and what to do, as sentences', () => {
    for (const [code, { meaning, remedy }] of Object.entries(ERROR_CODES)) {
      expect(code).toMatch(/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/);
      expect(meaning, code).toMatch(/^\S.*\.$/s);
      // A remedy may end with something to copy.
      expect(remedy, code).toMatch(/^\S.*[\w.`]$/s);
    }
  });
});
