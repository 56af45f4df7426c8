import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configurationPage, errorsPage } from '../../cli/docs.ts';
import { SECTIONS } from '../../cli/options/index.ts';
import { ROOT } from './sources.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

describe('generated pages are those of the sources (else: make docs)', () => {
  it('docs/configuration.md', () => {
    expect(read('docs/configuration.md')).toBe(configurationPage(SECTIONS));
  });

  it('docs/errors.md', () => {
    expect(read('docs/errors.md')).toBe(errorsPage());
  });
});
