import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inCi } from '../../scripts/test-scope.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The path of libbpf 1.4, or why there is none. */
function fetchLibbpf(): { path: string } | { reason: string } {
  const { status, stdout, stderr } = spawnSync(join(ROOT, 'scripts', 'libbpf-backports.sh'), { encoding: 'utf8' });
  return status === 0 ? { path: stdout.trim() } : { reason: stderr.trim() };
}

// The tests below run all files of the binding again, each in a process whose libbpf is the other one.
const nested = process.env['NETLOOM_LIBBPF'] !== undefined;
const library = nested ? { reason: 'NETLOOM_LIBBPF is set already' } : fetchLibbpf();
if ('reason' in library && !nested) process.stderr.write(`libbpf 1.4 is not tested: ${library.reason}\n`);

describe.skipIf('reason' in library && !inCi())('with libbpf 1.4 of the backports', () => {
  const path = 'path' in library ? library.path : '';
  const env = { ...process.env, NETLOOM_LIBBPF: path };

  it('that library is the one in use', () => {
    const script = `import { libbpfVersion } from './lib/bpf/index.ts'; console.log(libbpfVersion());`;
    const args = ['--input-type=module', '-e', script];
    expect(execFileSync(process.execPath, args, { cwd: ROOT, env, encoding: 'utf8' }).trim()).toMatch(/^1\.4/);
  });

  it('all tests of the binding pass', () => {
    const files = readdirSync(import.meta.dirname)
      .filter((name) => /^bpf-.*\.test\.ts$/.test(name) && name !== basename(import.meta.filename))
      .map((name) => join('test', 'kernel', name));
    expect(files.length).toBeGreaterThan(4);
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    const result = spawnSync(process.execPath, [vitest, 'run', '--project', 'kernel', ...files], {
      cwd: ROOT,
      env: { ...env, NO_COLOR: '1' },
      encoding: 'utf8',
    });
    expect(result.status, `${result.stdout}\n${result.stderr}`).toBe(0);
    expect(result.stdout).toContain(`Test Files  ${files.length} passed`);
  });
});
