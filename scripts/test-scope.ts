import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** In CI nothing is skipped quietly: what cannot run there must fail. */
export function inCi(): boolean {
  const ci = process.env['CI'];
  return ci !== undefined && ci !== '' && ci !== '0' && ci !== 'false';
}

/** Also the tests that take minutes (`*.slow.test.ts`). */
export function testAll(): boolean {
  return process.env['NETLOOM_TEST_ALL'] === '1';
}

export type Scope = { readonly run: true } | { readonly run: false; readonly reason: string };

/** Whether test/control-plane can run here: it builds Kubernetes from its Go modules. */
export function controlPlaneTests(): Scope {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return { run: true };
  } catch {
    // build.sh says in its own words what is missing.
    if (inCi()) return { run: true };
    return { run: false, reason: 'Go is not installed (https://go.dev/doc/install)' };
  }
}

/** Whether test/pacing can run here: it boots Debian's kernels in QEMU and installs what it needs for that by apt. */
export function pacingTests(): Scope {
  if (process.platform !== 'linux' || process.arch !== 'x64') return { run: false, reason: 'not Linux on x86-64' };
  // What is missing in CI is said where it is missed.
  if (inCi()) return { run: true };
  try {
    execFileSync('apt-get', ['--version'], { stdio: 'ignore' });
  } catch {
    return { run: false, reason: "not Debian: Debian's kernels come by apt-get" };
  }
  try {
    execFileSync('qemu-system-x86_64', ['--version'], { stdio: 'ignore' });
  } catch {
    if (process.getuid?.() !== 0)
      return { run: false, reason: 'QEMU is not installed: apt-get install qemu-system-x86' };
  }
  return { run: true };
}

/** Whether test/kernel can run here: it loads BPF programs and makes network namespaces. */
export function kernelTests(): Scope {
  if (process.platform !== 'linux') return { run: false, reason: 'not Linux' };
  if (process.getuid?.() !== 0) return { run: false, reason: 'not root (BPF and network namespaces need it)' };
  if (!inCi() && !existsSync('/sys/kernel/btf/vmlinux')) return { run: false, reason: 'the kernel has no BTF' };
  return { run: true };
}
