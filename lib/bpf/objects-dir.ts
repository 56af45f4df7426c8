import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NetloomError } from '../errors.ts';

const OBJECTS_DIR = join(import.meta.dirname, '..', '..', 'build', 'bpf');

/**
 * Path of a compiled object by the name of its source: `x` for `x.bpf.c`.
 * @throws NetloomError BPF_OBJECT_MISSING
 */
export function bpfObjectPath(name: string): string {
  const path = join(OBJECTS_DIR, `${name}.bpf.o`);
  if (!existsSync(path)) {
    throw new NetloomError('BPF_OBJECT_MISSING', `the BPF object ${name} was not built`, { place: path });
  }
  return path;
}
