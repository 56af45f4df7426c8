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

/** Whether test/kernel can run here: it loads BPF programs and makes network namespaces. */
export function kernelTests(): { readonly run: true } | { readonly run: false; readonly reason: string } {
  if (process.platform !== 'linux') return { run: false, reason: 'not Linux' };
  if (process.getuid?.() !== 0) return { run: false, reason: 'not root (BPF and network namespaces need it)' };
  if (!inCi() && !existsSync('/sys/kernel/btf/vmlinux')) return { run: false, reason: 'the kernel has no BTF' };
  return { run: true };
}
