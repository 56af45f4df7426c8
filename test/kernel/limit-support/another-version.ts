import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compileLimit } from './another-object.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const CHILD = join('test', 'kernel', 'limit-support', 'limits-child.ts');

/** A field more in struct limit_config, before others, and a longer struct limit_clock. */
const CHANGES: Readonly<Record<string, readonly (readonly [was: string, is: string])[]>> = {
  'bandwidth/bpf/limit.h': [
    ['__u16 node_slot; /* not used yet */', '__u16 node_slot;\n\t__u64 another;'],
    ['__u64 reserved[2];', '__u64 reserved[10];'],
  ],
  'bandwidth/bpf/layout.ts': [
    ['LIMIT_CONFIG = {\n  size: 80,', 'LIMIT_CONFIG = {\n  size: 88,'],
    ['police_max_ahead_ns: { offset: 64,', 'another: { offset: 64, size: 8 },\n    police_max_ahead_ns: { offset: 72,'],
    ['police_ns: { offset: 72,', 'police_ns: { offset: 80,'],
    ['reserved: { offset: 76,', 'reserved: { offset: 84,'],
    ['LIMIT_CLOCK = {\n  size: 64,', 'LIMIT_CLOCK = {\n  size: 128,'],
    ['reserved: { offset: 48, size: 16 },', 'reserved: { offset: 48, size: 80 },'],
  ],
};

/** The limiting half of the product with maps of another layout, as an older version had them, and its child process. */
export function anotherVersion(dir: string): { readonly child: string; readonly bpfObject: string } {
  for (const part of ['bandwidth', 'lib', CHILD, 'package.json']) {
    cpSync(join(ROOT, part), join(dir, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  for (const [file, changes] of Object.entries(CHANGES)) {
    const path = join(dir, file);
    let text = readFileSync(path, 'utf8');
    for (const [was, is] of changes) {
      if (!text.includes(was)) throw new Error(`${was} was not found in ${file}`);
      text = text.replace(was, is);
    }
    writeFileSync(path, text);
  }
  const bpfObject = join(dir, 'build', 'bpf', 'limit.bpf.o');
  mkdirSync(dirname(bpfObject), { recursive: true });
  compileLimit(join(dir, 'bandwidth', 'bpf', 'limit.bpf.c'), bpfObject, join(dir, 'bandwidth', 'bpf'));
  return { child: join(dir, CHILD), bpfObject };
}
