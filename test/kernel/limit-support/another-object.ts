import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = join(import.meta.dirname, '..', '..', '..', 'bandwidth', 'bpf');

/** Compiles limit.bpf.c with a change that alters nothing but its code, as the next version would have; its path. */
export function anotherObject(dir: string): string {
  const [source, object] = [join(dir, 'limit.bpf.c'), join(dir, 'limit.bpf.o')];
  const text = readFileSync(join(SOURCES, 'limit.bpf.c'), 'utf8');
  const changed = text.replace(
    /(int from_pod\(struct __sk_buff \*skb\)\n\{\n(?:.*;\n)+\n)/,
    '$1\tasm volatile("r0 = 7" ::: "r0");\n',
  );
  if (changed === text) throw new Error('from_pod was not found in limit.bpf.c');
  writeFileSync(source, changed);
  compileLimit(source, object, SOURCES);
  return object;
}

/** As scripts/build-bpf.sh does. */
export function compileLimit(source: string, object: string, headers: string): void {
  const include = `/usr/include/${execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim()}-linux-gnu`;
  const flags = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-Wall', `-I${include}`, `-I${headers}`];
  execFileSync('clang', [...flags, '-c', source, '-o', object], { stdio: ['ignore', 'inherit', 'inherit'] });
}
