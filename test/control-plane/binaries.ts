import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Folder of etcd, kube-apiserver and the others; `make test` has built them, else this does, which takes minutes. */
export function binaries(): string {
  return execFileSync(join(import.meta.dirname, 'build.sh'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
}
