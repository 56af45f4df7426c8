import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/**
 * Folder of etcd, kube-apiserver and the others; `make test` has built them, else this does, which takes minutes.
 * @param module `go-1.35`: a kube-scheduler of Kubernetes 1.35 and nothing else
 */
export function binaries(module: 'go' | 'go-1.35' = 'go'): string {
  return execFileSync(join(import.meta.dirname, 'build.sh'), [module], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
}
